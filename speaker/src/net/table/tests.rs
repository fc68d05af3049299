use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::{Inet6DevConf, InfoKind, InfoPortKind, LinkHeader, LinkInfo};

use super::*;
use crate::net::exclusion::DEFAULT_PATTERNS;

const ETH0: LinkId = LinkId(2);
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

#[test]
fn an_ethernet_interface_with_carrier_may_announce() {
    let mut table = table();
    table.apply(&new_link(vec![]));
    table.apply(&new_address("192.168.1.11", AddressFlags::Permanent));
    table.apply(&new_address("fe80::1", AddressFlags::Permanent));
    let links = table.links();
    let link = &links[&ETH0];
    assert_eq!((link.name.as_str(), link.mac, link.up, link.router), ("eth0", MAC, true, false));
    assert_eq!(link.ipv4().collect::<Vec<_>>(), ["192.168.1.11".parse::<std::net::Ipv4Addr>().unwrap()]);
    assert_eq!(link.link_local(), Some("fe80::1".parse().unwrap()));
}

#[test]
fn an_interface_without_carrier_is_listed_as_down() {
    let mut table = table();
    table.apply(&with_flags(LinkFlags::Up | LinkFlags::Broadcast));
    assert!(!table.links()[&ETH0].up);
}

#[test]
fn what_can_not_announce_is_excluded_with_its_reason() {
    let port = |kind| {
        new_link(vec![LinkAttribute::Controller(7), LinkAttribute::LinkInfo(vec![LinkInfo::PortKind(kind)])])
    };
    let kind = |kind| new_link(vec![LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])]);
    for (message, exclusion) in [
        (with_flags(up() | LinkFlags::Loopback), Some(Exclusion::Loopback)),
        (with_flags(up() | LinkFlags::Noarp), Some(Exclusion::NoArp)),
        (new_link(vec![LinkAttribute::Address(vec![0; 6])]), Some(Exclusion::NotEthernet)),
        (new_link(vec![LinkAttribute::Address(vec![1; 20])]), Some(Exclusion::NotEthernet)),
        (port(InfoPortKind::Bridge), Some(Exclusion::Enslaved)),
        (port(InfoPortKind::Bond), Some(Exclusion::Enslaved)),
        (port(InfoPortKind::Vrf), None),
        (kind(InfoKind::MacVlan), Some(Exclusion::Child)),
        (kind(InfoKind::IpVlan), Some(Exclusion::Child)),
        (kind(InfoKind::Vlan), None),
        (kind(InfoKind::Bridge), None),
        (kind(InfoKind::Veth), None),
        (new_link(vec![LinkAttribute::IfName("docker0".into())]), Some(Exclusion::Name)),
    ] {
        let mut table = table();
        table.apply(&message);
        assert_eq!(table.excluded().next().map(|(_, exclusion)| exclusion), exclusion, "{message:?}");
        assert_eq!(table.links().is_empty(), exclusion.is_some(), "{message:?}");
    }
}

#[test]
fn leaving_a_bridge_is_no_deletion() {
    let mut table = table();
    table.apply(&new_link(vec![]));
    let RouteNetlinkMessage::NewLink(mut message) = new_link(vec![]) else { unreachable!() };
    message.header.interface_family = AddressFamily::Bridge;
    table.apply(&RouteNetlinkMessage::DelLink(message.clone()));
    assert!(table.links().contains_key(&ETH0));
    message.header.interface_family = AddressFamily::Unspec;
    table.apply(&RouteNetlinkMessage::DelLink(message));
    assert!(table.links().is_empty());
}

#[test]
fn a_message_that_tells_little_leaves_a_port_and_a_child_what_they_are() {
    let kind = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::MacVlan)]);
    for (attribute, exclusion) in
        [(LinkAttribute::Controller(7), Exclusion::Enslaved), (kind, Exclusion::Child)]
    {
        let mut table = table();
        table.apply(&new_link(vec![LinkAttribute::Mtu(1500), attribute]));
        table.apply(&new_link(vec![LinkAttribute::IfName("lan0".into())]));
        assert_eq!(table.excluded().collect::<Vec<_>>(), [("lan0", exclusion)]);
        table.apply(&new_link(vec![LinkAttribute::Mtu(1500)]));
        assert!(table.links().contains_key(&ETH0), "a full description without it ends it");
    }
}

#[test]
fn a_rename_keeps_the_link_and_its_addresses() {
    let mut table = table();
    table.apply(&new_link(vec![]));
    table.apply(&new_address("192.168.1.11", AddressFlags::Permanent));
    table.apply(&new_link(vec![LinkAttribute::IfName("lan0".into())]));
    assert_eq!(table.links()[&ETH0].name, "lan0");
    assert_eq!(table.links()[&ETH0].addresses.len(), 1);
}

#[test]
fn an_address_counts_once_it_is_found_unique_and_until_it_is_removed() {
    let mut table = table();
    table.apply(&new_link(vec![]));
    for (message, count) in [
        (new_address("fe80::1", AddressFlags::Tentative), 0),
        (new_address("fe80::1", AddressFlags::Permanent), 1),
        (new_address("fe80::1", AddressFlags::Permanent | AddressFlags::Dadfailed), 0),
        (new_address("fe80::2", AddressFlags::Permanent), 1),
    ] {
        table.apply(&message);
        assert_eq!(table.links()[&ETH0].addresses.len(), count, "{message:?}");
    }
    let RouteNetlinkMessage::NewAddress(message) = new_address("fe80::2", AddressFlags::Permanent) else {
        unreachable!()
    };
    table.apply(&RouteNetlinkMessage::DelAddress(message));
    assert!(table.links()[&ETH0].addresses.is_empty());
}

#[test]
fn forwarding_makes_a_router() {
    let mut table = table();
    let mut forwards = Inet6DevConf::default();
    forwards.forwarding = 1;
    let families = vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::DevConf(forwards)])];
    table.apply(&new_link(vec![LinkAttribute::AfSpecUnspec(families)]));
    assert!(table.links()[&ETH0].router);
    table.apply(&new_link(vec![]));
    assert!(table.links()[&ETH0].router, "a notification without the setting leaves it");
}

fn table() -> Table {
    Table::new(DEFAULT_PATTERNS.parse().unwrap())
}

fn up() -> LinkFlags {
    LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp | LinkFlags::Broadcast | LinkFlags::Multicast
}

fn with_flags(flags: LinkFlags) -> RouteNetlinkMessage {
    let RouteNetlinkMessage::NewLink(mut message) = new_link(vec![]) else { unreachable!() };
    message.header.flags = flags;
    RouteNetlinkMessage::NewLink(message)
}

fn new_link(more: Vec<LinkAttribute>) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header = LinkHeader {
        index: ETH0.0,
        flags: up(),
        link_layer_type: LinkLayerType::Ether,
        ..Default::default()
    };
    message.attributes = vec![LinkAttribute::IfName("eth0".into()), LinkAttribute::Address(MAC.0.to_vec())];
    message.attributes.extend(more);
    RouteNetlinkMessage::NewLink(message)
}

fn new_address(address: &str, flags: AddressFlags) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header = AddressHeader { index: ETH0.0, ..Default::default() };
    message.attributes =
        vec![AddressAttribute::Address(address.parse().unwrap()), AddressAttribute::Flags(flags)];
    RouteNetlinkMessage::NewAddress(message)
}
