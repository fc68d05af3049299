//! The node's links, as values: what the pure parts know of interfaces.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::Mac;

/// The kernel's index of an interface. It survives a rename and is not used again while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An Ethernet interface that may announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name now.
    pub name: String,
    /// Its hardware address now.
    pub mac: Mac,
    /// Other hardware addresses that its frames may leave from: those of the ports of a bond or team.
    pub port_macs: Vec<Mac>,
    /// Administratively up, with carrier.
    pub up: bool,
    /// Whether the kernel forwards IPv6 that arrives here: the router flag of its advertisements.
    pub router: bool,
    /// Its own addresses that are in use: tentative and duplicate ones are left out.
    pub addresses: Vec<IpAddr>,
    /// The gateways of its IPv4 default routes.
    pub gateways: Vec<Ipv4Addr>,
}

impl Link {
    /// Every hardware address that its frames may leave from; the first is its own.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        std::iter::once(self.mac).chain(self.port_macs.iter().copied())
    }

    /// Its own IPv4 addresses.
    pub fn ipv4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// Its IPv6 link-local address, if it has one yet.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(*address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }
}

/// All links that may announce, at one moment.
pub type Links = BTreeMap<LinkId, Link>;
