//! The kernel's interfaces, addresses and default routes, kept from netlink messages in the order in which they arrive.

mod kin;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, LinkAttribute, LinkFlags, LinkLayerType, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use self::kin::Kin;
use super::exclusion::{Exclusion, Patterns};
use super::gateways::Gateways;
use crate::link::{Link, LinkId, Links};
use crate::wire::Mac;

/// Interfaces and addresses as the kernel last told them.
#[derive(Clone, Debug)]
pub struct Table {
    patterns: Patterns,
    interfaces: BTreeMap<LinkId, Interface>,
    addresses: BTreeMap<LinkId, BTreeSet<IpAddr>>,
    gateways: Gateways,
}

#[derive(Clone, Debug)]
struct Interface {
    name: String,
    mac: Option<Mac>,
    /// The hardware address that it was made with.
    permanent_mac: Option<Mac>,
    up: bool,
    router: bool,
    kin: Kin,
    exclusion: Option<Exclusion>,
}

impl Table {
    /// An empty table; interfaces whose name matches the patterns are excluded.
    pub fn new(patterns: Patterns) -> Self {
        Self {
            patterns,
            interfaces: BTreeMap::new(),
            addresses: BTreeMap::new(),
            gateways: Gateways::default(),
        }
    }

    /// Forgets everything, before a fresh dump.
    pub fn clear(&mut self) {
        self.interfaces.clear();
        self.addresses.clear();
        self.gateways.clear();
    }

    /// Takes up a notification or a part of a dump. Messages of other kinds are ignored.
    pub fn apply(&mut self, message: &RouteNetlinkMessage) {
        // Ports of bridges are told in messages of the bridge family, in which a deletion only means that the
        // interface left its bridge.
        if let RouteNetlinkMessage::NewLink(link) = message
            && link.header.interface_family == AddressFamily::Unspec
        {
            let interface = self.read(link);
            if !link.header.flags.contains(LinkFlags::Up) {
                self.gateways.forget(LinkId(link.header.index));
            }
            self.interfaces.insert(LinkId(link.header.index), interface);
        } else if let RouteNetlinkMessage::DelLink(link) = message
            && link.header.interface_family == AddressFamily::Unspec
        {
            self.interfaces.remove(&LinkId(link.header.index));
            self.addresses.remove(&LinkId(link.header.index));
            self.gateways.forget(LinkId(link.header.index));
        } else if let RouteNetlinkMessage::NewAddress(message) = message
            && let Some(address) = own_address(message)
        {
            let addresses = self.addresses.entry(LinkId(message.header.index)).or_default();
            if in_use(message) {
                addresses.insert(address);
            } else {
                addresses.remove(&address);
            }
        } else if let RouteNetlinkMessage::DelAddress(message) = message
            && let Some(address) = own_address(message)
            && let Some(addresses) = self.addresses.get_mut(&LinkId(message.header.index))
        {
            addresses.remove(&address);
        } else if let RouteNetlinkMessage::NewRoute(message) = message {
            self.gateways.add(message);
        } else if let RouteNetlinkMessage::DelRoute(message) = message {
            self.gateways.remove(message);
        }
    }

    /// The links that may announce.
    pub fn links(&self) -> Links {
        let links = self.interfaces.iter().filter(|(_, interface)| interface.exclusion.is_none());
        links
            .filter_map(|(&id, interface)| {
                let addresses = self.addresses.get(&id);
                let mac = interface.mac?;
                let link = Link {
                    name: interface.name.clone(),
                    mac,
                    port_macs: self.port_macs(id, mac),
                    up: interface.up,
                    router: interface.router,
                    addresses: addresses.into_iter().flatten().copied().collect(),
                    gateways: self.gateways.of(id),
                };
                Some((id, link))
            })
            .collect()
    }

    /// The interfaces that never announce, and why.
    pub fn excluded(&self) -> impl Iterator<Item = (&str, Exclusion)> {
        self.interfaces
            .values()
            .filter_map(|interface| interface.exclusion.map(|exclusion| (interface.name.as_str(), exclusion)))
    }

