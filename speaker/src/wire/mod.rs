//! The frames that the speaker reads and writes, as value types.
//!
//! Everything from the wire is untrusted: [`Frame::parse`] checks every length, never allocates and never
//! panics, and turns what it can't use into a [`WireError`]. [`Frame::emit`] is its inverse. The packet
//! library used inside does not appear in any signature.
//!
//! Frames with a VLAN tag and fragmented neighbour discovery (RFC 6980) are refused.

mod arp;
#[cfg(test)]
pub(crate) mod captured;
mod mac;
mod ndp;
#[cfg(test)]
mod tests;

use std::ops::Deref;

use pnet_base::MacAddr;
use pnet_packet::Packet as _;
use pnet_packet::ethernet::{EtherType, EtherTypes, EthernetPacket, MutableEthernetPacket};

pub use arp::{Arp, Operation};
pub use mac::{Mac, MacError};
pub use ndp::{ALL_NODES, Advertisement, Solicitation, solicited_node};

const ETHERNET_LEN: usize = EthernetPacket::minimum_packet_size();
/// The longest frame that [`Frame::emit`] makes: neighbour discovery with one link-layer option.
pub const MAX_EMIT_LEN: usize = ETHERNET_LEN + ndp::MAX_LEN;

/// An Ethernet frame that carries ARP or neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The Ethernet source: the card that sent the frame, whatever its payload claims.
    pub source: Mac,
    /// The Ethernet destination.
    pub destination: Mac,
    /// What the frame says.
    pub packet: Packet,
}

/// The payload of a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// IPv4 address resolution (RFC 826).
    Arp(Arp),
    /// IPv6 neighbour solicitation (RFC 4861 section 4.3).
    Solicitation(Solicitation),
    /// IPv6 neighbour advertisement (RFC 4861 section 4.4).
    Advertisement(Advertisement),
}

/// Why bytes are not a frame that the speaker can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame, or a length inside it, ends before what it announces.
    #[error("{what} needs {need} bytes, {have} are there")]
    Truncated {
        /// The part that is cut off.
        what: &'static str,
        /// Its length in bytes.
        need: usize,
        /// The bytes that are there.
        have: usize,
    },
    /// The Ethernet source is a group address, which no card may send from.
    #[error("the Ethernet source {0} is a group address")]
    GroupSource(Mac),
    /// Another protocol, or a variant that is not for Ethernet.
    #[error("{what} is {value:#x}, which is not supported")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u32,
    },
    /// Neighbour discovery that passed a router: its hop limit is not 255 (RFC 4861 section 7.1).
    #[error("the hop limit is {0}, not 255")]
    HopLimit(u8),
    /// The ICMPv6 checksum does not match.
    #[error("the ICMPv6 checksum is wrong")]
    Checksum,
    /// Neighbour discovery that breaks a validity rule of RFC 4861 section 7.1.
    #[error("invalid neighbour discovery: {0}")]
    Invalid(&'static str),
}

impl WireError {
    /// A short, stable name, fit for a metric label.
    pub fn reason(self) -> &'static str {
        match self {
            WireError::Truncated { .. } => "truncated",
            WireError::GroupSource(_) => "group_source",
            WireError::Unsupported { .. } => "unsupported",
            WireError::HopLimit(_) => "hop_limit",
            WireError::Checksum => "checksum",
            WireError::Invalid(_) => "invalid",
        }
    }
}

impl Frame {
    /// Reads one Ethernet frame. Bytes behind the payload (padding) are ignored.
    ///
    /// # Errors
    /// Says why the bytes are of no use; see [`WireError`].
    pub fn parse(bytes: &[u8]) -> Result<Frame, WireError> {
        let ethernet =
            EthernetPacket::new(bytes).ok_or(truncated("Ethernet header", ETHERNET_LEN, bytes.len()))?;
        let source = Mac(ethernet.get_source().octets());
        if source.is_group() {
            return Err(WireError::GroupSource(source));
        }
        let packet = match ethernet.get_ethertype() {
            EtherTypes::Arp => Packet::Arp(Arp::parse(ethernet.payload())?),
            EtherTypes::Ipv6 => ndp::parse(ethernet.payload())?,
            EtherType(other) => {
                return Err(WireError::Unsupported { what: "EtherType", value: other.into() });
            }
        };
        Ok(Frame { source, destination: Mac(ethernet.get_destination().octets()), packet })
    }

    /// Writes the frame as it goes to the wire, without padding.
    pub fn emit(&self) -> FrameBytes {
        let mut bytes = [0; MAX_EMIT_LEN];
        let (header, payload) = bytes.split_at_mut(ETHERNET_LEN);
        let (ethertype, payload_len) = match &self.packet {
            Packet::Arp(arp) => (EtherTypes::Arp, arp.emit(payload)),
            Packet::Solicitation(ns) => (EtherTypes::Ipv6, ns.emit(payload)),
            Packet::Advertisement(na) => (EtherTypes::Ipv6, na.emit(payload)),
        };
        if let Some(mut ethernet) = MutableEthernetPacket::new(header) {
            ethernet.set_destination(self.destination.into());
            ethernet.set_source(self.source.into());
            ethernet.set_ethertype(ethertype);
        }
        FrameBytes { bytes, len: ETHERNET_LEN + payload_len }
    }
}

/// An emitted frame; dereferences to its bytes.
#[derive(Clone, Debug)]
pub struct FrameBytes {
    bytes: [u8; MAX_EMIT_LEN],
    len: usize,
}

impl Deref for FrameBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl From<Mac> for MacAddr {
    fn from(Mac([a, b, c, d, e, f]): Mac) -> Self {
        MacAddr(a, b, c, d, e, f)
    }
}

const fn truncated(what: &'static str, need: usize, have: usize) -> WireError {
    WireError::Truncated { what, need, have }
}
