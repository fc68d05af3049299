//! What other hosts say of who has an address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::cluster::NodeId;
use super::frames;
use super::machine::Machine;
use super::mutation::Mutation;
use super::neighbour::Verdict;
use super::output::{GainCause, LossCause, TransmitKind};
use super::slot::{Dispute, Known, Ownership, State};
use super::standing::Right;
use super::watching::Life;
use crate::announcer::Kind;
use crate::link::LinkId;
use crate::wire::Mac;

/// Others are told at most this often that this owner stays.
const INSIST: Duration = Duration::from_millis(200);
/// An owner that claims an address again within this time after it was told does not agree.
const DISSENT: Duration = Duration::from_secs(2);

/// Who offered an address has heard within this time that it was accepted.
const ACCEPTED: Duration = Duration::from_secs(1);

/// A frame that says who has an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    pub(super) address: IpAddr,
    /// Where its traffic is to go.
    pub(super) receiver: Mac,
    /// It may have been said unasked.
    pub(super) claim: bool,
    /// It was said to this node alone.
    pub(super) to_us: bool,
    /// The Ethernet source: who says so.
    pub(super) by: Mac,
}

/// Whom a statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Us,
    Peer(NodeId),
    Stranger,
}

impl Machine {
    pub(super) fn hear_statement(&mut self, link: LinkId, said: &Statement, now: Instant) {
        let speaker = self.by_mac.get(&said.by).copied();
        match speaker {
            Some(peer) => self.hear_life(link, peer, said, now),
            None => self.hear_proxy(link, said, now),
        }
        if !self.slots.contains_key(&(link, said.address)) {
            return;
        }
        let named = if self.own_macs.contains(&said.receiver) {
            Named::Us
        } else {
            let peer = self.by_mac.get(&said.receiver).copied();
            // A card of a peer that its Lease does not tell yet.
            peer.or(speaker.filter(|_| said.by == said.receiver)).map_or(Named::Stranger, Named::Peer)
        };
        self.hear_audited(link, said, named);
        match named {
            Named::Us => self.hear_own_name(link, said.address, speaker, now),
            Named::Peer(node) => self.hear_peer_named(link, said, speaker, node, now),
            Named::Stranger => self.hear_stranger(link, said.address, said.receiver, now),
        }
    }

    /// What the frame shows about the life of the peer that sent it.
    fn hear_life(&mut self, link: LinkId, peer: NodeId, said: &Statement, now: Instant) {
        let own_address =
            self.peer(peer).is_some_and(|peer| peer.links.iter().any(|link| link.has(said.address)));
        let life = if own_address {
            Life::Kernel
        } else if self.slots.contains_key(&(link, said.address)) {
            Life::Speaker
        } else {
            return;
        };
        let own_claim = said.claim && self.by_mac.get(&said.receiver) == Some(&peer);
        if said.to_us || (said.claim && life == Life::Speaker && !own_claim) {
            self.answered(link, peer, life, said.by, now);
        } else if own_claim && life == Life::Speaker {
            self.claimed(link, peer, now);
        }
    }

    /// Somebody says that this node has the address.
    fn hear_own_name(&mut self, link: LinkId, address: IpAddr, speaker: Option<NodeId>, now: Instant) {
        // What waited while this process was paused was said for what it owned then.
        let Some(speaker) = speaker.filter(|_| !self.is_behind(now)) else { return };
        let right = self.right(link, address, now);
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        match &mut slot.state {
            State::Owner(ownership) => {
                ownership.covered = true;
            }
            State::Backup | State::Waiting(_) | State::Probing(..)
                if right == Right::May && self.stopping.is_none() =>
            {
                self.begin(link, address, GainCause::Resumed, now);
            }
            // Each holds the other to be the owner, and covers for it.
            State::Covering { owner, .. }
                if owner.node == speaker && right == Right::May && self.stopping.is_none() =>
            {
                self.uncover(link, address);
                self.begin(link, address, GainCause::Resumed, now);
            }
            State::Backup
            | State::Waiting(_)
            | State::Probing(..)
            | State::Covering { .. }
            | State::Conflict(_) => {}
        }
    }

    /// Somebody says that a peer has the address: the peer itself, one that covers for it, or a switch from memory.
    fn hear_peer_named(
        &mut self,
        link: LinkId,
        said: &Statement,
        speaker: Option<NodeId>,
        node: NodeId,
        now: Instant,
    ) {
        let address = said.address;
        let itself = speaker == Some(node);
        if !itself && self.verdict(link, node) == Verdict::Dead {
            return;
        }
        let (known, audited) = (Known { node, mac: said.receiver }, self.is_audited(link, said, node, now));
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        if itself {
            slot.asked = None;
        }
        match &slot.state {
            State::Owner(_) if itself => {
                self.meet_owner(link, address, known, now);
                if !said.claim && !self.owns(link, address) {
                    // The answer was for us alone: others here have to learn of it too.
                    self.ask_everybody(link, address, now);
                }
            }
            State::Owner(_) if speaker.is_some() => self.insist(link, address, now),
            State::Owner(_) => {}
            State::Covering { owner, .. } if owner.node == node => {
                let goes_first = |wanted| {
                    let rank = |who| self.cover_rank(who, link, wanted, node);
                    speaker.is_some_and(|it| rank(it) < rank(NodeId::OWN))
                };
                let relieved = self.stopping.is_some() && speaker.is_some();
                if itself || relieved || (said.to_us && self.wanted(address).is_some_and(goes_first)) {
                    self.uncover(link, address);
                }
            }
            State::Covering { .. } if itself => {
                self.uncover(link, address);
                self.set_owner(link, address, Some(known), now);
            }
            // Two cover for two that each had the address on their side of a split; or the one that is covered for covers
            // itself for another one, and so is not the owner.
            State::Covering { owner, .. } if speaker.is_some() => {
                let not_owner = speaker == Some(owner.node);
                if not_owner || pair_hash(owner.mac, address) < pair_hash(said.receiver, address) {
                    self.uncover(link, address);
                    self.set_owner(link, address, Some(known), now);
                }
            }
            State::Covering { .. } => {}
            State::Conflict(_) if itself => {
                self.back_up(link, address);
                self.conflict_over(link, address);
                self.set_owner(link, address, Some(known), now);
            }
            State::Conflict(_) => {}
            State::Backup if audited => {}
            State::Backup | State::Waiting(_) | State::Probing(..) => {
                if itself || speaker.is_some() || slot.owner.is_none() {
                    self.set_owner(link, address, Some(known), now);
                    self.back_up(link, address);
                    self.conflict_over(link, address);
                }
            }
        }
    }

