//! Addresses that somebody else has: they are never given to a Service.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use ferrolb_crds::range::AddressRange;
use jiff::Timestamp;

use crate::key::ServiceKey;

/// Who has an address without having it from us.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimant {
    /// A Service that names it in its externalIPs.
    ExternalIps(ServiceKey),
    /// A Service of type LoadBalancer and another class, with its time of creation.
    OtherClass(ServiceKey, Timestamp),
    /// A node.
    Node(String),
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExternalIps(service) => write!(f, "Service {service} has it in its externalIPs"),
            Self::OtherClass(service, _) => write!(f, "Service {service} of another class has it"),
            Self::Node(node) => write!(f, "it is an address of node {node}"),
        }
    }
}

/// Whose claims are replaced at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A Service.
    Service(ServiceKey),
    /// A node.
    Node(String),
}

/// Who claims which addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    by_party: HashMap<Party, Vec<(IpAddr, Claimant)>>,
    by_address: HashMap<IpAddr, BTreeSet<Claimant>>,
}

impl Claims {
    /// Replaces what a party claims, and returns the addresses for which that makes a difference.
    pub(super) fn set(&mut self, party: &Party, claims: Vec<(IpAddr, Claimant)>) -> BTreeSet<IpAddr> {
        let before = self.by_party.remove(party).unwrap_or_default();
        if before == claims {
            if !claims.is_empty() {
                self.by_party.insert(party.clone(), claims);
            }
            return BTreeSet::new();
        }
        for (address, claimant) in &before {
            if let Some(claimants) = self.by_address.get_mut(address) {
                claimants.remove(claimant);
                if claimants.is_empty() {
                    self.by_address.remove(address);
                }
            }
        }
        for (address, claimant) in &claims {
            self.by_address.entry(*address).or_default().insert(claimant.clone());
        }
        let changed = before.iter().chain(&claims).map(|(address, _)| *address).collect();
        if !claims.is_empty() {
            self.by_party.insert(party.clone(), claims);
        }
        changed
    }

    /// What a party claims.
    pub(super) fn of(&self, party: &Party) -> &[(IpAddr, Claimant)] {
        self.by_party.get(party).map(Vec::as_slice).unwrap_or_default()
    }

    /// A node that has an address in one of these ranges: the first by name.
    pub(super) fn node_in(&self, ranges: &[AddressRange]) -> Option<(&str, IpAddr)> {
        let within = |address: &IpAddr| ranges.iter().any(|range| range.contains(*address));
        let claims = self.by_party.values().flatten().filter(|(address, _)| within(address));
        let nodes = claims.filter_map(|(address, claimant)| match claimant {
            Claimant::Node(node) => Some((node.as_str(), *address)),
            Claimant::ExternalIps(_) | Claimant::OtherClass(..) => None,
        });
        nodes.min()
    }

    /// One of those that claim an address.
    pub(super) fn on(&self, address: IpAddr) -> Option<&Claimant> {
        self.by_address.get(&address)?.first()
    }

    /// The Service of another class that has the address, and when it was created; the oldest of them.
    pub(super) fn other_class(&self, address: IpAddr) -> Option<(Timestamp, &ServiceKey)> {
        let claimants = self.by_address.get(&address)?.iter();
        let services = claimants.filter_map(|claimant| match claimant {
            Claimant::OtherClass(service, created) => Some((*created, service)),
            Claimant::ExternalIps(_) | Claimant::Node(_) => None,
        });
        services.min()
    }

    /// All addresses that are claimed.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.by_address.keys().copied().collect()
    }
}
