//! This node's right to an address, its place among the candidates, and that of others.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_placement::{first_placement, rendezvous};

use super::cluster::{Candidate, DesiredAddress, NodeId, Peer, Peers};
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::neighbour::Verdict;
use super::output::LossCause;
use super::slot::Slot;
use crate::link::{Link, LinkId};

/// The longest that a preferred node has to be usable before it takes over. What it did before it was usable for so long
/// is forgotten.
const LONGEST: Duration = Duration::from_secs(3600);

/// What this node may do for an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// There is nothing to do for it here.
    Nothing(LossCause),
    /// It must not own it.
    Barred(LossCause),
    /// It may own it.
    May,
}

/// Since when a node is usable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usability {
    since: Option<Instant>,
    /// How long it has to be before it counts as preferred.
    hold: Duration,
}

impl Machine {
    /// Takes up all speakers of the cluster.
    pub fn set_peers(&mut self, peers: Arc<Peers>, now: Instant) {
        self.notice_pause(now);
        if same_but_for_counts(&self.peers, &peers) {
            self.peers = peers;
            return;
        }
        let macs = |(&node, peer): (&NodeId, &super::Peer)| {
            peer.links.iter().flat_map(|link| &link.macs).map(move |&mac| (mac, node)).collect::<Vec<_>>()
        };
        self.by_mac = peers.iter().filter(|(node, _)| **node != NodeId::OWN).flat_map(macs).collect();
        for (&node, peer) in peers.iter() {
            let known = self.usability.get(&node).copied();
            let hold = known.map_or(self.timing.preference, |known| known.hold);
            let usability = match (known.and_then(|known| known.since), peer.usable && peer.live) {
                (Some(since), true) => Usability { since: Some(since), hold },
                (None, true) => Usability { since: Some(now), hold },
                (Some(since), false) if now >= since + LONGEST => {
                    Usability { since: None, hold: self.timing.preference }
                }
                (Some(_), false) => Usability { since: None, hold: (hold * 2).min(LONGEST) },
                (None, false) => Usability { since: None, hold },
            };
            self.usability.insert(node, usability);
        }
        self.peers = peers;
        let links: Vec<LinkId> = self.here.keys().copied().collect();
        let nodes: Vec<NodeId> = self.peers.keys().copied().filter(|node| *node != NodeId::OWN).collect();
        for &link in &links {
            for &node in &nodes {
                self.meet(link, node, now);
                self.schedule_neighbour(link, node);
            }
            self.settle_soon(link, now);
        }
        self.timers.set(Timer::Watches, Some(now));
    }

    pub(super) fn right(&self, link: LinkId, address: IpAddr, now: Instant) -> Right {
        let Some(wanted) = self.wanted(address) else { return Right::Nothing(LossCause::NotAdvertised) };
        let Some(here) = self.link(link).filter(|link| link.up) else {
            return Right::Nothing(LossCause::LinkDown);
        };
        if let Some(reason) = wanted.excluded {
            return Right::Barred(LossCause::NoCandidate(reason));
        }
        if !wanted.interfaces.matches(&here.name) {
            return Right::Barred(LossCause::InterfaceNotSelected);
        }
        if let Some(other) = self.leaves_to(link, wanted) {
            return Right::Barred(LossCause::SameSegment(other.name.as_str().into()));
        }
        // Who answers gives a newcomer time to be heard: joining moves nothing.
        let answers = self.owns(link, address) || self.covers(link, address);
        let hidden = self
            .first_unheard(link, wanted, |neighbour| !answers || neighbour.stays_unheard(&self.timing, now));
        hidden.map_or(Right::May, |node| Right::Barred(LossCause::Outranked(self.name_of(node))))
    }

    /// Whether a link before this one is on its segment and answers for an address there.
    fn leaves_to(&self, link: LinkId, wanted: &DesiredAddress) -> Option<&Link> {
        let before = self.segments.beside(link).filter(|other| *other < link);
        before
            .filter_map(|other| self.link(other))
            .find(|other| other.up && wanted.interfaces.matches(&other.name))
    }

    /// A better candidate with a live Lease that was not heard here and may be here nevertheless: the wire can't decide
    /// between it and this node, and its Lease does.
    pub(super) fn first_unheard(
        &self,
        link: LinkId,
        wanted: &DesiredAddress,
        counts: impl Fn(&super::neighbour::Neighbour) -> bool,
    ) -> Option<NodeId> {
        if self.breaks(Mutation::HeardRule) {
            return None;
        }
        let better = wanted.candidates.iter().take_while(|candidate| candidate.node != NodeId::OWN);
        better.map(|candidate| candidate.node).find(|&node| {
            self.neighbours.get(&(link, node)).is_some_and(|neighbour| {
                neighbour.heard.is_none() && counts(neighbour) && !self.is_elsewhere(link, node)
            })
        })
    }

