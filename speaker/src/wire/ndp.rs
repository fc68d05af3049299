//! Neighbour discovery on Ethernet (RFC 4861): solicitations and advertisements.

use std::net::Ipv6Addr;

use pnet_packet::icmpv6::ndp::{
    MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NeighborAdvertFlags, NeighborAdvertPacket,
    NeighborSolicitPacket,
};
use pnet_packet::icmpv6::{Icmpv6Code, Icmpv6Packet, Icmpv6Type, Icmpv6Types, MutableIcmpv6Packet, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};

use super::{Frame, Mac, Packet, WireError, truncated};

const IPV6_LEN: usize = Ipv6Packet::minimum_packet_size();
const MESSAGE_LEN: usize = NeighborSolicitPacket::minimum_packet_size();
/// A link-layer option for Ethernet: type, length in units of eight bytes, address.
const OPTION_LEN: usize = 8;
/// The longest packet that is emitted.
pub(super) const MAX_LEN: usize = IPV6_LEN + MESSAGE_LEN + OPTION_LEN;
/// What proves that no router forwarded a packet (RFC 4861 section 7.1).
const HOP_LIMIT: u8 = 255;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// `ff02::1`, every IPv6 host of the segment.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The solicited-node group of an address: `ff02::1:ffXX:XXXX` (RFC 4291 section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (a & 0xff), b)
}

/// Asks who has an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// The asker; `::` while it checks that the address is free (RFC 4862 section 5.4.2).
    pub source: Ipv6Addr,
    /// The solicited-node group, or the neighbour itself.
    pub destination: Ipv6Addr,
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The asker's hardware address. May be missing in a unicast question.
    pub source_link_layer: Option<Mac>,
}

/// Says where traffic for an IPv6 address is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The sender's address.
    pub source: Ipv6Addr,
    /// The asker, or all nodes.
    pub destination: Ipv6Addr,
    /// The address spoken for.
    pub target: Ipv6Addr,
    /// The sender forwards packets.
    pub router: bool,
    /// Answers a unicast solicitation.
    pub solicited: bool,
    /// Replaces what receivers have in their caches.
    pub override_entry: bool,
    /// Where traffic for the target is to go.
    pub target_link_layer: Option<Mac>,
}

impl Solicitation {
    /// Whether the asker checks for duplicates of its own new address (RFC 4862 section 5.4.2).
    pub fn is_duplicate_check(&self) -> bool {
        self.source.is_unspecified()
    }

    /// Asks everybody who has `target`, without claiming any address.
    pub fn duplicate_check(mac: Mac, target: Ipv6Addr) -> Frame {
        let destination = solicited_node(target);
        Frame {
            source: mac,
            destination: Mac::multicast(destination),
            packet: Packet::Solicitation(Solicitation {
                source: Ipv6Addr::UNSPECIFIED,
                destination,
                target,
                source_link_layer: None,
            }),
        }
    }

    /// The advertisement that names `mac` for the target. It goes to the asker, or to all nodes if the asker
    /// has no address yet (RFC 4861 section 7.2.4). `asker` is the Ethernet source of the question, used
    /// where the question has no link-layer option. Its IPv6 source is the target, as Linux does it for an
    /// address of its own, so that it needs no other address on the link.
    pub fn answer_from(&self, mac: Mac, router: bool, asker: Mac) -> Frame {
        let (destination, ethernet, solicited) = if self.is_duplicate_check() {
            (ALL_NODES, Mac::multicast(ALL_NODES), false)
        } else {
            (self.source, self.source_link_layer.unwrap_or(asker), true)
        };
        Frame {
            source: mac,
            destination: ethernet,
            packet: Packet::Advertisement(Advertisement {
                source: self.target,
                destination,
                target: self.target,
                router,
                solicited,
                override_entry: true,
                target_link_layer: Some(mac),
            }),
        }
    }

    /// Writes the packet and says how many bytes it took.
    pub(super) fn emit(&self, buffer: &mut [u8]) -> usize {
        let Some(payload) = buffer.get_mut(IPV6_LEN..) else { return 0 };
        if let Some(mut packet) = MutableNeighborSolicitPacket::new(payload) {
            packet.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
            packet.set_target_addr(self.target);
        }
        let len = MESSAGE_LEN + emit_option(payload, SOURCE_LINK_LAYER, self.source_link_layer);
        emit_header(buffer, self.source, self.destination, len)
    }
}

