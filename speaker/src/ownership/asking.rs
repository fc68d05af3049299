//! What it means when a peer asks: that it watches, that it doubts, that it wants an address, or that it offers one.

use std::net::IpAddr;
use std::time::Instant;

use super::cluster::NodeId;
use super::frames;
use super::machine::{Machine, Timer};
use super::output::{GainCause, TransmitKind};
use super::slot::{Known, Purpose, State};
use super::standing::Right;
use crate::link::LinkId;
use crate::wire::Mac;

impl Machine {
    /// Takes up what a peer's question shows. Says whether it was an offer, which is answered already.
    pub(super) fn hear_peer_ask(
        &mut self,
        link: LinkId,
        address: IpAddr,
        peer: NodeId,
        (mac, to_us, probe): (Mac, bool, bool),
        now: Instant,
    ) -> bool {
        let Some(slot) = self.slots.get(&(link, address)) else { return false };
        let owner = slot.owner.map(|owner| owner.node);
        let owns = slot.is_owner();
        if to_us {
            if probe && owner == Some(peer) && self.takes(link, address, now) {
                self.take_over(link, address, (peer, mac), now);
                return true;
            }
            if owns && let Some(here) = self.here.get_mut(&link) {
                here.asked = now;
                if !probe {
                    self.hear_watcher(link, peer, address, now);
                }
            }
            return false;
        }
        if probe {
            if let Some(neighbour) = self.neighbours.get_mut(&(link, peer)) {
                neighbour.shirks = false;
            }
            self.hear_audited_owner(link, address, peer);
            self.hear_doubt(link, peer, address, now);
            if owner == Some(peer) {
                self.hear_hinted_owner(link, address, Known { node: peer, mac }, now);
            }
            if let Some(owner) = owner.filter(|owner| *owner != peer) {
                self.hear_alarm(link, owner, address, now);
            }
            self.give_way(link, address, peer, now);
        }
        false
    }

    /// The supposed owner asks everybody for the address: it is alive, and holds itself to be its owner. While it stops it
    /// answers no peer.
    fn hear_hinted_owner(&mut self, link: LinkId, address: IpAddr, owner: Known, now: Instant) {
        if self.slots.get(&(link, address)).is_some_and(|slot| slot.hinted) {
            self.set_owner(link, address, Some(owner), now);
            self.settle(link, address, now);
        }
    }

    /// A better candidate is at it already.
    fn give_way(&mut self, link: LinkId, address: IpAddr, peer: NodeId, now: Instant) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        let Some(wanted) = self.wanted(address) else { return };
        let place = |node| wanted.candidates.iter().position(|candidate| candidate.node == node);
        let goes_first =
            || matches!((place(peer), place(NodeId::OWN)), (Some(theirs), Some(ours)) if theirs < ours);
        let better = match &slot.state {
            State::Waiting(Purpose::Own(_)) | State::Probing(Purpose::Own(_), _) => goes_first(),
            State::Waiting(Purpose::Cover) | State::Probing(Purpose::Cover, _) => {
                let owner = slot.owner.map(|owner| owner.node);
                owner.is_some_and(|owner| {
                    let rank = |node| self.cover_rank(node, link, wanted, owner);
                    peer != owner && rank(peer) < rank(NodeId::OWN)
                })
            }
            State::Backup
            | State::Waiting(Purpose::Confirm)
            | State::Probing(Purpose::Confirm, _)
            | State::Owner(_)
            | State::Covering { .. } => false,
            State::Conflict(_) => {
                // One that looks whether the stranger is gone is enough.
                if goes_first() {
                    let due = now + self.timing.conflict + self.timing.rank;
                    self.timers.set(Timer::Slot(link, address), Some(due));
                }
                return;
            }
        };
        if better && let Some(slot) = self.slots.get_mut(&(link, address)) {
            if let State::Probing(purpose, _) = std::mem::take(&mut slot.state) {
                slot.state = State::Waiting(purpose);
            } else {
                self.plan(link, address, now);
            }
            self.wait(link, address, self.timing.rank, now);
        }
    }

    /// Whether this node takes what is offered to it.
    fn takes(&self, link: LinkId, address: IpAddr, now: Instant) -> bool {
        let state = self.slots.get(&(link, address)).map(|slot| &slot.state);
        self.stopping.is_none()
            && !self.is_behind(now)
            && self.right(link, address, now) == Right::May
            && matches!(state, Some(State::Backup | State::Waiting(_) | State::Probing(..)))
    }

    /// Takes an address over from its owner: the answer accepts it.
    fn take_over(&mut self, link: LinkId, address: IpAddr, (peer, mac): (NodeId, Mac), now: Instant) {
        let cause = GainCause::HandedOver(self.name_of(peer));
        self.set_owner(link, address, Some(Known { node: peer, mac }), now);
        self.begin(link, address, cause, now);
        if let Some(ownership) = self.ownership_mut(link, address) {
            ownership.offered_by = Some(peer);
        }
        if let Some(here) = self.link(link) {
            let frame = frames::acceptance(address, here, mac);
            self.send(link, address, TransmitKind::Answer, frame);
        }
        self.announce_now(link, address, now);
    }
}