    /// Whether all links of a peer were heard on other links of ours, so that it has none here.
    fn is_elsewhere(&self, link: LinkId, node: NodeId) -> bool {
        let Some(peer) = self.peer(node) else { return false };
        let heard = |mac| {
            let others = self.here.keys().filter(|other| **other != link);
            let mut heard = others.filter_map(|other| self.neighbours.get(&(*other, node))?.heard);
            heard.any(|heard| heard == mac)
        };
        self.here.len() > 1 && peer.links.iter().all(|link| link.macs.iter().any(|mac| heard(*mac)))
    }

    /// Whether a peer can be expected to take an address over here.
    pub(super) fn takes_part(&self, link: LinkId, node: NodeId) -> bool {
        self.neighbours.get(&(link, node)).is_some_and(super::neighbour::Neighbour::takes_part)
    }

    /// This node's place among the candidates other than the owner; those that are known to be silent do not count.
    pub(super) fn rank(&self, link: LinkId, wanted: &DesiredAddress, owner: Option<NodeId>) -> Option<u32> {
        self.rank_of(NodeId::OWN, link, wanted.candidates.iter(), owner)
    }

    /// This node's place at the first placement, where those that own little come before others as good.
    pub(super) fn placement_rank(&self, link: LinkId, wanted: &DesiredAddress) -> Option<u32> {
        let owned = |candidate: &&Candidate| self.peer(candidate.node).and_then(|peer| peer.owned);
        let preference = |candidate: &&Candidate| (candidate.demoted, Reverse(candidate.preference));
        let order = first_placement(wanted.candidates.iter(), owned, preference);
        self.rank_of(NodeId::OWN, link, order.into_iter(), None)
    }

    /// A node's place among those that may cover for an owner: the candidates, then any other peer.
    pub(super) fn cover_rank(
        &self,
        node: NodeId,
        link: LinkId,
        wanted: &DesiredAddress,
        owner: NodeId,
    ) -> u32 {
        if let Some(rank) = self.rank_of(node, link, wanted.candidates.iter(), Some(owner)) {
            return rank;
        }
        let counts = |other: NodeId| other != owner && self.takes_part(link, other);
        let candidates = wanted.candidates.iter().filter(|candidate| counts(candidate.node)).count();
        let hash = |node: NodeId| rendezvous(&self.name_of(node), wanted.first_address);
        let own = hash(node);
        let others = self.peers.keys().filter(|other| {
            **other != node
                && (counts(**other) || **other == NodeId::OWN)
                && wanted.candidate(**other).is_none()
                && hash(**other) > own
        });
        u32::try_from(candidates + others.count()).unwrap_or(u32::MAX)
    }

    /// As [`cover_rank`](Self::cover_rank), without those that came before this node to cover for an owner, and did not.
    pub(super) fn cover_turn(
        &self,
        node: NodeId,
        link: LinkId,
        wanted: &DesiredAddress,
        owner: NodeId,
    ) -> u32 {
        let rank = self.cover_rank(node, link, wanted, owner);
        let shirkers = self.neighbours_on(link).filter(|(_, it)| it.shirks && it.takes_part());
        let before =
            |other| ![node, owner].contains(&other) && self.cover_rank(other, link, wanted, owner) < rank;
        let idle = shirkers.filter(|(other, _)| before(*other)).count();
        rank.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX))
    }

    fn rank_of<'a>(
        &self,
        node: NodeId,
        link: LinkId,
        mut order: impl Iterator<Item = &'a Candidate>,
        owner: Option<NodeId>,
    ) -> Option<u32> {
        let mut rank = 0;
        let counts =
            |other: NodeId| Some(other) != owner && (other == NodeId::OWN || self.takes_part(link, other));
        order.find_map(|candidate| {
            if candidate.node == node {
                return Some(rank);
            }
            rank += u32::from(counts(candidate.node));
            None
        })
    }

    /// The candidates that can take an address over from this node, best first.
    pub(super) fn successors(&self, link: LinkId, wanted: &DesiredAddress) -> Vec<NodeId> {
        let others = wanted.candidates.iter().map(|candidate| candidate.node);
        others.filter(|node| *node != NodeId::OWN && self.takes_part(link, *node)).collect()
    }

    /// When a node counts as preferred, if it is usable at all.
    pub(super) fn preferred_from(&self, node: NodeId) -> Option<Instant> {
        let usability = self.usability.get(&node)?;
        Some(usability.since? + usability.hold)
    }

    /// What is known of a node that owns something here.
    pub(super) fn verdict(&self, link: LinkId, node: NodeId) -> Verdict {
        self.neighbours.get(&(link, node)).map_or(Verdict::Fine, |neighbour| neighbour.verdict)
    }

    /// Whether this node covers an address.
    pub fn covers(&self, link: LinkId, address: IpAddr) -> bool {
        let slot = self.slots.get(&(link, address));
        slot.is_some_and(Slot::is_covering)
    }
}

/// Whether nothing changed but how much each peer owns, which matters only where an address is placed first.
fn same_but_for_counts(before: &Peers, after: &Peers) -> bool {
    let rest = |(node, peer): (&NodeId, &Peer)| (*node, Peer { owned: None, ..peer.clone() });
    before.len() == after.len() && before.iter().map(rest).eq(after.iter().map(rest))
}
