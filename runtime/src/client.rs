//! The Kubernetes client.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How long a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Flags that say which cluster to talk to.
#[derive(Args, Clone, Debug, Default)]
pub struct ClientArgs {
    /// Path of a kubeconfig file; without it, the files in $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long)]
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
    Ok(Client::try_from(config).map_err(Box::new)?)
}

async fn from_file(path: &PathBuf) -> Result<Config, KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}
