//! How a speaker stops: for its next process, which others cover for, or for good.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::{Machine, Timer};
use super::slot::Slot;
use crate::link::LinkId;
use crate::wire::Mac;

/// Between the questions whether somebody covers.
const ASK: Duration = Duration::from_millis(100);
/// The same where this node covers itself. Whoever comes next gives way to each such question for a while.
const ASK_COVERED: Duration = Duration::from_millis(500);
/// Addresses that are asked for at once.
const AT_ONCE: usize = 200;
/// How much longer a speaker that stops waits for every address: others begin to cover for a thousand a second.
const COVERED: Duration = Duration::from_millis(2);

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
    /// What was asked for last.
    cursor: Option<(LinkId, IpAddr)>,
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
        let many = u32::try_from(self.owned.len() + self.covered().count()).unwrap_or(u32::MAX);
        let until = now + (time + COVERED.saturating_mul(many)).min(self.timing.leave.max(time));
        self.stopping = Some(Stopping { why, until, cursor: None, covered_due: now });
        for ownership in self.slots.values_mut().filter_map(Slot::ownership_mut) {
            ownership.covered = false;
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
        let pending = |key: &(LinkId, IpAddr)| {
            self.hears_peers(key.0) && (stopping.why == Stop::Leave || self.is_uncovered(key))
        };
        stopping.until <= now || !(self.owned.iter().any(pending) || self.covers_still())
    }

    /// Whether nobody was heard to cover for this node yet.
    fn is_uncovered(&self, &(link, address): &(LinkId, IpAddr)) -> bool {
        self.ownership(link, address).is_some_and(|ownership| !ownership.covered)
    }

    /// Whether this node covers for others, and nobody else does yet.
    fn covers_still(&self) -> bool {
        self.covered().any(|(link, _)| self.hears_peers(link))
    }

    /// What this node answers for in the name of others.
    pub(super) fn covered(&self) -> impl Iterator<Item = (LinkId, IpAddr)> {
        self.slots.iter().filter(|(_, slot)| slot.is_covering()).map(|(key, _)| *key)
    }

    pub(super) fn stops(&self, why: Stop) -> bool {
        self.stopping.is_some_and(|stopping| stopping.why == why)
    }

    /// Whether a question is left to others: peers, which are to notice that this speaker stops.
    pub(super) fn ignores(&self, asker: Mac) -> bool {
        self.stops(Stop::Restart) && self.by_mac.contains_key(&asker)
    }

    /// Asks whether somebody covers for what this node owns, one part after the other, and for what it covers itself.
    pub(super) fn stop_due(&mut self, now: Instant) {
        let Some(mut stopping) = self.stopping.filter(|stopping| stopping.why == Stop::Restart) else {
            return;
        };
        let asks_for_covered = stopping.covered_due <= now;
        if asks_for_covered {
            stopping.covered_due = now + ASK_COVERED;
        }
        // Ascending, as what is owned is.
        let open: Vec<(LinkId, IpAddr)> = self
            .owned
            .iter()
            .filter(|key| self.is_uncovered(key) && self.hears_peers(key.0))
            .copied()
            .collect();
        let first = open.partition_point(|key| Some(*key) <= stopping.cursor);
        let turn = open.iter().cycle().skip(first).take(AT_ONCE.min(open.len()));
        let turn: Vec<_> = turn.copied().collect();
        stopping.cursor = turn.last().copied();
        self.stopping = Some(stopping);
        let covered: Vec<_> = self.covered().filter(|_| asks_for_covered).take(AT_ONCE).collect();
        for (link, address) in turn.into_iter().chain(covered) {
            self.send_probe(link, address, now);
        }
        self.timers.set(Timer::Stop, Some(now + ASK));
    }
}
