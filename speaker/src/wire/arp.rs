//! Address resolution for IPv4 on Ethernet (RFC 826, RFC 5227).

use std::net::Ipv4Addr;

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::EtherTypes;

use super::{Frame, Mac, Packet, WireError, truncated};

pub(super) const LEN: usize = ArpPacket::minimum_packet_size();
const MAC_LEN: u8 = 6;
const IPV4_LEN: u8 = 4;

/// What an ARP packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet for IPv4 on Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// Where traffic for the sender address is to go.
    pub sender_mac: Mac,
    /// The address spoken for; 0.0.0.0 in a probe (RFC 5227 section 1.1).
    pub sender_ip: Ipv4Addr,
    /// In a reply the asker; without meaning in a request.
    pub target_mac: Mac,
    /// In a request the address asked for; in a reply the asker's.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Whether this is an address probe: a request whose sender has no address (RFC 5227 section 1.1).
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender_ip.is_unspecified()
    }

    /// Whether sender and target are the same address: an announcement, in request or reply form.
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip
    }

    /// Asks everybody who has `target`, without claiming any address.
    pub fn probe(mac: Mac, target: Ipv4Addr) -> Frame {
        Self::question(mac, Ipv4Addr::UNSPECIFIED, target)
    }

    /// Announces `address` at `mac` as a broadcast request (RFC 5227 section 3).
    pub fn announcement(mac: Mac, address: Ipv4Addr) -> Frame {
        Self::gratuitous(Operation::Request, mac, address)
    }

    /// Announces `address` at `mac` as a broadcast reply. The target hardware address is the sender's own,
    /// by which Linux knows a gratuitous reply and takes it even within the lock time of an entry.
    pub fn announcement_reply(mac: Mac, address: Ipv4Addr) -> Frame {
        Self::gratuitous(Operation::Reply, mac, address)
    }

    /// Asks everybody who has `target`, in the name of `address` at `mac`: who answers remembers the asker (RFC 826,
    /// "Packet Reception").
    pub fn question(mac: Mac, address: Ipv4Addr, target: Ipv4Addr) -> Frame {
        Frame {
            source: mac,
            destination: Mac::BROADCAST,
            packet: Packet::Arp(Arp {
                operation: Operation::Request,
                sender_mac: mac,
                sender_ip: address,
                target_mac: Mac::ZERO,
                target_ip: target,
            }),
        }
    }

    fn gratuitous(operation: Operation, mac: Mac, address: Ipv4Addr) -> Frame {
        let target_mac = match operation {
            Operation::Request => Mac::ZERO,
            Operation::Reply => mac,
        };
        Frame {
            source: mac,
            destination: Mac::BROADCAST,
            packet: Packet::Arp(Arp {
                operation,
                sender_mac: mac,
                sender_ip: address,
                target_mac,
                target_ip: address,
            }),
        }
    }

    /// The unicast reply that names `mac` for the address which this request asks for.
    pub fn reply_from(&self, mac: Mac) -> Frame {
        Frame {
            source: mac,
            destination: self.sender_mac,
            packet: Packet::Arp(Arp {
                operation: Operation::Reply,
                sender_mac: mac,
                sender_ip: self.target_ip,
                target_mac: self.sender_mac,
                target_ip: self.sender_ip,
            }),
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Arp, WireError> {
        let packet = ArpPacket::new(bytes).ok_or(truncated("ARP packet", LEN, bytes.len()))?;
        let expect = |what, value: u16, wanted: u16| {
            if value == wanted { Ok(()) } else { Err(WireError::Unsupported { what, value: value.into() }) }
        };
        expect("ARP hardware type", packet.get_hardware_type().0, ArpHardwareTypes::Ethernet.0)?;
        expect("ARP protocol type", packet.get_protocol_type().0, EtherTypes::Ipv4.0)?;
        expect("ARP hardware address length", packet.get_hw_addr_len().into(), MAC_LEN.into())?;
        expect("ARP protocol address length", packet.get_proto_addr_len().into(), IPV4_LEN.into())?;
        let operation = match packet.get_operation() {
            ArpOperations::Request => Operation::Request,
            ArpOperations::Reply => Operation::Reply,
            ArpOperation(value) => {
                return Err(WireError::Unsupported { what: "ARP operation", value: value.into() });
            }
        };
        Ok(Arp {
            operation,
            sender_mac: Mac(packet.get_sender_hw_addr().octets()),
            sender_ip: packet.get_sender_proto_addr(),
            target_mac: Mac(packet.get_target_hw_addr().octets()),
            target_ip: packet.get_target_proto_addr(),
        })
    }

    /// Writes the packet and says how many bytes it took.
    pub(super) fn emit(&self, buffer: &mut [u8]) -> usize {
        let Some(mut packet) = MutableArpPacket::new(buffer) else { return 0 };
        packet.set_hardware_type(ArpHardwareTypes::Ethernet);
        packet.set_protocol_type(EtherTypes::Ipv4);
        packet.set_hw_addr_len(MAC_LEN);
        packet.set_proto_addr_len(IPV4_LEN);
        packet.set_operation(match self.operation {
            Operation::Request => ArpOperations::Request,
            Operation::Reply => ArpOperations::Reply,
        });
        packet.set_sender_hw_addr(self.sender_mac.into());
        packet.set_sender_proto_addr(self.sender_ip);
        packet.set_target_hw_addr(self.target_mac.into());
        packet.set_target_proto_addr(self.target_ip);
        LEN
    }
}
