//! Requests that are sent only while a tenure lasts.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use ferrolb_runtime::events::Fence;

use super::tenure::Tenure;

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// The tenure is over; the request was not sent, or its answer is no longer waited for.
    #[error("this operator does not lead any more")]
    NotLeading,
    /// There was no answer in time.
    #[error("no answer in {0:?}")]
    TimedOut(Duration),
}

/// Makes a request with a time limit, which is also the end of the tenure as it is now.
///
/// The tenure is asked before every step of the request: one that was frozen on its way is not sent when it thaws.
///
/// # Errors
/// When the tenure is over, or the limit.
pub async fn fenced<T>(
    tenure: &Tenure,
    limit: Duration,
    request: impl Future<Output = T>,
) -> Result<T, Fenced> {
    let remaining = tenure.remaining(clock()).ok_or(Fenced::NotLeading)?;
    let limit = limit.min(remaining);
    let mut request = pin!(request);
    let guarded = poll_fn(|context| match tenure.holds(clock()) {
        true => request.as_mut().poll(context).map(Ok),
        false => Poll::Ready(Err(Fenced::NotLeading)),
    });
    tokio::time::timeout(limit, guarded).await.unwrap_or(Err(Fenced::TimedOut(limit)))
}

impl Fence for Tenure {
    type Refusal = Fenced;

    async fn pass<T: Send>(
        &self,
        limit: Duration,
        request: impl Future<Output = T> + Send,
    ) -> Result<T, Fenced> {
        fenced(self, limit, request).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_request_is_not_sent_after_the_tenure() {
        let tenure = Tenure::new(clock() + SECOND);
        assert_eq!(fenced(&tenure, SECOND, async { 7 }).await, Ok(7));
        tokio::time::advance(SECOND).await;
        let sent = Cell::new(false);
        let request = async { sent.set(true) };
        assert_eq!(fenced(&tenure, SECOND, request).await, Err(Fenced::NotLeading));
        assert!(!sent.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_frozen_on_its_way_goes_no_further() {
        let tenure = Tenure::new(clock() + SECOND * 10);
        let retried = Cell::new(false);
        let request = async {
            tokio::time::sleep(SECOND).await;
            retried.set(true);
        };
        let mut request = pin!(fenced(&tenure, SECOND * 5, request));
        assert!(futures::poll!(&mut request).is_pending());
        tokio::time::advance(SECOND * 60).await;
        assert_eq!(request.await, Err(Fenced::NotLeading));
        assert!(!retried.get());
    }

    #[tokio::test(start_paused = true)]
    async fn no_request_outlasts_the_tenure_as_it_was_when_it_began() {
        let tenure = Tenure::new(clock() + SECOND * 3);
        assert_eq!(fenced(&tenure, SECOND, pending::<()>()).await, Err(Fenced::TimedOut(SECOND)));
        let start = clock();
        assert!(fenced(&tenure, SECOND * 30, pending::<()>()).await.is_err());
        assert_eq!(clock() - start, SECOND * 2);
    }
}
