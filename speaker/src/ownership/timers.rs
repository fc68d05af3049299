//! What is due when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// At most one deadline for each key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    /// Of trees, as their memory is free again when what thousands of addresses waited for is over.
    at: BTreeMap<K, Instant>,
    due: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), due: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets a key's deadline; `None` for none.
    pub(super) fn set(&mut self, key: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.at.insert(key, at),
            None => self.at.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, key));
        }
        if let Some(at) = at {
            self.due.insert((at, key));
        }
    }

    /// Makes a key due at this time at the latest.
    pub(super) fn hasten(&mut self, key: K, at: Instant) {
        let due = self.get(key).map_or(at, |due| due.min(at));
        self.set(key, Some(due));
    }

    /// Takes out a key that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        self.at.remove(&key);
        Some(key)
    }

    /// Makes what was due first due at another time.
    pub(super) fn postpone(&mut self, to: Instant) {
        if let Some((_, key)) = self.due.pop_first() {
            self.at.insert(key, to);
            self.due.insert((to, key));
        }
    }

    /// A key's deadline.
    pub(super) fn get(&self, key: K) -> Option<Instant> {
        self.at.get(&key).copied()
    }

    /// The next deadline of all.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }
}
