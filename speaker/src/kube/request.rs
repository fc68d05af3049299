//! Requests to the API server, which have to be answered in time.

use std::time::Duration;

use tokio::time::timeout;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There was no answer in this time. The connection may be dead without either end knowing.
    #[error("no answer in {0:?}")]
    Timeout(Duration),
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl RequestError {
    /// Whether the API server answered, and this is about the one object.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(_)))
    }
}

/// The answer to a request.
///
/// # Errors
/// When there is none within this time, or it is a refusal.
pub async fn answer<T>(
    within: Duration,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, RequestError> {
    let answered = timeout(within, request).await.map_err(|_| RequestError::Timeout(within))?;
    answered.map_err(RequestError::from)
}
