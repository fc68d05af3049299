//! Services that would take more, by what they wait for: what becomes free wakes only those that it can serve.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use crate::key::ServiceKey;
use crate::ledger::Topic;
use crate::request::Rank;

/// Services that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_service: HashMap<ServiceKey, (Rank, Vec<Topic>)>,
    by_topic: HashMap<Topic, BTreeSet<Rank>>,
    /// Services whose turn it is to take from a pool; what one of them leaves is the next one's.
    turns: HashMap<ServiceKey, BTreeSet<Topic>>,
}

impl Waiting {
    /// Replaces what a Service waits for.
    pub(super) fn set(&mut self, rank: &Rank, topics: Vec<Topic>) {
        let service = rank.service();
        if self.by_service.get(service).is_some_and(|known| known.0 == *rank && known.1 == topics) {
            return;
        }
        self.forget(service);
        for topic in &topics {
            self.by_topic.entry(topic.clone()).or_default().insert(rank.clone());
        }
        if !topics.is_empty() {
            self.by_service.insert(service.clone(), (rank.clone(), topics));
        }
    }

    /// A Service waits no more.
    pub(super) fn forget(&mut self, service: &ServiceKey) {
        let Some((rank, topics)) = self.by_service.remove(service) else { return };
        for topic in topics {
            if let Some(ranks) = self.by_topic.get_mut(&topic) {
                ranks.remove(&rank);
                if ranks.is_empty() {
                    self.by_topic.remove(&topic);
                }
            }
        }
    }

    /// Those that are to be decided on when something became free: all that wait for an address or a key, and the
    /// first that waits for a pool.
    pub(super) fn wake(&mut self, topic: &Topic) -> Vec<Rank> {
        let Some(ranks) = self.by_topic.get(topic) else { return Vec::new() };
        match topic {
            Topic::Address(_) | Topic::Key(_) => ranks.iter().cloned().collect(),
            Topic::Pool(..) => self.turn(topic, ranks.first().cloned()),
        }
    }

    /// The pools that it was a Service's turn to take from.
    pub(super) fn end_turn(&mut self, service: &ServiceKey) -> BTreeSet<Topic> {
        self.turns.remove(service).unwrap_or_default()
    }

    /// The one that waits for a pool after another.
    pub(super) fn wake_next(&mut self, topic: &Topic, after: &Rank) -> Vec<Rank> {
        let Some(ranks) = self.by_topic.get(topic) else { return Vec::new() };
        let next = ranks.range((Excluded(after), Unbounded)).next().cloned();
        self.turn(topic, next)
    }

    fn turn(&mut self, topic: &Topic, rank: Option<Rank>) -> Vec<Rank> {
        if let Some(rank) = &rank {
            self.turns.entry(rank.service().clone()).or_default().insert(topic.clone());
        }
        rank.into_iter().collect()
    }
}
