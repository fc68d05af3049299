//! Requests that are sent only while one may.

use std::fmt::Display;
use std::time::Duration;

/// Lets requests pass, or not.
pub trait Fence: Send + Sync + 'static {
    /// Why a request has no answer.
    type Refusal: Display + Send;

    /// Makes a request with a time limit.
    fn pass<T: Send>(
        &self,
        limit: Duration,
        request: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Result<T, Self::Refusal>> + Send;
}

/// Lets every request pass.
#[derive(Clone, Copy, Debug)]
pub struct NoFence;

/// There was no answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer in {0:?}")]
pub struct NoAnswer(Duration);

impl Fence for NoFence {
    type Refusal = NoAnswer;

    async fn pass<T: Send>(
        &self,
        limit: Duration,
        request: impl Future<Output = T> + Send,
    ) -> Result<T, NoAnswer> {
        tokio::time::timeout(limit, request).await.map_err(|_| NoAnswer(limit))
    }
}
