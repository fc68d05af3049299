//! How a speaker stops: for its next process, which others cover for, or for good.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::{Machine, Timer};
use super::slot::{Slot, State};
use crate::link::LinkId;
use crate::wire::Mac;

/// Between the questions whether somebody covers.
const ASK: Duration = Duration::from_millis(100);
/// The same where this node covers itself. Whoever comes next gives way to each such question for a while.
const ASK_COVERED: Duration = Duration::from_millis(500);
/// Addresses that are asked for at once.
const AT_ONCE: usize = 50;

/// Why a speaker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its next process will go on: nothing is to move, and others cover for it, and for whom it covers.
    Restart,
    /// Its node is going: everything is handed over.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    why: Stop,
    until: Instant,
    /// When it asks next for what it covers.
    covered_due: Instant,
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
        self.stopping = Some(Stopping { why, until: now + time, covered_due: now });
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
        stopping.until <= now || !(self.owned.iter().any(|key| pending(&key)) || self.covers_still())
    }

    /// Whether this node covers for others, and nobody else does yet.
    fn covers_still(&self) -> bool {
        self.covered().any(|(link, _)| self.hears_peers(link))
    }

    fn covered(&self) -> impl Iterator<Item = (LinkId, IpAddr)> {
        let covers = |slot: &Slot| matches!(slot.state, State::Covering { .. });
        self.slots.iter().filter(move |(_, slot)| covers(slot)).map(|(key, _)| *key)
    }

    pub(super) fn stops(&self, why: Stop) -> bool {
        self.stopping.is_some_and(|stopping| stopping.why == why)
    }

    /// Whether a question is left to others: peers, which are to notice that this speaker stops.
    pub(super) fn ignores(&self, asker: Mac) -> bool {
        self.stops(Stop::Restart) && self.by_mac.contains_key(&asker)
    }

    /// Asks whether somebody covers for what this node owns, and for what it covers itself.
    pub(super) fn stop_due(&mut self, now: Instant) {
        if !self.stops(Stop::Restart) {
            return;
        }
        let Some(stopping) = &mut self.stopping else { return };
        let asks_for_covered = stopping.covered_due <= now;
        if asks_for_covered {
            stopping.covered_due = now + ASK_COVERED;
        }
        let open = self.owned.iter().filter(|key| {
            self.slots.get(key).and_then(|slot| slot.ownership()).is_some_and(|it| !it.covered)
        });
        let covered = self.covered().filter(|_| asks_for_covered);
        for (link, address) in open.copied().chain(covered).take(AT_ONCE).collect::<Vec<_>>() {
            self.send_probe(link, address, now);
        }
        self.timers.set(Timer::Stop, Some(now + ASK));
    }
}
