//! The order in which Services are decided on, and those that have to wait before their next turn.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::key::ServiceKey;
use crate::request::Rank;

/// Services by rank, each at most once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeSet<Rank>,
    places: HashMap<ServiceKey, Place>,
    due: BTreeSet<(Instant, ServiceKey)>,
}

#[derive(Debug)]
enum Place {
    /// It has a turn, in this place.
    Ranked(Rank),
    /// It has no turn before a time, whatever happens to it.
    Held(Instant),
}

impl Queue {
    /// Gives a Service a turn, unless it is held back. Returns whether it has one.
    pub(super) fn push(&mut self, rank: Rank) -> bool {
        let key = rank.service().clone();
        match self.places.get(&key) {
            Some(Place::Held(_)) => return false,
            Some(Place::Ranked(old)) if *old == rank => return true,
            Some(Place::Ranked(old)) => drop(self.order.remove(old)),
            None => {}
        }
        self.order.insert(rank.clone());
        self.places.insert(key, Place::Ranked(rank));
        true
    }

    pub(super) fn extend(&mut self, ranks: impl Iterator<Item = Rank>) {
        ranks.for_each(|rank| _ = self.push(rank));
    }

    /// The Service whose turn it is.
    pub(super) fn pop(&mut self) -> Option<ServiceKey> {
        let key = self.order.pop_first()?.service().clone();
        self.places.remove(&key);
        Some(key)
    }

    /// Takes a Service's turn away until a time.
    pub(super) fn hold(&mut self, key: &ServiceKey, until: Instant) {
        self.remove(key);
        self.places.insert(key.clone(), Place::Held(until));
        self.due.insert((until, key.clone()));
    }

    /// Forgets a Service.
    pub(super) fn remove(&mut self, key: &ServiceKey) {
        match self.places.remove(key) {
            Some(Place::Ranked(rank)) => drop(self.order.remove(&rank)),
            Some(Place::Held(until)) => drop(self.due.remove(&(until, key.clone()))),
            None => {}
        }
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// The Services that are not held back any more.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<ServiceKey> {
        let mut free = Vec::new();
        while let Some((until, _)) = self.due.first()
            && *until <= now
        {
            let key = self.due.pop_first().map(|(_, key)| key);
            free.extend(key.inspect(|key| drop(self.places.remove(key))));
        }
        free
    }
}
