//! What a node does about an address: backs it up, probes for it, owns it, or covers for its owner.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::frames;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::neighbour::Verdict;
use super::output::{Change, GainCause, HandOver, LossCause, TransmitKind};
use super::slot::{Known, Ownership, Purpose, Slot, State};
use super::standing::Right;
use super::stopping::Stop;
use crate::link::LinkId;

/// How long a question to a supposed owner waits for its answer.
const CONFIRM: Duration = Duration::from_millis(100);

impl Machine {
    /// Makes the state of an address what it has to be.
    pub(super) fn settle(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let right = self.right(link, address, now);
        if let Right::Nothing(cause) = right {
            self.remove_slot(link, address, cause);
            return;
        }
        if !self.slots.contains_key(&(link, address)) {
            self.add_slot(link, address);
        }
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        match (&slot.state, right) {
            (State::Owner(_), Right::May) => {
                // The stranger was a speaker that was not known yet.
                if slot.conflict.is_some_and(|mac| self.by_mac.contains_key(&mac)) {
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
    fn purpose(&self, link: LinkId, address: IpAddr, now: Instant) -> Option<Purpose> {
        let slot = self.slots.get(&(link, address))?;
        let covers = matches!(slot.state, State::Covering { .. });
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
        let verdict = neighbour.map_or(Verdict::Fine, |neighbour| neighbour.verdict);
        // A speaker that is back does not answer for all of its addresses at once.
        match if covers && verdict == Verdict::Fine { Verdict::SpeakerSilent } else { verdict } {
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
            None => self.back_up(link, address),
        }
    }

    /// Sets the timer of a node that waits for its turn.
    pub(super) fn wait(&mut self, link: LinkId, address: IpAddr, least: Duration, now: Instant) {
        let Some(rank) = self.turn(link, address) else { return };
        let Some(here) = self.here.get_mut(&link) else { return };
        let due = here.pace(now) + (self.timing.rank * rank).max(least);
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
            Purpose::Cover => Some(self.cover_rank(NodeId::OWN, link, wanted, owner?)),
        }
    }

    /// An address's timer is due.
    pub(super) fn slot_due(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        match &slot.state {
            State::Backup => {}
            State::Waiting(purpose) => {
                let purpose = purpose.clone();
                if self.purpose(link, address, now).as_ref() == Some(&purpose) {
                    self.begin_probing(link, address, purpose, now);
                } else {
                    self.back_up(link, address);
                    self.plan(link, address, now);
                }
            }
            State::Probing(purpose, left) => {
                let (purpose, left) = (purpose.clone(), *left);
                self.unanswered(link, address, purpose, left, now);
            }
            State::Owner(_) => self.owner_due(link, address, now),
            State::Covering { probing, .. } => {
                let probing = *probing;
                match self.purpose(link, address, now) {
                    Some(Purpose::Own(cause)) if probing => self.begin(link, address, cause, now),
                    _ => self.keep_covering(link, address, probing, now),
                }
            }
            State::Conflict(_) => {
                let purpose = Purpose::Own(GainCause::Unclaimed);
                self.begin_probing(link, address, purpose, now);
            }
        }
    }

    fn begin_probing(&mut self, link: LinkId, address: IpAddr, purpose: Purpose, now: Instant) {
        let left = match &purpose {
            Purpose::Own(GainCause::Unclaimed) => self.timing.placement_probes.saturating_sub(1),
            Purpose::Confirm | Purpose::Own(_) | Purpose::Cover => 0,
        };
        if purpose == Purpose::Cover && self.breaks(Mutation::CoveringCheck) {
            self.begin_covering(link, address, now);
            return;
        }
        if matches!(purpose, Purpose::Own(_)) && self.is_cut_off(link, now) {
            self.ask_whoever_is_there(link, now);
        }
        if purpose == Purpose::Confirm {
            self.ask_supposed_owner(link, address);
        } else {
            self.send_probe(link, address, now);
        }
        let wait = if purpose == Purpose::Confirm { CONFIRM } else { self.timing.probe };
        if let Some(slot) = self.slots.get_mut(&(link, address)) {
            slot.state = State::Probing(purpose, left);
        }
        self.timers.set(Timer::Slot(link, address), Some(now + wait));
    }

    fn ask_supposed_owner(&mut self, link: LinkId, address: IpAddr) {
        let owner = self.slots.get(&(link, address)).and_then(|slot| slot.owner);
        if let (Some(owner), Some(here)) = (owner, self.link(link)) {
            let frame = frames::ask(address, here, owner.mac);
            self.send(link, address, TransmitKind::Question, frame);
        }
    }

    pub(super) fn send_probe(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(here) = self.link(link) else { return };
        let frame = frames::probe(address, here);
        self.send_to_all(link, address, TransmitKind::Probe, frame, now);
    }

    /// Nobody answered in time.
    fn unanswered(&mut self, link: LinkId, address: IpAddr, purpose: Purpose, left: u8, now: Instant) {
        if left > 0 {
            self.send_probe(link, address, now);
            if let Some(slot) = self.slots.get_mut(&(link, address)) {
                slot.state = State::Probing(purpose, left - 1);
            }
            self.timers.set(Timer::Slot(link, address), Some(now + self.timing.probe));
            return;
        }
        match purpose {
            Purpose::Confirm => {
                self.set_owner(link, address, None, now);
                self.back_up(link, address);
                self.plan(link, address, now);
            }
            Purpose::Cover => self.begin_covering(link, address, now),
            Purpose::Own(cause) => match self.deaf_until(link, now) {
                Some(until) => {
                    if let Some(slot) = self.slots.get_mut(&(link, address)) {
                        slot.state = State::Waiting(Purpose::Own(cause));
                    }
                    self.timers.set(Timer::Slot(link, address), Some(until));
                    self.schedule_link(link, now);
                }
                None if self.is_cut_off(link, now) => {
                    // The probe may have been heard by nobody.
                    if let Some(slot) = self.slots.get_mut(&(link, address)) {
                        slot.state = State::Waiting(Purpose::Own(cause));
                    }
                    self.ask_whoever_is_there(link, now);
                    self.wait(link, address, self.timing.question, now);
                }
                None => self.begin(link, address, cause, now),
            },
        }
    }

    /// Whether nothing is claimed here yet, as nobody was heard.
    pub(super) fn is_deaf(&self, link: LinkId, now: Instant) -> bool {
        self.deaf_until(link, now).is_some()
    }

    /// Until when nothing is claimed, as nobody was heard yet: this link may not be connected to anything.
    fn deaf_until(&self, link: LinkId, now: Instant) -> Option<Instant> {
        let here = self.here.get(&link)?;
        let until = here.up_since + self.timing.deaf;
        (!here.hosts.any() && now < until).then_some(until)
    }

    /// Some other host was heard for the first time since the link came up.
    pub(super) fn hear_first_host(&mut self, link: LinkId, now: Instant) {
        let waits =
            |(_, slot): &(&(LinkId, IpAddr), &Slot)| matches!(slot.state, State::Waiting(Purpose::Own(_)));
        let waiting = self.slots.iter().filter(|((on, _), _)| *on == link).filter(waits);
        for address in waiting.map(|((_, address), _)| *address).collect::<Vec<_>>() {
            self.wait(link, address, Duration::ZERO, now);
        }
        self.schedule_link(link, now);
    }

    /// Owns an address from now on.
    pub(super) fn begin(&mut self, link: LinkId, address: IpAddr, cause: GainCause, now: Instant) {
        let Some(mac) = self.link(link).map(|link| link.mac) else { return };
        let Some(wanted) = self.wanted(address) else { return };
        let placed = (cause == GainCause::Unclaimed).then(|| wanted.candidates.clone());
        let before = self.slots.get(&(link, address)).and_then(|slot| slot.owner).map(|owner| owner.node);
        let rivals = before.filter(|node| *node != NodeId::OWN).into_iter().collect();
        let ownership = Ownership {
            services: wanted.services.clone(),
            since: now,
            placed,
            offer: None,
            offered_by: None,
            defended: None,
            insisted: None,
            told: None,
            rivals,
            shown: None,
            doubted: None,
            covered: false,
        };
        self.back_up(link, address);
        self.conflict_over(link, address);
        self.set_owner(link, address, None, now);
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        slot.state = State::Owner(Box::new(ownership));
        let first = self.owned.range(super::here::of(link)).next().is_none();
        self.owned.insert((link, address));
        if let Some(here) = self.here.get_mut(&link)
            && first
        {
            here.asked = now;
        }
        self.emit(link, address, Change::Announcing { mac, cause });
        self.schedule_link(link, now);
        self.consider_move(link, address, now);
    }

    /// Owns an address no more.
    pub(super) fn end(&mut self, link: LinkId, address: IpAddr, cause: LossCause) {
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        let State::Owner(ownership) = std::mem::take(&mut slot.state) else { return };
        self.owned.remove(&(link, address));
        self.announcer.stop(link, address);
        self.timers.set(Timer::Slot(link, address), None);
        self.emit_for(link, address, ownership.services, Change::Withdrawn(cause));
    }

    /// The owner of an address answers, but not for this one: it may have given it up unheard.
    pub(super) fn doubt_owner(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        (slot.hinted, slot.asked) = (true, None);
        self.settle(link, address, now);
    }

    /// Does nothing about an address until something happens.
    pub(super) fn back_up(&mut self, link: LinkId, address: IpAddr) {
        self.timers.set(Timer::Slot(link, address), None);
        if let Some(slot) = self.slots.get_mut(&(link, address)) {
            slot.state = State::Backup;
        }
    }

    /// Notes who owns an address, as far as it is another node.
    pub(super) fn set_owner(&mut self, link: LinkId, address: IpAddr, owner: Option<Known>, now: Instant) {
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        (slot.hinted, slot.asked) = (false, None);
        let before = std::mem::replace(&mut slot.owner, owner);
        let (before, after) = (before.map(|it| it.node), owner.map(|it| it.node));
        if let Some(node) = before.filter(|_| before != after)
            && let Some(addresses) = self.owners.get_mut(&(link, node))
        {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.owners.remove(&(link, node));
                self.timers.set(Timer::Watches, Some(now));
            }
        }
        if let Some(node) = after.filter(|node| *node != NodeId::OWN) {
            let addresses = self.owners.entry((link, node)).or_default();
            if addresses.is_empty() {
                self.timers.set(Timer::Watches, Some(now));
            }
            addresses.insert(address);
        }
    }

    fn add_slot(&mut self, link: LinkId, address: IpAddr) {
        self.slots.insert((link, address), Slot::default());
        let Some(&node) = self.hints.get(&address) else { return };
        let mac = match node {
            NodeId::OWN => self.link(link).map(|link| link.mac),
            _ => self.peer(node).and_then(|peer| peer.links.first()?.macs.first().copied()),
        };
        if let Some(mac) = mac
            && let Some(slot) = self.slots.get_mut(&(link, address))
        {
            // Not yet known for certain: nobody watches for it before it was confirmed.
            (slot.owner, slot.hinted) = (Some(Known { node, mac }), true);
        }
    }

    pub(super) fn remove_slot(&mut self, link: LinkId, address: IpAddr, cause: LossCause) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        match slot.state {
            State::Owner(_) => self.end(link, address, cause),
            State::Covering { .. } => self.uncover(link, address),
            State::Backup | State::Waiting(_) | State::Probing(..) | State::Conflict(_) => {}
        }
        self.conflict_over(link, address);
        self.timers.set(Timer::Slot(link, address), None);
        if let Some(slot) = self.slots.remove(&(link, address))
            && let Some(owner) = slot.owner
            && let Some(addresses) = self.owners.get_mut(&(link, owner.node))
        {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.owners.remove(&(link, owner.node));
            }
        }
    }

