//! How many Events may be sent.

use std::time::{Duration, Instant};

/// Events that are sent at once; from there on one at a time, at a pace: they take from the API server what the
/// addresses of others need.
const BURST: u32 = 50;
/// The time from one Event to the next, when many wait.
const PACE: Duration = Duration::from_millis(200);

/// How many Events may be sent now.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    /// Up to when time has been counted.
    counted: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, counted: now }
    }

    /// Takes one, and returns how long to wait for it.
    pub(super) fn take(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.counted).as_millis() / PACE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(BURST);
        self.counted += PACE.saturating_mul(earned);
        self.left = self.left.saturating_add(earned).min(BURST);
        match self.left.checked_sub(1) {
            Some(rest) => self.left = rest,
            None => self.counted += PACE,
        }
        self.counted.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock;
    use super::*;

    #[test]
    fn many_events_are_sent_at_once_and_then_five_a_second() {
        let start = clock();
        let mut allowance = Allowance::new(start);
        assert!((0..BURST).all(|_| allowance.take(start).is_zero()));
        assert_eq!(allowance.take(start), PACE);
        assert_eq!(allowance.take(start + PACE), PACE);
        assert!(allowance.take(start + PACE * 3).is_zero());
        let later = start + PACE * 10 * BURST;
        assert!((0..BURST).all(|_| allowance.take(later).is_zero()), "a rest earns no more than a burst");
        assert_eq!(allowance.take(later), PACE);
    }
}
