//! Address ranges without overlaps.

use ferrolb_crds::range::AddressRange;

/// The same addresses in ascending ranges, none of which overlap.
pub(crate) fn merged(ranges: &[AddressRange]) -> Vec<AddressRange> {
    let mut merged = ranges.to_vec();
    merged.sort_unstable();
    merged.dedup_by(|next, kept| {
        let overlaps = kept.overlaps(next);
        if overlaps && let Ok(joined) = AddressRange::new(kept.first(), kept.last().max(next.last())) {
            *kept = joined;
        }
        overlaps
    });
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_ranges_become_one_and_others_stay() {
        check("10.0.0.9 10.0.0.1", "10.0.0.1 10.0.0.9");
        check("10.0.0.4-10.0.0.9 10.0.0.0-10.0.0.5 10.0.0.2", "10.0.0.0-10.0.0.9");
        check("fd00::/127 10.0.0.0/31 10.0.0.0/30", "10.0.0.0-10.0.0.3 fd00::-fd00::1");
        check("", "");
    }

    fn check(ranges: &str, expected: &str) {
        let parsed: Vec<AddressRange> =
            ranges.split_whitespace().map(|range| range.parse().unwrap()).collect();
        let texts: Vec<_> = merged(&parsed).iter().map(ToString::to_string).collect();
        assert_eq!(texts.join(" "), expected);
    }
}
