//! Whose turn it is when something becomes free.

use super::Engine;
use crate::ledger::Topic;
use crate::request::Rank;

impl Engine {
    /// Puts the Services that wait for what became free into the queue.
    pub(super) fn wake(&mut self) {
        for topic in self.ledger.take_freed() {
            for rank in self.waiting.wake(&topic) {
                self.give_turn(rank);
            }
        }
    }

    /// A Service whose turn it was has taken what it could: what it left is the next one's.
    pub(super) fn pass_turn(&mut self, rank: &Rank) {
        for next in self.next_turns(rank) {
            self.give_turn(next);
        }
    }

    /// Puts a Service into the queue; if it is held back, its turn is the next one's.
    fn give_turn(&mut self, rank: Rank) {
        let mut turns = vec![rank];
        while let Some(rank) = turns.pop() {
            if !self.queue.push(rank.clone()) {
                turns.extend(self.next_turns(&rank));
            }
        }
    }

    fn next_turns(&mut self, rank: &Rank) -> Vec<Rank> {
        let topics = self.waiting.end_turn(rank.service()).into_iter().filter(|topic| match topic {
            Topic::Pool(pool, family) => self.ledger.has_free(pool, *family),
            Topic::Address(_) | Topic::Key(_) => false,
        });
        let topics: Vec<_> = topics.collect();
        topics.iter().flat_map(|topic| self.waiting.wake_next(topic, rank)).collect()
    }
}
