//! Beginning and ceasing to own an address, and what is known of who else does.

use std::net::IpAddr;
use std::time::Instant;

use super::cluster::NodeId;
use super::machine::{Machine, Timer};
use super::output::{Change, GainCause, LossCause};
use super::slot::{Dispute, Known, Ownership, Slot, State};
use crate::link::LinkId;

impl Machine {
    /// Owns an address from now on.
    pub(super) fn begin(&mut self, link: LinkId, address: IpAddr, cause: GainCause, now: Instant) {
        let Some(mac) = self.link(link).map(|link| link.mac) else { return };
        let Some(wanted) = self.wanted(address) else { return };
        let placed = (cause == GainCause::Unclaimed).then(|| wanted.candidates.clone());
        let before = self.slots.get(&(link, address)).and_then(|slot| slot.owner).map(|owner| owner.node);
        let silence = before.filter(|_| matches!(cause, GainCause::NodeSilent(_)));
        let silence = silence.and_then(|node| self.neighbours.get(&(link, node))?.silent_since);
        let silence = silence.map(|since| now.saturating_duration_since(since));
        let rival = before.filter(|node| *node != NodeId::OWN);
        let ownership = Ownership {
            services: wanted.services.clone(),
            since: now,
            placed,
            offer: None,
            offered_by: None,
            covered: false,
            dispute: rival.map(|rival| Box::new(Dispute { rivals: vec![rival], ..Dispute::default() })),
        };
        self.back_up(link, address);
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        if slot.conflict.is_some_and(|stranger| !stranger.proxy) {
            self.conflict_over(link, address);
        }
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
        self.emit(link, address, Change::Announcing { mac, cause, silence });
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
        self.conflict_over(link, address);
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
        if before != after {
            self.found_right(link, address);
        }
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

    pub(super) fn add_slot(&mut self, link: LinkId, address: IpAddr) {
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

    pub(super) fn remove_slot(&mut self, link: LinkId, address: IpAddr, cause: LossCause, now: Instant) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        match slot.state {
            State::Owner(_) => self.end(link, address, cause),
            State::Covering { .. } => self.uncover(link, address),
            State::Backup | State::Waiting(_) | State::Probing(..) | State::Conflict(_) => {}
        }
        self.conflict_over(link, address);
        self.timers.set(Timer::Slot(link, address), None);
        self.set_owner(link, address, None, now);
        self.slots.remove(&(link, address));
    }
}
