//! Differences in time that are the same in every run: no node acts in step with another, and tests repeat.

use std::time::Duration;

/// A number that differs from text to text.
pub fn seed(text: &str) -> u64 {
    text.bytes().fold(0, |seed, byte| mix(seed ^ u64::from(byte)))
}

/// Something between nothing and `most`, different for each `index`, in milliseconds.
pub fn spread(seed: u64, index: u128, most: Duration) -> Duration {
    let [high, low] = [index >> 64, index & u128::from(u64::MAX)].map(|half| half as u64);
    let bound = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis(mix(mix(seed ^ high) ^ low) % bound)
}

/// The finalizer of SplitMix64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_the_range_and_repeat() {
        let most = Duration::from_millis(99);
        let values: Vec<_> = (0..1000).map(|index| spread(seed("node-1"), index, most).as_millis()).collect();
        assert!(values.iter().all(|&value| value <= 99));
        assert!((0..10).all(|decade| values.iter().filter(|&value| value / 10 == decade).count() > 60));
        assert_eq!(spread(seed("node-1"), 7, most).as_millis(), values[7]);
        assert_ne!(seed("node-1"), seed("node-2"));
    }
}