impl Advertisement {
    /// Announces `address` at `mac` to all nodes, replacing older entries (RFC 4861 section 7.2.6).
    pub fn announcement(mac: Mac, address: Ipv6Addr, router: bool) -> Frame {
        Frame {
            source: mac,
            destination: Mac::multicast(ALL_NODES),
            packet: Packet::Advertisement(Advertisement {
                source: address,
                destination: ALL_NODES,
                target: address,
                router,
                solicited: false,
                override_entry: true,
                target_link_layer: Some(mac),
            }),
        }
    }

    /// Writes the packet and says how many bytes it took.
    pub(super) fn emit(&self, buffer: &mut [u8]) -> usize {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let Some(payload) = buffer.get_mut(IPV6_LEN..) else { return 0 };
        if let Some(mut packet) = MutableNeighborAdvertPacket::new(payload) {
            packet.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
            packet.set_flags(
                flag(self.router, NeighborAdvertFlags::Router)
                    | flag(self.solicited, NeighborAdvertFlags::Solicited)
                    | flag(self.override_entry, NeighborAdvertFlags::Override),
            );
            packet.set_target_addr(self.target);
        }
        let len = MESSAGE_LEN + emit_option(payload, TARGET_LINK_LAYER, self.target_link_layer);
        emit_header(buffer, self.source, self.destination, len)
    }
}

/// Writes a link-layer option behind the message, if there is one, and says how many bytes it took.
fn emit_option(payload: &mut [u8], kind: u8, mac: Option<Mac>) -> usize {
    let (Some(mac), Some(option)) = (mac, payload.get_mut(MESSAGE_LEN..MESSAGE_LEN + OPTION_LEN)) else {
        return 0;
    };
    option[0] = kind;
    option[1] = 1;
    option[2..].copy_from_slice(&mac.0);
    OPTION_LEN
}

