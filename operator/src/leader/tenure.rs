//! Until when a leader may write.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One time of leading. Clones tell the same; when it is over, it stays over.
///
/// A process may be frozen at any moment, and a successor lead when it runs on. So whoever writes asks at the last
/// moment, and what it learns counts for that request only.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Mutex<Instant>>);

impl Tenure {
    /// A tenure that ends, unless it is extended.
    pub fn new(until: Instant) -> Self {
        Self(Arc::new(Mutex::new(until)))
    }

    /// How long it lasts from now on, unless it is extended; `None` if it is over.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.checked_duration_since(now).filter(|remaining| !remaining.is_zero())
    }

    /// Whether it lasts.
    pub fn holds(&self, now: Instant) -> bool {
        self.remaining(now).is_some()
    }

    /// Lets it last longer, for the Lease was renewed before it was over.
    pub(super) fn extend(&self, until: Instant) {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *end = until.max(*end);
    }

    /// Ends it.
    pub(super) fn end(&self, now: Instant) {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *end = now.min(*end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn a_tenure_lasts_until_its_end_and_no_moment_longer() {
        let start = Instant::now();
        let tenure = Tenure::new(start + SECOND * 10);
        let writer = tenure.clone();
        assert_eq!(writer.remaining(start + SECOND * 4), Some(SECOND * 6));
        assert!(!writer.holds(start + SECOND * 10));
        tenure.extend(start + SECOND * 12);
        tenure.extend(start + SECOND * 11);
        assert_eq!(writer.remaining(start + SECOND * 10), Some(SECOND * 2));
        tenure.end(start + SECOND * 5);
        assert!(!writer.holds(start + SECOND * 5));
    }
}
