//! The endpoints `/healthz`, `/readyz` and `/metrics`, on a TCP address or a Unix socket.
//!
//! A DaemonSet in the host's network must not open ports for its probes: there they are served on a Unix socket in
//! the pod, and the binary itself is the probe ([`check`]).

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, UnixListener};

use crate::readiness::Readiness;
use crate::tasks::Shutdown;

/// How long [`check`] waits for an answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Content type of OpenMetrics text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the endpoints tell. Clones tell the same.
#[derive(Clone)]
pub struct Admin {
    readiness: Readiness,
    registry: Arc<Registry>,
}

/// An endpoint can't be served.
#[derive(Debug, thiserror::Error)]
#[error("can't serve health and metrics on {address}: {source}")]
pub struct AdminError {
    address: String,
    source: io::Error,
}

/// A probe failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Nobody answers.
    #[error("no answer on {0}: {1}")]
    Unreachable(String, io::Error),
    /// The answer is not 200.
    #[error("{0}")]
    Refused(String),
}

impl Admin {
    /// Endpoints that tell of these gates and metrics.
    pub fn new(readiness: Readiness, registry: Registry) -> Self {
        Self { readiness, registry: Arc::new(registry) }
    }

    /// Serves on a TCP address until shutdown.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn serve_tcp(self, address: SocketAddr, shutdown: Shutdown) -> Result<(), AdminError> {
        let error = |source| AdminError { address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        axum::serve(listener, self.router()).with_graceful_shutdown(shutdown.requested()).await.map_err(error)
    }

    /// Serves on a Unix socket until shutdown; a socket file that an earlier process left is replaced.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub async fn serve_unix(self, path: &Path, shutdown: Shutdown) -> Result<(), AdminError> {
        let error = |source| AdminError { address: path.display().to_string(), source };
        match std::fs::remove_file(path) {
            Err(failure) if failure.kind() != io::ErrorKind::NotFound => return Err(error(failure)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(error)?;
        axum::serve(listener, self.router()).with_graceful_shutdown(shutdown.requested()).await.map_err(error)
    }

    fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let closed = admin.readiness.closed();
    if closed.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", closed.join(", ")))
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &admin.registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            format!("{error}\n"),
        ),
    }
}

/// Asks for an endpoint (`/readyz`) of a process in the same pod by its Unix socket.
///
/// # Errors
/// When nobody answers in two seconds, or the answer is not 200; the error then is what the endpoint said.
pub fn check(socket: &Path, endpoint: &str) -> Result<(), CheckError> {
    let answer = ask(socket, endpoint)
        .map_err(|error| CheckError::Unreachable(socket.display().to_string(), error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        Err(CheckError::Refused(format!("{status}: {}", body.trim())))
    }
}

fn ask(socket: &Path, endpoint: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(CHECK_TIMEOUT))?;
    stream.set_write_timeout(Some(CHECK_TIMEOUT))?;
    write!(stream, "GET {endpoint} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::tasks::Tasks;

    #[tokio::test]
    async fn endpoints_answer_on_a_unix_socket_and_replace_a_stale_one() {
        let socket = socket_path("stale");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let readiness = Readiness::default();
        let gate = readiness.gate("caches");
        let tasks = Tasks::default();
        let admin = Admin::new(readiness, registry());
        let shutdown = tasks.shutdown();
        let path = socket.clone();
        let server = tokio::spawn(async move { admin.serve_unix(&path, shutdown).await });

        until_reachable(&socket).await;
        let error = check_apart(&socket, "/readyz").await.unwrap_err();
        assert!(error.to_string().ends_with("503 Service Unavailable: waiting for: caches"), "{error}");
        gate.set(true);
        check_apart(&socket, "/readyz").await.unwrap();
        let path = socket.clone();
        let text = tokio::task::spawn_blocking(move || ask(&path, "/metrics")).await.unwrap().unwrap();
        assert!(text.contains("frames_total 1") && text.contains(OPEN_METRICS), "{text}");

        drop(tasks);
        server.await.unwrap().unwrap();
        std::fs::remove_file(socket).unwrap();
    }

    #[test]
    fn a_probe_of_nobody_fails_and_says_where() {
        let socket = socket_path("nobody");
        let error = check(&socket, "/healthz").unwrap_err();
        assert!(error.to_string().contains(&socket.display().to_string()), "{error}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let admin = Admin::new(Readiness::default(), registry());
        let error = admin.serve_tcp(address, Tasks::default().shutdown()).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    async fn until_reachable(socket: &Path) {
        for _ in 0..1000 {
            if check_apart(socket, "/healthz").await.is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the server never answered");
    }

    async fn check_apart(socket: &Path, endpoint: &'static str) -> Result<(), CheckError> {
        let socket = socket.to_owned();
        tokio::task::spawn_blocking(move || check(&socket, endpoint)).await.unwrap()
    }

    fn socket_path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ferrolb-admin-{}-{name}.sock", std::process::id()))
    }

    fn registry() -> Registry {
        let mut registry = Registry::default();
        let frames: Counter = Counter::default();
        frames.inc();
        registry.register("frames", "Frames seen", frames);
        registry
    }
}