/// Writes the IPv6 header and the checksum around a message of `len` bytes and gives the whole length.
fn emit_header(buffer: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> usize {
    let (header, payload) = buffer.split_at_mut(IPV6_LEN);
    let Some(message) = payload.get_mut(..len) else { return 0 };
    let sum = Icmpv6Packet::new(message).map(|packet| checksum(&packet, &source, &destination));
    if let (Some(sum), Some(mut packet)) = (sum, MutableIcmpv6Packet::new(message)) {
        packet.set_checksum(sum);
    }
    if let (Some(mut packet), Ok(length)) = (MutableIpv6Packet::new(header), u16::try_from(len)) {
        packet.set_version(6);
        packet.set_payload_length(length);
        packet.set_next_header(IpNextHeaderProtocols::Icmpv6);
        packet.set_hop_limit(HOP_LIMIT);
        packet.set_source(source);
        packet.set_destination(destination);
    }
    IPV6_LEN + len
}

/// Reads an IPv6 packet that must be a solicitation or an advertisement.
pub(super) fn parse(bytes: &[u8]) -> Result<Packet, WireError> {
    let ipv6 = Ipv6Packet::new(bytes).ok_or(truncated("IPv6 header", IPV6_LEN, bytes.len()))?;
    if ipv6.get_version() != 6 {
        return Err(WireError::Unsupported { what: "IP version", value: ipv6.get_version().into() });
    }
    if ipv6.get_next_header() != IpNextHeaderProtocols::Icmpv6 {
        return Err(WireError::Unsupported {
            what: "IPv6 next header",
            value: ipv6.get_next_header().0.into(),
        });
    }
    if ipv6.get_hop_limit() != HOP_LIMIT {
        return Err(WireError::HopLimit(ipv6.get_hop_limit()));
    }
    let length = usize::from(ipv6.get_payload_length());
    let have = bytes.len() - IPV6_LEN;
    let message = bytes.get(IPV6_LEN..IPV6_LEN + length).ok_or(truncated("IPv6 payload", length, have))?;
    if message.len() < MESSAGE_LEN {
        return Err(truncated("neighbour discovery message", MESSAGE_LEN, message.len()));
    }
    let icmpv6 = Icmpv6Packet::new(message).ok_or(truncated("ICMPv6 header", MESSAGE_LEN, message.len()))?;
    if icmpv6.get_checksum() != checksum(&icmpv6, &ipv6.get_source(), &ipv6.get_destination()) {
        return Err(WireError::Checksum);
    }
    let Icmpv6Code(code) = icmpv6.get_icmpv6_code();
    if code != 0 {
        return Err(WireError::Unsupported { what: "ICMPv6 code", value: code.into() });
    }
    let (source, destination) = (ipv6.get_source(), ipv6.get_destination());
    match icmpv6.get_icmpv6_type() {
        Icmpv6Types::NeighborSolicit => parse_solicitation(source, destination, message),
        Icmpv6Types::NeighborAdvert => parse_advertisement(source, destination, message),
        Icmpv6Type(other) => Err(WireError::Unsupported { what: "ICMPv6 type", value: other.into() }),
    }
}

fn parse_solicitation(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Result<Packet, WireError> {
    let packet = NeighborSolicitPacket::new(message).ok_or(truncated(
        "neighbour solicitation",
        MESSAGE_LEN,
        message.len(),
    ))?;
    let solicitation = Solicitation {
        source,
        destination,
        target: packet.get_target_addr(),
        source_link_layer: link_layer_option(&message[MESSAGE_LEN..], SOURCE_LINK_LAYER)?,
    };
    if solicitation.target.is_multicast() {
        return Err(WireError::Invalid("the target is a group"));
    }
    if source.is_multicast() {
        return Err(WireError::Invalid("the source is a group"));
    }
    if solicitation.is_duplicate_check() {
        if destination != solicited_node(solicitation.target) {
            return Err(WireError::Invalid("a duplicate check went to another group than its target's"));
        }
        if solicitation.source_link_layer.is_some() {
            return Err(WireError::Invalid("a duplicate check has a source link-layer option"));
        }
    }
    Ok(Packet::Solicitation(solicitation))
}

fn parse_advertisement(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Result<Packet, WireError> {
    let packet = NeighborAdvertPacket::new(message).ok_or(truncated(
        "neighbour advertisement",
        MESSAGE_LEN,
        message.len(),
    ))?;
    let has = |flag: u8| packet.get_flags() & flag != 0;
    let advertisement = Advertisement {
        source,
        destination,
        target: packet.get_target_addr(),
        router: has(NeighborAdvertFlags::Router),
        solicited: has(NeighborAdvertFlags::Solicited),
        override_entry: has(NeighborAdvertFlags::Override),
        target_link_layer: link_layer_option(&message[MESSAGE_LEN..], TARGET_LINK_LAYER)?,
    };
    if advertisement.target.is_multicast() {
        return Err(WireError::Invalid("the target is a group"));
    }
    if advertisement.solicited && destination.is_multicast() {
        return Err(WireError::Invalid("a solicited advertisement went to a group"));
    }
    Ok(Packet::Advertisement(advertisement))
}

/// The first link-layer option of this kind. The options are walked by hand, since the packet library's
/// reader overflows on hostile lengths. Unknown options are skipped (RFC 4861 section 4.6).
fn link_layer_option(mut options: &[u8], kind: u8) -> Result<Option<Mac>, WireError> {
    let mut found = None;
    while let [option_kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 {
            return Err(WireError::Invalid("an option has length zero"));
        }
        let Some((option, rest)) = options.split_at_checked(length) else {
            return Err(truncated("neighbour discovery option", length, options.len()));
        };
        if option_kind == kind && found.is_none() {
            let [_, _, octets @ ..] = option else { break };
            found = Some(
                octets
                    .try_into()
                    .map(Mac)
                    .map_err(|_| WireError::Invalid("a link-layer option is not six bytes long"))?,
            );
        }
        options = rest;
    }
    match options {
        [] => Ok(found),
        rest => Err(truncated("neighbour discovery option", OPTION_LEN, rest.len())),
    }
}
