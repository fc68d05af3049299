//! Classic BPF programs that let through only what the speaker can use, so that the kernel drops the rest
//! before it is copied.

use socket2::SockFilter;

/// A family of frames, each received on its own socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// ARP requests and replies.
    Arp,
    /// Neighbour solicitations and advertisements.
    Ndp,
}

impl Protocol {
    /// Both families.
    pub const ALL: [Protocol; 2] = [Protocol::Arp, Protocol::Ndp];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Arp => "arp",
            Protocol::Ndp => "ndp",
        }
    }

    /// The EtherType in host byte order.
    pub(super) fn ethertype(self) -> u16 {
        match self {
            Protocol::Arp => ETHERTYPE_ARP,
            Protocol::Ndp => ETHERTYPE_IPV6,
        }
    }

    /// The program for frames that start with their Ethernet header.
    pub(super) fn filter(self) -> &'static [SockFilter] {
        match self {
            Protocol::Arp => &ARP,
            Protocol::Ndp => &NDP,
        }
    }
}

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

// Offsets from the start of the Ethernet header.
const ETHERTYPE: u32 = 12;
const ARP_OPERATION: u32 = 20;
const IPV6_NEXT_HEADER: u32 = 20;
const IPV6_HOP_LIMIT: u32 = 21;
const ICMPV6_TYPE: u32 = 54;
// Ancillary data of linux/filter.h, at a negative offset.
const ANCILLARY: u32 = (-0x1000_i32).cast_unsigned();
const PACKET_TYPE: u32 = ANCILLARY + 4;
const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
/// Packet types below this came to us: unicast to our address, broadcast, or multicast.
const PACKET_OTHERHOST: u32 = 3;
const ICMPV6: u32 = 58;
const NEIGHBOR_SOLICITATION: u32 = 135;
const NEIGHBOR_ADVERTISEMENT: u32 = 136;

const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

const fn op(code: u16, on_true: u8, on_false: u8, value: u32) -> SockFilter {
    SockFilter::new(code, on_true, on_false, value)
}

#[rustfmt::skip]
static ARP: [SockFilter; 11] = [
    op(LOAD_BYTE, 0, 0, PACKET_TYPE),
    op(JUMP_GREATER_EQUAL, 8, 0, PACKET_OTHERHOST),
    op(LOAD_BYTE, 0, 0, VLAN_TAG_PRESENT),
    op(JUMP_EQUAL, 0, 6, 0),
    op(LOAD_HALF, 0, 0, ETHERTYPE),
    op(JUMP_EQUAL, 0, 4, ETHERTYPE_ARP as u32),
    op(LOAD_HALF, 0, 0, ARP_OPERATION),
    op(JUMP_EQUAL, 1, 0, 1),
    op(JUMP_EQUAL, 0, 1, 2),
    op(RETURN, 0, 0, u32::MAX),
    op(RETURN, 0, 0, 0),
];

#[rustfmt::skip]
static NDP: [SockFilter; 15] = [
    op(LOAD_BYTE, 0, 0, PACKET_TYPE),
    op(JUMP_GREATER_EQUAL, 12, 0, PACKET_OTHERHOST),
    op(LOAD_BYTE, 0, 0, VLAN_TAG_PRESENT),
    op(JUMP_EQUAL, 0, 10, 0),
    op(LOAD_HALF, 0, 0, ETHERTYPE),
    op(JUMP_EQUAL, 0, 8, ETHERTYPE_IPV6 as u32),
    op(LOAD_BYTE, 0, 0, IPV6_NEXT_HEADER),
    op(JUMP_EQUAL, 0, 6, ICMPV6),
    op(LOAD_BYTE, 0, 0, IPV6_HOP_LIMIT),
    op(JUMP_EQUAL, 0, 4, 255),
    op(LOAD_BYTE, 0, 0, ICMPV6_TYPE),
    op(JUMP_EQUAL, 1, 0, NEIGHBOR_SOLICITATION),
    op(JUMP_EQUAL, 0, 1, NEIGHBOR_ADVERTISEMENT),
    op(RETURN, 0, 0, u32::MAX),
    op(RETURN, 0, 0, 0),
];