    /// Another node owns what this node owns.
    fn meet_owner(&mut self, link: LinkId, address: IpAddr, other: Known, now: Instant) {
        if self.accepted(link, address, other, now) {
            return;
        }
        if let Some(dispute) = self.ownership_mut(link, address).map(Ownership::dispute_mut)
            && !dispute.rivals.contains(&other.node)
        {
            dispute.rivals.push(other.node);
        }
        if self.yields(link, address, other, now) {
            let cause = LossCause::Yielded(self.name_of(other.node));
            self.end(link, address, cause);
            self.set_owner(link, address, Some(other), now);
            // What was taken over from this node was hardly this one alone.
            self.sweep(link, now);
        } else {
            self.insist(link, address, now);
        }
    }

    /// Of two owners that hear each other, the one whose Lease is not live yields; else, if exactly one is in doubt,
    /// that one; else the one with the lower hash.
    fn yields(&self, link: LinkId, address: IpAddr, other: Known, now: Instant) -> bool {
        let ownership = self.ownership(link, address);
        // What it said before it had our acceptance.
        if ownership.is_some_and(|it| it.offered_by == Some(other.node) && now < it.since + ACCEPTED) {
            return false;
        }
        let live = |node| self.peer(node).is_some_and(|peer| peer.live);
        let (own_live, other_live) = (live(NodeId::OWN), live(other.node));
        if own_live && !other_live {
            return false;
        }
        let quiet = self.here.get(&link).is_some_and(|here| here.quiet.is_some());
        let own_doubt = quiet || self.shows_doubt(link, address, now);
        let dispute = self.dispute(link, address);
        let other_doubt = dispute
            .and_then(|dispute| dispute.doubted)
            .is_some_and(|(node, until)| node == other.node && now < until);
        if own_doubt != other_doubt {
            return own_doubt;
        }
        // The other one insists after it heard us, and may know that our Lease has ended: we only know that we can't
        // renew it.
        let insisted = dispute.and_then(|dispute| dispute.insisted);
        let heard_us = |at: Instant| now >= at + self.timing.probe;
        if !own_live && insisted.is_some_and(|at| heard_us(at) && now < at + DISSENT) {
            return true;
        }
        let Some(own) = self.link(link).map(|link| link.mac) else { return true };
        pair_hash(own, address) < pair_hash(other.mac, address) && !self.breaks(Mutation::PairwiseTie)
    }

    /// Tells another owner that this one stays.
    fn insist(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        if self.is_time(link, address, |dispute| &mut dispute.insisted, now) {
            self.announce_now(link, address, now);
        }
    }

    /// Announces an address that a peer asked everybody for, unless this node is not sure of it: another owner would yield
    /// to a claim.
    pub(super) fn tell_everybody(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        if !self.shows_doubt(link, address, now)
            && self.is_time(link, address, |dispute| &mut dispute.told, now)
        {
            self.announce_now(link, address, now);
        }
    }

    /// Whether an owner may say something again that it said last then; it is held to say it now.
    fn is_time(
        &mut self,
        link: LinkId,
        address: IpAddr,
        last: impl Fn(&mut Dispute) -> &mut Option<Instant>,
        now: Instant,
    ) -> bool {
        let Some(ownership) = self.ownership_mut(link, address) else { return false };
        let last = last(ownership.dispute_mut());
        let is_time = last.is_none_or(|at| now >= at + INSIST);
        if is_time {
            *last = Some(now);
        }
        is_time
    }

    /// Announces an address at once, outside the budget.
    pub(super) fn announce_now(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(here) = self.link(link) else { return };
        if let Some(frame) = frames::first_announcement(address, here) {
            self.send_to_all(link, address, TransmitKind::Announcement(Kind::First), frame, now);
        }
    }
}

/// What decides between two owners: XXH3-64, seed 0, of the hardware address and the bytes of the address.
fn pair_hash(mac: Mac, address: IpAddr) -> u64 {
    let mut input = mac.0.to_vec();
    match address {
        IpAddr::V4(address) => input.extend(address.octets()),
        IpAddr::V6(address) => input.extend(address.octets()),
    }
    xxh3_64(&input)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of docs/ownership.md: whoever implements the hash elsewhere can check it with these.
    #[test]
    fn the_hash_between_two_owners_is_that_of_the_test_vectors() {
        for (last, address, expected) in [
            (1, "192.168.1.240", 0x1ff7_439f_b742_4573),
            (2, "192.168.1.240", 0x87b5_fc36_f9ca_781e),
            (1, "fd00::f0", 0x5453_4a74_3e30_6d54),
            (2, "fd00::f0", 0xffb4_40ab_911a_328e),
        ] {
            let hash = pair_hash(Mac([2, 0, 0, 0, 0, last]), address.parse().unwrap());
            assert_eq!(hash, expected, "{last} {address}");
        }
    }
}
