//! Handing an address over: to a successor that says it took it, so that no question goes unanswered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::frames;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::output::{HandOver, LossCause, TransmitKind};
use super::slot::{Known, Offer};
use super::stopping::Stop;
use crate::link::LinkId;

/// Offers to one successor.
const OFFERS: u8 = 3;
/// A node that goes has no time to wait: what nobody took it offers again so soon.
const LEAVING: Duration = Duration::from_millis(500);

impl Machine {
    /// Has an owner that may stay where it is go where it should be.
    pub(super) fn consider_move(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(ownership) = self.ownership(link, address) else {
            return;
        };
        let Some(wanted) = self.wanted(address) else { return };
        if self.stops(Stop::Leave) {
            let successors = self.successors(link, wanted);
            self.hand_over(link, address, HandOver::Leaving, successors, now);
            return;
        }
        let Some(own) = wanted.candidate(NodeId::OWN) else { return };
        let preferred: Vec<(NodeId, Instant)> = wanted
            .candidates
            .iter()
            .filter(|it| !it.demoted && it.preference > own.preference && self.takes_part(link, it.node))
            .filter_map(|it| Some((it.node, self.preferred_from(it.node)?)))
            .collect();
        let ready: Vec<NodeId> =
            preferred.iter().filter(|(_, from)| *from <= now).map(|(node, _)| *node).collect();
        if !ready.is_empty() {
            self.hand_over(link, address, HandOver::Preference, ready, now);
            return;
        }
        let settled = ownership.since + self.timing.settling;
        if let Some(placed) = ownership.placed.as_ref().filter(|_| now < settled) {
            let better = wanted.candidates.iter().take_while(|it| it.node != NodeId::OWN);
            let came = better.filter(|it| !placed.iter().any(|there| there.node == it.node));
            let came: Vec<NodeId> =
                came.map(|it| it.node).filter(|node| self.takes_part(link, *node)).collect();
            if !came.is_empty() {
                self.hand_over(link, address, HandOver::BetterCandidate, came, now);
                return;
            }
        }
        let quarrel = ownership.defended().map(|at| at + self.timing.conflict * 3);
        let next = preferred.iter().map(|(_, from)| *from).chain(quarrel).min();
        self.retract(link, address);
        self.timers.set(Timer::Slot(link, address), next);
    }

    /// Offers an address to these nodes in turn.
    pub(super) fn hand_over(
        &mut self,
        link: LinkId,
        address: IpAddr,
        because: HandOver,
        to: Vec<NodeId>,
        now: Instant,
    ) {
        let Some(ownership) = self.ownership_mut(link, address) else {
            return;
        };
        if ownership.offer.as_ref().is_some_and(|offer| offer.because == because && offer.to == to) {
            return;
        }
        ownership.offer = Some(Box::new(Offer { to, at: 0, sent: 0, because }));
        let Some(here) = self.here.get_mut(&link) else { return };
        self.timers.set(Timer::Slot(link, address), Some(here.pace(now)));
    }

    fn retract(&mut self, link: LinkId, address: IpAddr) {
        if let Some(ownership) = self.ownership_mut(link, address) {
            ownership.offer = None;
        }
    }

    /// An owner's timer is due.
    pub(super) fn owner_due(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let conflict = self.timing.conflict * 3;
        let offers = if self.breaks(Mutation::OfferRepetition) { 1 } else { OFFERS };
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        let proxied = slot.conflict.is_some_and(|stranger| stranger.proxy);
        let Some(ownership) = slot.ownership_mut() else { return };
        let quarrels = ownership.defended().is_some_and(|at| now < at + conflict);
        let Some(offer) = &mut ownership.offer else {
            if !quarrels {
                if let Some(dispute) = &mut ownership.dispute {
                    dispute.defended = None;
                }
                if !proxied {
                    self.conflict_over(link, address);
                }
            }
            self.settle(link, address, now);
            return;
        };
        if offer.sent == offers {
            (offer.at, offer.sent) = (offer.at + 1, 0);
        }
        let Some(&node) = offer.to.get(offer.at) else {
            // Nobody took it: it stays here for now.
            ownership.offer = None;
            let again = if self.stopping.is_some() { LEAVING } else { self.timing.offer_again };
            self.timers.set(Timer::Slot(link, address), Some(now + again));
            return;
        };
        offer.sent += 1;
        let mac = self.neighbours.get(&(link, node)).and_then(|neighbour| neighbour.heard);
        if let (Some(mac), Some(here)) = (mac, self.link(link)) {
            let frame = frames::offer(address, here, mac);
            self.send(link, address, TransmitKind::Offer, frame);
        }
        self.timers.set(Timer::Slot(link, address), Some(now + self.timing.offer));
    }

    /// Whether another owner is one that took what was offered; then the address is its own.
    pub(super) fn accepted(&mut self, link: LinkId, address: IpAddr, other: Known, now: Instant) -> bool {
        let offer = self.ownership(link, address).and_then(|ownership| ownership.offer.clone());
        let Some(offer) = offer else { return false };
        let asked = offer.to.iter().take(offer.at + 1).any(|node| *node == other.node);
        if !asked {
            return false;
        }
        let cause = LossCause::HandedOver { to: self.name_of(other.node), because: offer.because };
        self.end(link, address, cause);
        self.set_owner(link, address, Some(other), now);
        true
    }
}
