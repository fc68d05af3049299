//! Bonds and VLANs by the bytes that Linux sends about them (`rtnl_fill_ifinfo` of net/core/rtnetlink.c,
//! `bond_fill_info` and `bond_fill_slave_info` of drivers/net/bonding/bond_netlink.c, `vlan_fill_info` of
//! net/8021q/vlan_netlink.c), from the datagram to the Lease.

use super::*;
use crate::lease::links;
use crate::net::exclusion::DEFAULT_PATTERNS;
use crate::net::messages::{self, Told};

const ETH0: (u32, &str) = (2, "eth0");
const ETH1: (u32, &str) = (3, "eth1");
const BOND0: (u32, &str) = (4, "bond0");
const VLAN10: (u32, &str) = (5, "bond0.10");
const MAC0: [u8; 6] = [0x00, 0x23, 0x45, 0x67, 0x89, 0x1a];
const MAC1: [u8; 6] = [0x00, 0x23, 0x45, 0x67, 0x89, 0x1b];

/// IFF_UP, IFF_BROADCAST, IFF_RUNNING, IFF_MULTICAST and IFF_LOWER_UP.
const UP: u32 = 0x1_1043;
/// IFF_UP, IFF_BROADCAST and IFF_MULTICAST: there is no carrier.
const NO_CARRIER: u32 = 0x1003;
const IFF_MASTER: u32 = 0x400;
const IFF_SLAVE: u32 = 0x800;

/// IFLA_LINKINFO of an active-backup bond of Linux 6.12: its kind, and 26 settings.
const BOND_INFO: &str = "09000100626f6e6400000000 d4000200 \
    0500010001000000 0800020002000000 0800030064000000 0800040000000000 0800050000000000 08001c0000000000 \
    0500060001000000 0800070000000000 0800090000000000 08000a0000000000 05000c0000000000 05000d0000000000 \
    05000e0000000000 08000f0001000000 0500100001000000 0500110000000000 0800120000000000 0800130001000000 \
    0800140001000000 05001d0001000000 0500150000000000 0500160000000000 05001b0001000000 05001e0002000000 \
    0500200001000000 0500210001000000";
/// IFLA_LINKINFO of its port: the bond's kind, and the port's state, MII status, failures, permanent address of six
/// bytes, queue and priority.
const PORT_INFO: [&str; 2] = [
    "09000400626f6e6400000000 38000500 0500010000000000 0500020000000000 0800030000000000 0a000400",
    "0000 0600050000000000 0800090000000000",
];
/// IFLA_LINKINFO of VLAN 10: protocol 802.1Q, its number, and the flag REORDER_HDR.
const VLAN_INFO: &str =
    "09000100766c616e00000000 20000200 0600050081000000 060001000a000000 0c00020001000000ffffffff";

#[test]
fn a_bond_is_a_link_that_sends_from_its_ports_addresses() {
    for (ports, expected) in [
        // Active-backup: the ports have the bond's address, and keep in mind their own.
        ([MAC0, MAC0], "bond0 up 00:23:45:67:89:1a 00:23:45:67:89:1b"),
        // Balance-alb: each port sends from an address of its own.
        ([MAC0, MAC1], "bond0 up 00:23:45:67:89:1a 00:23:45:67:89:1b"),
    ] {
        let table = dumped(&[port(ETH0, ports[0], MAC0), port(ETH1, ports[1], MAC1), bond(UP, MAC0)]);
        assert_eq!(told(&table), [expected]);
        let excluded: Vec<_> = table.excluded().collect();
        assert_eq!(excluded, [("eth0", Exclusion::Enslaved), ("eth1", Exclusion::Enslaved)]);
    }
}

