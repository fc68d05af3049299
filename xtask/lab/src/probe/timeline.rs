//! Gaps between moments. Pure.

use std::ops::Range;
use std::time::{Duration, Instant};

/// A time without a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last hit before it, or the beginning of the span.
    pub from: Instant,
    /// Until the next hit, or the end of the span.
    pub length: Duration,
}

/// The longest time within `span` in which none of `hits` lies; the first one of several.
/// Hits need no order; those outside the span count as being at its edge.
pub fn longest_gap(span: &Range<Instant>, hits: impl IntoIterator<Item = Instant>) -> Gap {
    let mut edges: Vec<_> =
        hits.into_iter().map(|hit| hit.clamp(span.start, span.end.max(span.start))).collect();
    edges.extend([span.start, span.end.max(span.start)]);
    edges.sort_unstable();
    let mut longest = Gap { from: span.start, length: Duration::ZERO };
    for pair in edges.windows(2) {
        let length = pair[1] - pair[0];
        if length > longest.length {
            longest = Gap { from: pair[0], length };
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_found_between_hits_and_at_both_edges() {
        check(100, &[10, 20, 60, 70, 95], (20, 40));
        check(100, &[50, 60, 90], (0, 50));
        check(100, &[10, 30], (30, 70));
    }

    #[test]
    fn without_a_hit_the_whole_span_is_a_gap() {
        check(100, &[], (0, 100));
    }

    #[test]
    fn the_order_of_hits_does_not_matter_and_late_ones_do_not_lengthen_the_span() {
        check(100, &[70, 10, 40], (10, 30));
        check(100, &[50, 900], (0, 50));
    }

    #[expect(clippy::disallowed_methods, reason = "any moment does")]
    fn check(end: u64, hits: &[u64], (from, length): (u64, u64)) {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let gap = longest_gap(&(start..at(end)), hits.iter().map(|&ms| at(ms)));
        assert_eq!(gap, Gap { from: at(from), length: Duration::from_millis(length) }, "{hits:?}");
    }
}
