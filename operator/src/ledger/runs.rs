//! A set of numbers kept as runs, so that its lowest gap costs O(log n) however many numbers there are.

use std::collections::BTreeMap;

/// A set of numbers, stored as maximal runs: two runs never touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Last number of each run, by its first.
    runs: BTreeMap<u128, u128>,
    len: u128,
}

impl Runs {
    /// How many numbers are in the set.
    pub(super) fn len(&self) -> u128 {
        self.len
    }

    /// The lowest number that is not in the set.
    pub(super) fn lowest_absent(&self) -> u128 {
        match self.runs.first_key_value() {
            Some((0, last)) => last.saturating_add(1),
            Some(_) | None => 0,
        }
    }

    /// Adds a number and returns whether it was absent.
    pub(super) fn insert(&mut self, number: u128) -> bool {
        let before = self.runs.range(..=number).next_back().map(|(first, last)| (*first, *last));
        let first = match before {
            Some((_, last)) if number <= last => return false,
            Some((first, last)) if last + 1 == number => first,
            Some(_) | None => number,
        };
        let joined = number.checked_add(1).and_then(|next| self.runs.remove(&next));
        self.runs.insert(first, joined.unwrap_or(number));
        self.len += 1;
        true
    }

    /// Removes a number and returns whether it was present.
    pub(super) fn remove(&mut self, number: u128) -> bool {
        let Some((&first, &last)) = self.runs.range(..=number).next_back() else { return false };
        if number > last {
            return false;
        }
        if first == number {
            self.runs.remove(&first);
        } else {
            self.runs.insert(first, number - 1);
        }
        if number < last {
            self.runs.insert(number + 1, last);
        }
        self.len -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_behave_as_a_set_and_never_touch(steps in prop::collection::vec((any::<bool>(), 0u128..40), 0..200)) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (insert, number) in steps {
                if insert {
                    prop_assert_eq!(runs.insert(number), set.insert(number));
                } else {
                    prop_assert_eq!(runs.remove(number), set.remove(&number));
                }
                prop_assert_eq!(runs.len(), set.len() as u128);
                let lowest = (0..).find(|candidate| !set.contains(candidate)).unwrap();
                prop_assert_eq!(runs.lowest_absent(), lowest);
                let firsts: Vec<_> = runs.runs.keys().copied().skip(1).collect();
                prop_assert!(runs.runs.values().zip(firsts).all(|(last, next)| last + 1 < next));
            }
        }
    }

    #[test]
    fn the_highest_numbers_do_not_overflow() {
        let mut runs = Runs::default();
        assert!(runs.insert(u128::MAX) && runs.insert(u128::MAX - 1) && !runs.insert(u128::MAX));
        assert!(runs.remove(u128::MAX) && runs.remove(u128::MAX - 1) && !runs.remove(u128::MAX - 1));
        assert_eq!(runs, Runs::default());
    }
}
