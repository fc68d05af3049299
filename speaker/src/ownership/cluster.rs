//! What the machine is told of the cluster: which addresses there are, who may announce them, and who the peers are.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ferrolb_placement::{Exclusion, InterfaceFilter};

use crate::wire::Mac;

/// A node, by a number that is its own for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// This node.
    pub const OWN: NodeId = NodeId(0);
}

/// The addresses that the machine deals with; it never answers for any other.
pub type Desired = BTreeMap<IpAddr, DesiredAddress>;

/// One address, and who may announce it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredAddress {
    /// The Services that have the address, in the order of their names.
    pub services: Arc<[ServiceName]>,
    /// The interfaces on which this node may announce it.
    pub interfaces: InterfaceFilter,
    /// The nodes that may announce it, best first.
    pub candidates: Arc<[Candidate]>,
    /// Why this node is none of them.
    pub excluded: Option<Exclusion>,
    /// The address whose hash gives the order: the first one of the first Service.
    pub first_address: IpAddr,
}

/// A node that may announce an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// It is not Ready or cordoned: better than nobody.
    pub demoted: bool,
    /// How much it is preferred to others; more is better.
    pub preference: u32,
}

impl DesiredAddress {
    /// A node among the candidates.
    pub(super) fn candidate(&self, node: NodeId) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.node == node)
    }
}

/// All speakers of the cluster that were ever seen, this node's included.
pub type Peers = BTreeMap<NodeId, Peer>;

/// A node's speaker, as its Lease and its Node tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node's name.
    pub name: Arc<str>,
    /// Its Lease is live. Of this node: its renewals succeed.
    pub live: bool,
    /// Its node is Ready and not cordoned, and nothing takes it out of load balancing.
    pub usable: bool,
    /// How many addresses it owns, as its Lease tells.
    pub owned: Option<u32>,
    /// Its links that are up, as its Lease told last.
    pub links: Vec<PeerLink>,
}

/// A link of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerLink {
    /// Every hardware address that it may send from.
    pub macs: Vec<Mac>,
    /// The node's own IPv4 addresses there.
    pub ipv4: Vec<Ipv4Addr>,
    /// The node's IPv6 link-local address there.
    pub link_local: Option<Ipv6Addr>,
}

impl PeerLink {
    /// The addresses that the node itself has here.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let ipv4 = self.ipv4.iter().map(|it| IpAddr::from(*it));
        ipv4.chain(self.link_local.map(IpAddr::from))
    }

    /// Whether the node itself has an address here, so that its kernel answers for it.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4.contains(&address),
            IpAddr::V6(address) => self.link_local == Some(address),
        }
    }
}

/// A Service's namespace and name, in one text that clones share. They are ordered by namespace, and then by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The name of a Service in a namespace, neither of which contains a slash.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}").into())
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// Its name in the namespace.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }
}

impl Ord for ServiceName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for ServiceName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_ordered_by_namespace_and_then_by_name() {
        let names = [("a", "c"), ("a", "d"), ("a-b", "a"), ("a.b", "a"), ("b", "a")];
        let names = names.map(|(namespace, name)| ServiceName::new(namespace, name));
        assert!(names.is_sorted(), "as texts, a-b/a would come before a/c");
        assert_eq!((names[2].namespace(), names[2].name(), &*names[2].to_string()), ("a-b", "a", "a-b/a"));
    }
}
