//! A table of fixed size that forgets what matters least.

/// Entries with the same hash compete for this many places.
const WAYS: usize = 8;

/// What is known of some keys; a set-associative cache.
///
/// Keys are hashes already.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    value: u64,
}

impl Slots {
    /// Places for `capacity` entries: a power of two, and at least eight.
    pub(super) fn new(capacity: usize) -> Self {
        debug_assert!(capacity.is_power_of_two() && capacity >= WAYS);
        Self { slots: vec![Slot::default(); capacity].into() }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: u64) -> Option<u64> {
        let set = &self.slots[self.set(key)];
        set.iter().find(|slot| slot.key == key && slot.value > 0).map(|slot| slot.value)
    }

    /// Sets the value of a key, which must not be 0. A new key takes an empty place, or that of the entry whose `worth`
    /// is least.
    pub(super) fn put(&mut self, key: u64, value: u64, worth: impl Fn(u64) -> (u64, u64)) {
        let range = self.set(key);
        let set = &mut self.slots[range];
        let place = |slot: &&mut Slot| match slot {
            Slot { value: 1.., key: known } if *known == key => (0, (0, 0)),
            Slot { value: 0, .. } => (1, (0, 0)),
            Slot { value, .. } => (2, worth(*value)),
        };
        if let Some(slot) = set.iter_mut().min_by_key(place) {
            *slot = Slot { key, value };
        }
    }

    /// The places of a key.
    fn set(&self, key: u64) -> std::ops::Range<usize> {
        let first = (key as usize) % self.slots.len() / WAYS * WAYS;
        first..first + WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_until_one_of_more_worth_needs_its_place() {
        let mut slots = Slots::new(WAYS);
        for key in 0..8 {
            assert_eq!(slots.get(key), None);
            slots.put(key, 100 + key, |value| (value, 0));
        }
        slots.put(3, 200, |value| (value, 0));
        slots.put(8, 300, |value| (value, 0));
        let left: Vec<_> = (0..9).filter_map(|key| slots.get(key)).collect();
        assert_eq!(left, [101, 102, 200, 104, 105, 106, 107, 300]);
    }

    #[test]
    fn keys_of_other_sets_are_not_touched() {
        let mut slots = Slots::new(2 * WAYS);
        slots.put(0, 1, |value| (value, 0));
        for key in 8..16 {
            slots.put(key, 1, |value| (value, 0));
        }
        assert_eq!(slots.get(0), Some(1));
        assert!((8..16).all(|key| slots.get(key) == Some(1)));
    }
}
