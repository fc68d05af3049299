//! The decision on one address.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::interfaces::InterfaceFilter;
use crate::order::Rendezvous;
use crate::roster::{Eligible, Exclusion, Roster};

/// A node that may announce an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node's name.
    pub node: Arc<str>,
    /// The interfaces on which it may.
    pub interfaces: InterfaceFilter,
    /// It is not Ready or cordoned, and comes after those that are neither.
    pub demoted: bool,
    /// A Service's annotation names it.
    pub preferred: bool,
    /// Sum of the weights of the preferences that match it.
    pub weight: i64,
}

/// Who may announce an address, and who may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The nodes that may, best first: usable before demoted, the preferred node, the preference weight, the hash.
    /// This is the order for every question but that of the [first placement](Self::for_first_placement).
    pub candidates: Vec<Candidate>,
    roster: Arc<Roster>,
    without_endpoint: BTreeSet<Arc<str>>,
}

/// Why no node may announce an address, whatever the nodes' state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unannounced {
    /// No Service has the address.
    NoAddress,
    /// No pool contains the address.
    NoPool,
    /// No L2Advertisement selects the pool and all Services that have the address.
    NoAdvertisement,
}

/// What keeps an address from being announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// No node may, whatever its state.
    Unannounced(Unannounced),
    /// Of all nodes none may: how many for each reason.
    NoNode(BTreeMap<Exclusion, usize>),
}

/// What the Services that have an address want of its place.
#[derive(Debug)]
pub(crate) struct Wishes<'a> {
    /// The address whose hash decides: the first one of the first Service, so that what belongs together stays so.
    pub(crate) first_address: IpAddr,
    /// The node that the first Service names that names one.
    pub(crate) preferred_node: Option<&'a str>,
    /// For each Service whose externalTrafficPolicy is Local, the nodes that it lets announce.
    pub(crate) local: Vec<BTreeSet<&'a str>>,
}

impl Wishes<'_> {
    fn allow(&self, node: &str) -> bool {
        self.local.iter().all(|nodes| nodes.contains(node))
    }
}

impl Placement {
    pub(crate) fn new(roster: Arc<Roster>, wishes: &Wishes<'_>) -> Self {
        let (may, may_not): (Vec<&Eligible>, Vec<_>) =
            roster.eligible.iter().partition(|eligible| wishes.allow(&eligible.node));
        let without_endpoint = may_not.into_iter().map(|eligible| eligible.node.clone()).collect();
        let mut hash = Rendezvous::new(wishes.first_address);
        let candidate = |Eligible { node, interfaces, demoted, weight }: &Eligible| Candidate {
            node: node.clone(),
            interfaces: interfaces.clone(),
            demoted: *demoted,
            preferred: wishes.preferred_node == Some(node),
            weight: *weight,
        };
        let mut candidates: Vec<_> =
            may.into_iter().map(|eligible| (hash.of(&eligible.node), candidate(eligible))).collect();
        candidates.sort_unstable_by(|(hash, candidate), (other_hash, other)| {
            let by_preference = candidate.preference().cmp(&other.preference());
            by_preference.then(other_hash.cmp(hash)).then_with(|| candidate.node.cmp(&other.node))
        });
        let candidates = candidates.into_iter().map(|(_, candidate)| candidate).collect();
        Self { candidates, roster, without_endpoint }
    }

    /// Why a node may not announce the address; `None` if it may, or is not known.
    pub fn exclusion(&self, node: &str) -> Option<Exclusion> {
        let without_endpoint = || self.without_endpoint.contains(node).then_some(Exclusion::NoLocalEndpoint);
        self.roster.excluded.get(node).copied().or_else(without_endpoint)
    }

    /// The nodes that may not announce the address, each with the first reason that was found.
    pub fn excluded(&self) -> impl Iterator<Item = (&str, Exclusion)> {
        let excluded = self.roster.excluded.iter().map(|(node, exclusion)| (&**node, *exclusion));
        excluded.chain(self.without_endpoint.iter().map(|node| (&**node, Exclusion::NoLocalEndpoint)))
    }
}

impl Candidate {
    /// What counts before anything else; less is better.
    pub(crate) fn preference(&self) -> (bool, bool, Reverse<i64>) {
        (self.demoted, !self.preferred, Reverse(self.weight))
    }
}

impl Hindrance {
    /// What keeps the address from being announced; `None` if a node may. The order does not matter here, so that
    /// this costs no more than finding the first that may.
    pub(crate) fn of(roster: &Roster, wishes: &Wishes<'_>) -> Option<Self> {
        if roster.eligible.iter().any(|eligible| wishes.allow(&eligible.node)) {
            return None;
        }
        let mut excluded = BTreeMap::new();
        let without_endpoint = roster.eligible.iter().map(|_| &Exclusion::NoLocalEndpoint);
        for exclusion in roster.excluded.values().chain(without_endpoint) {
            *excluded.entry(*exclusion).or_default() += 1;
        }
        Some(Self::NoNode(excluded))
    }
}
