//! The lab's clock: the one place of the crate that reads it.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Returns the present moment.
#[expect(clippy::disallowed_methods, reason = "the lab drives real processes, in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks `ready` every `period` until it answers `Some`, or `None` once `patience` is over.
pub(crate) fn poll<T>(
    patience: Duration,
    period: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = now() + patience;
    loop {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if now() >= deadline {
            return None;
        }
        std::thread::sleep(period);
    }
}

/// Tries again every 50 ms until it succeeds.
///
/// # Errors
/// The last attempt's, once `patience` is over.
pub fn eventually<T>(patience: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = now() + patience;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if now() >= deadline => return Err(error.context(format!("not within {patience:?}"))),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
