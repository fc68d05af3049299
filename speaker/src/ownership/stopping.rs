//! How a speaker stops: for its next process, which others cover for, or for good.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::{Machine, Timer};
use super::slot::State;
use crate::link::LinkId;
use crate::wire::Mac;

/// Between the questions whether somebody covers.
const ASK: Duration = Duration::from_millis(100);
/// Addresses that are asked for at once.
const AT_ONCE: usize = 200;
/// How much longer a speaker that stops waits for every address: others begin to cover for a thousand a second.
const COVERED: Duration = Duration::from_millis(2);

/// Why a speaker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its next process will go on: nothing is to move.
    Restart,
    /// Its node is going: everything is handed over.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    why: Stop,
    until: Instant,
    /// What was asked for last.
    cursor: Option<(LinkId, IpAddr)>,
}

impl Machine {
    /// Begins to stop. The machine takes nothing over any more.
    pub fn stop(&mut self, why: Stop, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        let time = match why {
            Stop::Restart => self.timing.farewell,
            Stop::Leave => self.timing.leave,
        };
        let covered = self.covered_count();
        let many = u32::try_from(self.owned.len() + covered).unwrap_or(u32::MAX);
        let until = now + (time + COVERED.saturating_mul(many)).min(self.timing.leave.max(time));
        self.stopping = Some(Stopping { why, until, cursor: None });
        for key in &self.owned {
            if let Some(ownership) = self.slots.get_mut(key).and_then(|slot| slot.ownership_mut()) {
                ownership.covered = false;
            }
        }
        for neighbour in self.neighbours.values_mut() {
            (neighbour.watch, neighbour.check) = (None, None);
        }
        let links: Vec<LinkId> = self.here.keys().copied().collect();
        for link in links {
            self.settle_link(link, now);
        }
        self.timers.set(Timer::Stop, Some(now));
    }

    /// Whether the machine has done what it could before it ends.
    pub fn is_stopped(&self, now: Instant) -> bool {
        let Some(stopping) = self.stopping else { return false };
        let pending = |&&(link, address): &&(LinkId, IpAddr)| match stopping.why {
            Stop::Leave => self.hears_peers(link),
            Stop::Restart => {
                let covered = self.slots.get(&(link, address)).and_then(|slot| slot.ownership());
                self.hears_peers(link) && !covered.is_some_and(|it| it.covered)
            }
        };
        let covers = stopping.why == Stop::Restart && self.covered_count() > 0;
        stopping.until <= now || (!covers && !self.owned.iter().any(|key| pending(&key)))
    }

    /// How many addresses this node answers for in the name of others.
    fn covered_count(&self) -> usize {
        self.slots.values().filter(|slot| matches!(slot.state, State::Covering { .. })).count()
    }

    pub(super) fn stops(&self, why: Stop) -> bool {
        self.stopping.is_some_and(|stopping| stopping.why == why)
    }

    /// Whether a question is left to others: peers, which are to notice that this speaker stops.
    pub(super) fn ignores(&self, asker: Mac) -> bool {
        self.stops(Stop::Restart) && self.by_mac.contains_key(&asker)
    }

    /// Asks whether somebody covers for what this node owns and covers, one part after the other.
    pub(super) fn stop_due(&mut self, now: Instant) {
        let Some(stopping) = self.stopping.filter(|stopping| stopping.why == Stop::Restart) else { return };
        let open: BTreeSet<(LinkId, IpAddr)> = self
            .slots
            .iter()
            .filter(|((link, _), slot)| {
                let is_open = match &slot.state {
                    State::Owner(ownership) => !ownership.covered,
                    State::Covering { .. } => true,
                    State::Backup | State::Waiting(_) | State::Probing(..) | State::Conflict(_) => false,
                };
                is_open && self.hears_peers(*link)
            })
            .map(|(key, _)| *key)
            .collect();
        let after = open.iter().filter(|key| stopping.cursor.is_some_and(|cursor| **key > cursor));
        let turn: Vec<_> = after.chain(open.iter()).copied().take(AT_ONCE.min(open.len())).collect();
        for &(link, address) in &turn {
            self.send_probe(link, address, now);
        }
        self.stopping = Some(Stopping { cursor: turn.last().copied(), ..stopping });
        self.timers.set(Timer::Stop, Some(now + ASK));
    }
}
