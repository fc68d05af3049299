//! What a node does about an address: backs it up, probes for it, owns it, or covers for its owner.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::neighbour::Verdict;
use super::output::{GainCause, HandOver, LossCause};
use super::slot::{Purpose, State};
use super::standing::Right;
use super::stopping::Stop;
use crate::link::LinkId;

/// A speaker that is back does not answer for all of its addresses at once. What it does not answer for after so long
/// it has given up.
const RESUMES: Duration = Duration::from_secs(30);

impl Machine {
    /// Makes the state of an address what it has to be.
    pub(super) fn settle(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let right = self.right(link, address, now);
        if let Right::Nothing(cause) = right {
            self.remove_slot(link, address, cause, now);
            return;
        }
        if !self.slots.contains_key(&(link, address)) {
            self.add_slot(link, address);
        }
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        match (&slot.state, right) {
            (State::Owner(_), Right::May) => {
                // The stranger was a speaker that was not known yet.
                if slot.conflict.is_some_and(|stranger| self.by_mac.contains_key(&stranger.mac)) {
                    self.conflict_over(link, address);
                    self.sweep_one(link, address, now);
                }
                self.refresh_services(link, address);
                self.consider_move(link, address, now);
            }
            (State::Owner(_), Right::Barred(LossCause::NoCandidate(reason))) => {
                self.refresh_services(link, address);
                self.retire(link, address, reason, now);
            }
            (State::Owner(_), Right::Barred(cause)) => self.end(link, address, cause),
            (State::Conflict(mac), Right::May) if !self.by_mac.contains_key(mac) => {}
            (State::Conflict(_), _) => {
                self.back_up(link, address);
                self.conflict_over(link, address);
                self.plan(link, address, now);
            }
            (State::Covering { owner, .. }, _) => {
                let (owner, services) = (*owner, self.wanted(address).map(|wanted| wanted.services.clone()));
                if let (Some(services), Some(slot)) = (services, self.slots.get_mut(&(link, address)))
                    && let State::Covering { services: known, .. } = &mut slot.state
                {
                    *known = services;
                }
                match self.purpose(link, address, now) {
                    Some(Purpose::Cover) => {}
                    // It goes on answering until it is sure that nobody else does.
                    Some(Purpose::Own(_)) => self.reprobe_covered(link, address, now),
                    Some(Purpose::Confirm) | None => {
                        self.uncover(link, address);
                        self.set_owner(link, address, Some(owner), now);
                        self.plan(link, address, now);
                    }
                }
            }
            (State::Backup | State::Waiting(_) | State::Probing(..), _) => self.plan(link, address, now),
            (_, Right::Nothing(_)) => {}
        }
    }

    /// What there is to do about an address that this node does not own.
    pub(super) fn purpose(&self, link: LinkId, address: IpAddr, now: Instant) -> Option<Purpose> {
        let slot = self.slots.get(&(link, address))?;
        let covers = slot.is_covering();
        if self.stopping.is_some() && !(covers && self.stops(Stop::Restart)) {
            return None;
        }
        let right = self.right(link, address, now);
        let own = |cause| (right == Right::May).then_some(Purpose::Own(cause));
        let wanted = self.wanted(address)?;
        let Some(owner) = slot.owner else { return own(GainCause::Unclaimed) };
        if owner.node == NodeId::OWN {
            return own(GainCause::Resumed);
        }
        let name = || self.name_of(owner.node);
        let neighbour = self.neighbours.get(&(link, owner.node));
        let heard = neighbour.is_some_and(|neighbour| neighbour.heard.is_some());
        let live = self.peer(owner.node).is_some_and(|peer| peer.live);
        let candidate = wanted.candidate(owner.node).is_some();
        let mut verdict = neighbour.map_or(Verdict::Fine, |neighbour| neighbour.verdict);
        if covers && verdict == Verdict::Fine {
            let back = neighbour.and_then(|neighbour| neighbour.found);
            if back.is_some_and(|at| now >= at + RESUMES) {
                return own(GainCause::Unclaimed);
            }
            verdict = Verdict::SpeakerSilent;
        }
        match verdict {
            Verdict::Dead => own(GainCause::NodeSilent(name())),
            Verdict::SpeakerSilent if !live => own(GainCause::LeaseEnded(name())),
            Verdict::SpeakerSilent if !candidate => own(GainCause::OwnerExcluded(name())),
            Verdict::SpeakerSilent => match right {
                Right::May | Right::Barred(LossCause::NoCandidate(_)) => Some(Purpose::Cover),
                Right::Barred(_) | Right::Nothing(_) => None,
            },
            Verdict::Fine if !heard && !live => own(GainCause::LeaseEnded(name())),
            // Where the wire does not decide, the first in order takes what a later one has.
            Verdict::Fine if !heard && candidate => {
                let first = wanted.candidates.iter().find(|it| [NodeId::OWN, owner.node].contains(&it.node));
                let first = first.is_some_and(|first| first.node == NodeId::OWN);
                let unheard = neighbour.is_none_or(|it| it.stays_unheard(&self.timing, now));
                if first && unheard { own(GainCause::Unclaimed) } else { None }
            }
            // One that is no candidate may have given the address up.
            Verdict::Fine if heard && !candidate && right == Right::May => Some(Purpose::Confirm),
            Verdict::Fine => slot.hinted.then_some(Purpose::Confirm),
        }
    }

