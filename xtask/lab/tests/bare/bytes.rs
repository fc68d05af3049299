//! Frames by their bytes. What judges the speaker shares no code with it.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];
/// `ff02::1`, and its hardware address (RFC 2464 section 7).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
pub(crate) const REQUEST: u8 = 1;
pub(crate) const REPLY: u8 = 2;
/// Flags of a neighbour advertisement (RFC 4861 section 4.4).
pub(crate) const ROUTER: u8 = 0x80;
pub(crate) const SOLICITED: u8 = 0x40;
pub(crate) const OVERRIDE: u8 = 0x20;

/// The ends of a frame on the wire: Ethernet destination and source.
pub(crate) type Ends = ([u8; 6], [u8; 6]);

/// An ARP packet on Ethernet for IPv4 (RFC 826): 42 bytes.
pub(crate) fn arp(
    (destination, source): Ends,
    operation: u8,
    sender: ([u8; 6], Ipv4Addr),
    target: ([u8; 6], Ipv4Addr),
) -> Vec<u8> {
    [
        &destination[..],
        &source,
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation],
        &sender.0,
        &sender.1.octets(),
        &target.0,
        &target.1.octets(),
    ]
    .concat()
}

/// A neighbour solicitation with these options.
pub(crate) fn solicitation(
    ends: Ends,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    options: &[u8],
) -> Vec<u8> {
    icmpv6(ends, source, destination, &[&[135, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), options].concat())
}

/// A neighbour advertisement for its IPv6 source with a target link-layer option, from there: 86 bytes.
pub(crate) fn advertisement(ends: Ends, target: Ipv6Addr, destination: Ipv6Addr, flags: u8) -> Vec<u8> {
    let message = [&[136, 0, 0, 0, flags, 0, 0, 0][..], &target.octets(), &[2, 1], &ends.1].concat();
    icmpv6(ends, target, destination, &message)
}

/// The solicited-node group of an address (RFC 4291 section 2.7.1), and its hardware address.
pub(crate) fn group(address: Ipv6Addr) -> (Ipv6Addr, [u8; 6]) {
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    (group, [0x33, 0x33, 0xff, a, b, c])
}

/// An ICMPv6 message, whose checksum is zero before, with hop limit 255.
fn icmpv6((to, from): Ends, source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a short message").to_be_bytes();
    let addresses = [source.octets(), destination.octets()].concat();
    let pseudo = [&addresses[..], &[0, 0], &length, &[0, 0, 0, 58], message].concat();
    let words = pseudo.chunks(2).map(|pair| [pair[0], pair.get(1).copied().unwrap_or(0)]);
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    let header = [&[0x86, 0xdd, 0x60, 0, 0, 0][..], &length, &[58, 255]].concat();
    let mut frame = [&to[..], &from, &header, &addresses, message].concat();
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}
