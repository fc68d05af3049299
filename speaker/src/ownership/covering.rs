//! Answering for an owner whose speaker does not answer, while its node does and still gets the traffic.

use std::net::IpAddr;
use std::time::Instant;

use super::cluster::NodeId;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::neighbour::Verdict;
use super::output::Change;
use super::slot::State;
use crate::link::LinkId;

impl Machine {
    pub(super) fn begin_covering(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(wanted) = self.wanted(address) else { return };
        let services = wanted.services.clone();
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        let Some(owner) = slot.owner else { return };
        slot.state = State::Covering { owner, probing: false, services };
        self.timers.set(Timer::Slot(link, address), Some(now + self.timing.reprobe));
        let name = self.name_of(owner.node);
        self.emit(link, address, Change::Covering { owner: name });
        self.note_shirkers(link, address, owner.node, now);
    }

    /// Whoever should have covered instead does not, and may leave other addresses without an answer, also those of other owners.
    fn note_shirkers(&mut self, link: LinkId, address: IpAddr, owner: NodeId, now: Instant) {
        let Some(wanted) = self.wanted(address) else { return };
        // Most often it is this node's turn, and it costs nothing to know.
        if self.cover_turn(NodeId::OWN, link, wanted, owner) == 0 {
            return;
        }
        let rank = self.cover_rank(NodeId::OWN, link, wanted, owner);
        let before = |node| node != owner && self.cover_rank(node, link, wanted, owner) < rank;
        let others = self.neighbours_on(link).filter(|(_, it)| it.takes_part() && !it.shirks);
        let news: Vec<NodeId> = others.map(|(node, _)| node).filter(|node| before(*node)).collect();
        for &node in &news {
            if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
                neighbour.shirks = true;
            }
        }
        if news.is_empty() {
            return;
        }
        let silent = self.neighbours_on(link).filter(|(_, it)| it.verdict == Verdict::SpeakerSilent);
        for owner in silent.map(|(node, _)| node).collect::<Vec<_>>() {
            self.settle_owner(link, owner, now);
        }
    }

    /// Covers no more.
    pub(super) fn uncover(&mut self, link: LinkId, address: IpAddr) {
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        let State::Covering { services, .. } = std::mem::take(&mut slot.state) else { return };
        self.timers.set(Timer::Slot(link, address), None);
        self.emit_for(link, address, services, Change::Uncovered);
    }

    /// Asks at once whether somebody else answers, before the address is taken over.
    pub(super) fn reprobe_covered(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        if matches!(slot.state, State::Covering { probing: false, .. }) {
            self.keep_covering(link, address, false, now);
        }
    }

    /// Asks every second whether somebody else answers.
    pub(super) fn keep_covering(&mut self, link: LinkId, address: IpAddr, probed: bool, now: Instant) {
        let wait = if probed { self.timing.reprobe } else { self.timing.probe };
        if let Some(slot) = self.slots.get_mut(&(link, address))
            && let State::Covering { probing, .. } = &mut slot.state
        {
            *probing = !probed;
        }
        if !probed && !self.breaks(Mutation::CoveringCheck) {
            self.send_probe(link, address, now);
        }
        self.timers.set(Timer::Slot(link, address), Some(now + wait));
    }
}