    /// Has a backup do what there is to do, in its turn.
    pub(super) fn plan(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let purpose = self.purpose(link, address, now);
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        let current = match &slot.state {
            State::Waiting(current) | State::Probing(current, _) => Some(current),
            State::Backup | State::Owner(_) | State::Covering { .. } | State::Conflict(_) => None,
        };
        match purpose {
            Some(purpose) if current == Some(&purpose) => {}
            Some(purpose) => {
                slot.state = State::Waiting(purpose);
                self.wait(link, address, Duration::ZERO, now);
            }
            None => {
                self.back_up(link, address);
                self.conflict_over(link, address);
            }
        }
    }

    /// Sets the timer of a node that waits for its turn.
    pub(super) fn wait(&mut self, link: LinkId, address: IpAddr, least: Duration, now: Instant) {
        let Some(rank) = self.turn(link, address) else { return };
        let slot = self.slots.get(&(link, address));
        let claims = slot.is_some_and(|slot| matches!(slot.state, State::Waiting(Purpose::Own(_))));
        let Some(here) = self.here.get_mut(&link) else { return };
        let turn = here.pace(now);
        if rank == 0 && claims {
            // Whoever goes first announces it after a probe, unless somebody answers.
            self.announcer.expect(link, turn + self.timing.probe);
        }
        let due = turn + (self.timing.rank * rank).max(least);
        self.timers.set(Timer::Slot(link, address), Some(due));
    }

    /// How many others go before this node.
    fn turn(&self, link: LinkId, address: IpAddr) -> Option<u32> {
        let (slot, wanted) = (self.slots.get(&(link, address))?, self.wanted(address)?);
        let State::Waiting(purpose) = &slot.state else { return None };
        let owner = slot.owner.map(|owner| owner.node);
        if self.breaks(Mutation::RankDelay) {
            return Some(0);
        }
        match purpose {
            Purpose::Confirm | Purpose::Own(GainCause::Resumed) => Some(0),
            Purpose::Own(GainCause::Unclaimed) => self.placement_rank(link, wanted),
            Purpose::Own(_) => self.rank(link, wanted, owner),
            Purpose::Cover => Some(self.cover_turn(NodeId::OWN, link, wanted, owner?)),
        }
    }

    fn refresh_services(&mut self, link: LinkId, address: IpAddr) {
        let Some(services) = self.wanted(address).map(|wanted| wanted.services.clone()) else { return };
        if let Some(ownership) = self.ownership_mut(link, address) {
            ownership.services = services;
        }
    }

    /// The node is no candidate any more: it hands over if there are others, and is silent if there are none, or if
    /// one that comes before those that could take it can't be heard, and takes the address by its Lease.
    fn retire(&mut self, link: LinkId, address: IpAddr, reason: ferrolb_placement::Exclusion, now: Instant) {
        let Some(wanted) = self.wanted(address) else { return };
        let unheard =
            self.first_unheard(link, wanted, |neighbour| neighbour.stays_unheard(&self.timing, now));
        let successors = self.successors(link, wanted);
        let follows = |node: &NodeId| Some(*node) == unheard || Some(node) == successors.first();
        let next = wanted.candidates.iter().map(|candidate| candidate.node).find(follows);
        if wanted.candidates.is_empty() || (next.is_some() && next == unheard) {
            self.end(link, address, LossCause::NoCandidate(reason));
            self.plan(link, address, now);
            return;
        }
        self.hand_over(link, address, HandOver::NoCandidate(reason), successors, now);
    }
}