#[test]
fn a_vlan_is_a_link_and_sends_from_the_addresses_of_the_bond_below_it() {
    let table = dumped(&[port(ETH0, MAC0, MAC0), port(ETH1, MAC0, MAC1), bond(UP, MAC0), vlan(UP, MAC0)]);
    let expected = ["bond0", "bond0.10"].map(|name| format!("{name} up 00:23:45:67:89:1a 00:23:45:67:89:1b"));
    assert_eq!(told(&table), expected);
}

#[test]
fn a_failover_that_changes_the_bonds_address_is_taken_up_and_both_stay_told() {
    let mut table = dumped(&[port(ETH0, MAC0, MAC0), port(ETH1, MAC0, MAC1), bond(UP, MAC0), vlan(UP, MAC0)]);
    // The setting fail_over_mac=active. The VLAN has the address that it was made with until its own message.
    take_up(&mut table, &[bond(UP, MAC1)]);
    assert_eq!(
        told(&table),
        ["bond0 up 00:23:45:67:89:1b 00:23:45:67:89:1a", "bond0.10 up 00:23:45:67:89:1a 00:23:45:67:89:1b"]
    );
    take_up(&mut table, &[vlan(UP, MAC1)]);
    assert_eq!(told(&table)[1], "bond0.10 up 00:23:45:67:89:1b 00:23:45:67:89:1a");
}

#[test]
fn a_bond_without_a_port_that_works_is_down_and_so_is_its_vlan() {
    let mut table = dumped(&[port(ETH0, MAC0, MAC0), port(ETH1, MAC0, MAC1), bond(UP, MAC0), vlan(UP, MAC0)]);
    take_up(&mut table, &[bond(NO_CARRIER, MAC0), vlan(NO_CARRIER, MAC0)]);
    let links = table.links();
    assert!(links.len() == 2 && links.values().all(|link| !link.up), "{links:?}");
    assert!(links::links(&links).is_empty(), "a Lease tells links that are up");
    take_up(&mut table, &[bond(UP, MAC0), vlan(UP, MAC0)]);
    assert_eq!(told(&table).len(), 2);
}

#[test]
fn a_port_that_leaves_its_bond_is_a_link_of_its_own() {
    let mut table = dumped(&[port(ETH0, MAC0, MAC0), port(ETH1, MAC0, MAC1), bond(UP, MAC0)]);
    take_up(&mut table, &[link(ETH1, UP, MAC1, None, &[attribute(PERM_ADDRESS, &MAC1)])]);
    assert_eq!(told(&table), ["eth1 up 00:23:45:67:89:1b", "bond0 up 00:23:45:67:89:1a"]);
    take_up(&mut table, &[port(ETH1, MAC0, MAC1)]);
    assert_eq!(told(&table), ["bond0 up 00:23:45:67:89:1a 00:23:45:67:89:1b"]);
}

#[test]
fn a_vlan_of_a_plain_interface_sends_from_its_own_address() {
    let parent = attribute(LINK, &ETH0.0.to_ne_bytes());
    let vlan = link((7, "eth0.10"), UP, MAC1, None, &[parent, attribute(LINK_INFO, &bytes(VLAN_INFO))]);
    let table = dumped(&[link(ETH0, UP, MAC0, None, &[]), vlan]);
    assert_eq!(told(&table), ["eth0 up 00:23:45:67:89:1a", "eth0.10 up 00:23:45:67:89:1b"]);
}

/// The links as a Lease tells them, those that are down included.
fn told(table: &Table) -> Vec<String> {
    let links = table.links();
    let up = links::links(&links);
    let told = links.values().map(|link| match up.iter().find(|told| told.name == link.name) {
        Some(told) => format!("{} up {}", told.name, told.macs.join(" ")),
        None => format!("{} down", link.name),
    });
    told.collect()
}

/// A table that has taken up a dump in one datagram.
fn dumped(messages: &[Vec<u8>]) -> Table {
    let mut table = Table::new(DEFAULT_PATTERNS.parse().unwrap());
    take_up(&mut table, messages);
    table
}

