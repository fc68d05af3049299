//! The Kubernetes client.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{ClientBuilder, ConfigExt};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use crate::watch;

/// How long a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent: no answer takes longer, but for a watch, which ends before.
const READ_TIMEOUT: Duration = watch::TIMEOUT.saturating_add(Duration::from_secs(10));
/// When the kernel asks the API server's host, on a silent connection, whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long the host may leave them, or what was sent, unacknowledged before the connection is given up.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// Flags that say which cluster to talk to.
#[derive(Args, Clone, Debug, Default)]
pub struct ClientArgs {
    /// Path of a kubeconfig file; without it, the files in $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, env = "FERROLB_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file given by `--kubeconfig` can't be used.
    #[error("--kubeconfig {path}: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error("no cluster to talk to (give --kubeconfig, or run in a pod with a service account): {0}")]
    Infer(#[from] Box<InferConfigError>),
    /// The configuration was read, but no client comes of it.
    #[error("the cluster's configuration can't be used: {0}")]
    Config(#[from] Box<kube::Error>),
}

/// Makes a client; nothing is sent yet.
///
/// # Errors
/// When there is no configuration, or it can't be used.
pub async fn connect(args: &ClientArgs) -> Result<Client, ClientError> {
    let mut config = match &args.kubeconfig {
        Some(path) => from_file(path)
            .await
            .map_err(|source| ClientError::Kubeconfig { path: path.clone(), source: Box::new(source) })?,
        None => Config::infer().await.map_err(Box::new)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(client(config).map_err(Box::new)?)
}

/// As kube makes a client, but of connections that notice when the host at the other end is gone.
fn client(config: Config) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        // Proxies are not built in, which is for kube to say.
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_tcp_user_timeout(Some(ACKNOWLEDGED_WITHIN));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(Some(READ_TIMEOUT));
    // The time that a connection was kept unused does not count.
    connector.set_reset_reader_on_write(true);
    connector.set_write_timeout(config.write_timeout);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(RetryPolicy::server_retry()))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(connector));
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

async fn from_file(path: &PathBuf) -> Result<Config, KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures::future::join;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn a_host_that_is_silent_is_asked_whether_it_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = client(Config::new(url.parse().unwrap())).unwrap();
        let serve = async {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
            let probed = async {
                while !is_probed(peer) {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(10), probed).await.expect("there is no keepalive timer");
            let version = json!({
                "major": "1", "minor": "33", "gitVersion": "", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""
            })
            .to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", version.len());
            stream.write_all((head + &version).as_bytes()).await.unwrap();
        };
        let (version, ()) = join(client.apiserver_version(), serve).await;
        assert_eq!(version.unwrap().major, "1");
    }

    /// Whether the kernel's next timer for the socket of that local address is the keepalive timer.
    fn is_probed(local: SocketAddr) -> bool {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let port = format!(":{:04X}", local.port());
        table.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[1].ends_with(&port) && fields[5].starts_with("02:")
        })
    }
}