    /// The hardware addresses of the ports of a bond or team, also where that lies below a VLAN or a bridge, but for
    /// the link's own.
    fn port_macs(&self, id: LinkId, own: Mac) -> Vec<Mac> {
        let (mut macs, mut seen, mut uppers) = (BTreeSet::new(), BTreeSet::new(), vec![id]);
        while let Some(id) = uppers.pop() {
            let Some(upper) = self.interfaces.get(&id).filter(|interface| interface.kin.is_upper) else {
                continue;
            };
            if !seen.insert(id) {
                continue;
            }
            uppers.extend(upper.kin.parent);
            for (&port, interface) in &self.interfaces {
                if interface.kin.master == Some(id) {
                    uppers.push(port);
                    let own = [interface.mac, interface.permanent_mac];
                    macs.extend(own.into_iter().flatten().filter(|_| interface.kin.is_aggregated));
                }
            }
        }
        macs.remove(&own);
        macs.into_iter().collect()
    }

    fn read(&self, link: &LinkMessage) -> Interface {
        // A notification may leave attributes out that did not change.
        let known = self.interfaces.get(&LinkId(link.header.index));
        let mut name = known.map(|known| known.name.clone()).unwrap_or_default();
        let mut mac = known.and_then(|known| known.mac);
        let mut permanent_mac = known.and_then(|known| known.permanent_mac);
        let mut router = known.is_some_and(|known| known.router);
        // That an interface has no master and no kind is told by their absence, in a full description only.
        let kin = match known {
            Some(known) if !is_full(link) => known.kin,
            _ => Kin::read(link),
        };
        for attribute in &link.attributes {
            if let LinkAttribute::IfName(text) = attribute {
                name.clone_from(text);
            } else if let LinkAttribute::Address(octets) = attribute {
                mac = usable(octets);
            } else if let LinkAttribute::PermAddress(octets) = attribute {
                permanent_mac = usable(octets);
            } else if let LinkAttribute::AfSpecUnspec(families) = attribute
                && let Some(forwards) = forwarding(families)
            {
                router = forwards;
            }
        }
        let flags = link.header.flags;
        let exclusion = if flags.contains(LinkFlags::Loopback) {
            Some(Exclusion::Loopback)
        } else if link.header.link_layer_type != LinkLayerType::Ether || mac.is_none() {
            Some(Exclusion::NotEthernet)
        } else if flags.contains(LinkFlags::Noarp) {
            Some(Exclusion::NoArp)
        } else if kin.is_enslaved {
            Some(Exclusion::Enslaved)
        } else if kin.is_child {
            Some(Exclusion::Child)
        } else if self.patterns.matches(&name) {
            Some(Exclusion::Name)
        } else {
            None
        };
        let up = flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp);
        Interface { name, mac, permanent_mac, up, router, kin, exclusion }
    }
}

/// Whether all is told of the interface, and not only what an event is about.
fn is_full(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::Mtu(_)))
}

/// A hardware address that frames can be sent from.
fn usable(octets: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(octets).ok().map(Mac).filter(|mac| mac.is_unicast())
}

fn forwarding(families: &[AfSpecUnspec]) -> Option<bool> {
    families.iter().find_map(|family| {
        let AfSpecUnspec::Inet6(attributes) = family else { return None };
        attributes.iter().find_map(|attribute| {
            let AfSpecInet6::DevConf(configuration) = attribute else { return None };
            Some(configuration.forwarding != 0)
        })
    })
}

/// The interface's own address: on a point-to-point link `Address` is the other end's and `Local` ours.
pub(super) fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let mut own = None;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            return Some(*address);
        } else if let AddressAttribute::Address(address) = attribute {
            own = Some(*address);
        }
    }
    own
}

/// Whether nothing is in the way of its use.
pub(super) fn in_use(message: &AddressMessage) -> bool {
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
    !message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.intersects(unusable)))
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