fn take_up(table: &mut Table, messages: &[Vec<u8>]) {
    let told = messages::read(&messages.concat());
    assert_eq!(told.len(), messages.len(), "{told:?}");
    for told in told {
        let Told::Changed(message) = told else { panic!("{told:?}") };
        table.apply(&message);
    }
}

fn bond(flags: u32, mac: [u8; 6]) -> Vec<u8> {
    link(BOND0, flags | IFF_MASTER, mac, None, &[attribute(LINK_INFO, &bytes(BOND_INFO))])
}

/// A port of the bond, with the address that it has now and the one that it was made with.
fn port(which: (u32, &str), mac: [u8; 6], permanent: [u8; 6]) -> Vec<u8> {
    let info = [bytes(PORT_INFO[0]), permanent.to_vec(), bytes(PORT_INFO[1])].concat();
    let more = [attribute(LINK_INFO, &info), attribute(PERM_ADDRESS, &permanent)];
    link(which, UP | IFF_SLAVE, mac, Some(BOND0.0), &more)
}

fn vlan(flags: u32, mac: [u8; 6]) -> Vec<u8> {
    let parent = attribute(LINK, &BOND0.0.to_ne_bytes());
    link(VLAN10, flags, mac, None, &[parent, attribute(LINK_INFO, &bytes(VLAN_INFO))])
}

// Attributes of linux/if_link.h.
const ADDRESS: u16 = 1;
const IF_BROADCAST: u16 = 2;
const IF_NAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const QDISC: u16 = 6;
const MASTER: u16 = 10;
const TX_QUEUE_LEN: u16 = 13;
const MAP: u16 = 14;
const OPER_STATE: u16 = 16;
const LINK_MODE: u16 = 17;
const LINK_INFO: u16 = 18;
const STATS64: u16 = 23;
const GROUP: u16 = 27;
const PROMISCUITY: u16 = 30;
const CARRIER: u16 = 33;
const PERM_ADDRESS: u16 = 54;

/// RTM_NEWLINK with a full description.
fn link(
    (index, name): (u32, &str),
    flags: u32,
    mac: [u8; 6],
    master: Option<u32>,
    more: &[Vec<u8>],
) -> Vec<u8> {
    let has_carrier = flags & 0x1_0000 != 0;
    // IF_OPER_UP or IF_OPER_DOWN.
    let state = if has_carrier { 6 } else { 2 };
    let mut attributes = vec![
        attribute(IF_NAME, &[name.as_bytes(), &[0]].concat()),
        attribute(TX_QUEUE_LEN, &1000_u32.to_ne_bytes()),
        attribute(OPER_STATE, &[state]),
        attribute(LINK_MODE, &[0]),
        attribute(MTU, &1500_u32.to_ne_bytes()),
        attribute(GROUP, &[0; 4]),
        attribute(PROMISCUITY, &[0; 4]),
    ];
    attributes.extend(master.map(|master| attribute(MASTER, &master.to_ne_bytes())));
    attributes.extend([
        attribute(CARRIER, &[has_carrier.into()]),
        attribute(QDISC, b"noqueue\0"),
        attribute(MAP, &[0; 32]),
        attribute(ADDRESS, &mac),
        attribute(IF_BROADCAST, &[0xff; 6]),
        attribute(STATS64, &[0; 200]),
    ]);
    attributes.extend_from_slice(more);
    // struct ifinfomsg: AF_UNSPEC, ARPHRD_ETHER, index, flags, changed flags.
    let info = [&[0, 0][..], &1_u16.to_ne_bytes(), &index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]];
    let body = [info.concat(), attributes.concat()].concat();
    let length = u32::try_from(16 + body.len()).unwrap().to_ne_bytes();
    // struct nlmsghdr: length, RTM_NEWLINK, no flags, sequence number, port.
    [&length[..], &16_u16.to_ne_bytes(), &[0; 10], &body].concat()
}

/// struct nlattr, and its value with padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = [&u16::try_from(length).unwrap().to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
