//! Other controllers that keep overwriting what we write.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// After this many overwritten writes in a row we stop.
const PATIENCE: u32 = 3;
/// A write that stood for so long was not overwritten at once: what comes later is counted anew.
const FORGIVEN: Duration = Duration::from_secs(600);
/// How long we stop the first time; it doubles with each further one.
const FIRST_TRUCE: Duration = Duration::from_secs(300);
/// The longest time for which we stop.
const LONGEST_TRUCE: Duration = Duration::from_secs(3600);

/// How often our writes to one Service were overwritten, and until when we stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Rivalry {
    /// The addresses that we wrote last.
    written: Option<Vec<IpAddr>>,
    overwritten: u32,
    last: Option<Instant>,
    truces: u32,
    truce: Option<Instant>,
}

impl Rivalry {
    /// Notes which addresses a write of ours left in the status.
    pub(super) fn note_written(&mut self, addresses: &[IpAddr]) {
        self.written = Some(addresses.to_vec());
    }

    /// Notes that these addresses have to be written. Returns until when that must not be done, if somebody keeps
    /// overwriting them.
    pub(super) fn consider(&mut self, addresses: &[IpAddr], now: Instant) -> Option<Instant> {
        if let Some(until) = self.truce {
            if now < until {
                return Some(until);
            }
            self.truce = None;
            return None;
        }
        if self.written.take().is_none_or(|written| written != addresses) {
            return None;
        }
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGIVEN) {
            (self.overwritten, self.truces) = (0, 0);
        }
        self.last = Some(now);
        self.overwritten += 1;
        if self.overwritten < PATIENCE {
            return None;
        }
        // After a truce, one more overwritten write is enough.
        self.overwritten = PATIENCE - 1;
        let until = now + FIRST_TRUCE.saturating_mul(1 << self.truces.min(8)).min(LONGEST_TRUCE);
        self.truces += 1;
        self.truce = Some(until);
        self.truce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn the_third_overwritten_write_brings_a_truce_and_then_each_one_a_longer_one() {
        let start = Instant::now();
        let seconds = |seconds: u64| start + Duration::from_secs(seconds);
        let addresses: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap()];
        let mut rivalry = Rivalry::default();
        assert_eq!(rivalry.consider(&addresses, start), None, "the first write");
        for second in 1..3 {
            rivalry.note_written(&addresses);
            assert_eq!(rivalry.consider(&addresses, seconds(second)), None);
        }
        rivalry.note_written(&addresses);
        let until = Some(seconds(303));
        assert_eq!(rivalry.consider(&addresses, seconds(3)), until);
        assert_eq!(rivalry.consider(&addresses, seconds(302)), until);
        assert_eq!(rivalry.consider(&addresses, seconds(303)), None, "it is tried again");
        rivalry.note_written(&addresses);
        assert_eq!(rivalry.consider(&addresses, seconds(304)), Some(seconds(904)));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn writes_that_stood_for_long_or_were_others_are_no_rivalry() {
        let mut now = Instant::now();
        let addresses = |last: u8| vec![IpAddr::from([10, 0, 0, last])];
        let (mut changing, mut standing) = (Rivalry::default(), Rivalry::default());
        for last in 1..10 {
            now += FORGIVEN + Duration::from_secs(1);
            assert_eq!(changing.consider(&addresses(last), now), None);
            changing.note_written(&addresses(last));
            assert_eq!(standing.consider(&addresses(1), now), None);
            standing.note_written(&addresses(1));
        }
    }
}