    /// No stranger answers for an address any more, or not in this node's place.
    pub(super) fn conflict_over(&mut self, link: LinkId, address: IpAddr) {
        let conflict = self.slots.get_mut(&(link, address)).and_then(|slot| slot.conflict.take());
        if conflict.is_some() {
            self.emit(link, address, Change::ConflictOver);
        }
    }

    fn refresh_services(&mut self, link: LinkId, address: IpAddr) {
        let Some(services) = self.wanted(address).map(|wanted| wanted.services.clone()) else { return };
        if let Some(ownership) = self.slots.get_mut(&(link, address)).and_then(|slot| slot.ownership_mut()) {
            ownership.services = services;
        }
    }

    /// The node is no candidate any more: it hands over if there are others, and is silent if there are none, or if
    /// one can't be heard and takes the address by its Lease.
    fn retire(&mut self, link: LinkId, address: IpAddr, reason: ferrolb_placement::Exclusion, now: Instant) {
        let Some(wanted) = self.wanted(address) else { return };
        let unheard = self
            .first_unheard(link, wanted, |neighbour| neighbour.stays_unheard(&self.timing, now))
            .is_some();
        let successors = self.successors(link, wanted);
        if wanted.candidates.is_empty()
            || (unheard && successors.first() != wanted.candidates.first().map(|it| &it.node))
        {
            self.end(link, address, LossCause::NoCandidate(reason));
            self.plan(link, address, now);
            return;
        }
        self.hand_over(link, address, HandOver::NoCandidate(reason), successors, now);
    }
}
