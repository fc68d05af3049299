//! Classic BPF programs that let through only what the speaker can use, so that the kernel drops the rest
//! before it is copied.
//!
//! What is let through is divided into [lanes](Lane) by a hash of the Ethernet source. Each lane has a receive queue of
//! its own, so that whoever floods from one address fills only the queue of those who share the lane.

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
    pub(super) fn filter(self, lane: Lane) -> Vec<SockFilter> {
        let protocol = match self {
            Protocol::Arp => ARP.as_slice(),
            Protocol::Ndp => NDP.as_slice(),
        };
        let program = lane.filter().into_iter().chain(protocol.iter().copied());
        program
            .map(|Op(code, on_true, on_false, value)| SockFilter::new(code, on_true, on_false, value))
            .collect()
    }
}

/// How many lanes there are: a power of two. More divide a flood from others better, but each is one more socket to look
/// into and one more program for the kernel to run.
pub(super) const LANES: usize = 4;

/// A part of all Ethernet sources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    /// Which, below [`LANES`].
    pub(super) index: usize,
    /// Which sources are in the lane depends on this.
    pub(super) seed: u64,
}

impl Lane {
    /// Goes on behind its end with frames of the lane only.
    fn filter(self) -> [Op; 10] {
        let [high, low] = [self.seed >> 32, self.seed].map(|half| half as u32 | 1);
        [
            Op(LOAD_HALF, 0, 0, ETHERNET_SOURCE + 4),
            Op(MULTIPLY, 0, 0, high),
            Op(TO_X, 0, 0, 0),
            Op(LOAD_WORD, 0, 0, ETHERNET_SOURCE),
            Op(XOR_X, 0, 0, 0),
            Op(MULTIPLY, 0, 0, low),
            Op(SHIFT_RIGHT, 0, 0, 16),
            Op(AND, 0, 0, LANES as u32 - 1),
            Op(JUMP_EQUAL, 1, 0, self.index as u32),
            Op(RETURN, 0, 0, 0),
        ]
    }
}

/// A code, the instructions to skip if it is a jump and its condition is true, those if it is false, and a constant.
#[derive(Clone, Copy, Debug)]
struct Op(u16, u8, u8, u32);

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

// Offsets from the start of the Ethernet header.
const ETHERNET_SOURCE: u32 = 6;
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

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;
const TO_X: u16 = 0x07;
const XOR_X: u16 = 0xac;
const MULTIPLY: u16 = 0x24;
const SHIFT_RIGHT: u16 = 0x74;
const AND: u16 = 0x54;

#[rustfmt::skip]
static ARP: [Op; 11] = [
    Op(LOAD_BYTE, 0, 0, PACKET_TYPE),
    Op(JUMP_GREATER_EQUAL, 8, 0, PACKET_OTHERHOST),
    Op(LOAD_BYTE, 0, 0, VLAN_TAG_PRESENT),
    Op(JUMP_EQUAL, 0, 6, 0),
    Op(LOAD_HALF, 0, 0, ETHERTYPE),
    Op(JUMP_EQUAL, 0, 4, ETHERTYPE_ARP as u32),
    Op(LOAD_HALF, 0, 0, ARP_OPERATION),
    Op(JUMP_EQUAL, 1, 0, 1),
    Op(JUMP_EQUAL, 0, 1, 2),
    Op(RETURN, 0, 0, u32::MAX),
    Op(RETURN, 0, 0, 0),
];

#[rustfmt::skip]
static NDP: [Op; 15] = [
    Op(LOAD_BYTE, 0, 0, PACKET_TYPE),
    Op(JUMP_GREATER_EQUAL, 12, 0, PACKET_OTHERHOST),
    Op(LOAD_BYTE, 0, 0, VLAN_TAG_PRESENT),
    Op(JUMP_EQUAL, 0, 10, 0),
    Op(LOAD_HALF, 0, 0, ETHERTYPE),
    Op(JUMP_EQUAL, 0, 8, ETHERTYPE_IPV6 as u32),
    Op(LOAD_BYTE, 0, 0, IPV6_NEXT_HEADER),
    Op(JUMP_EQUAL, 0, 6, ICMPV6),
    Op(LOAD_BYTE, 0, 0, IPV6_HOP_LIMIT),
    Op(JUMP_EQUAL, 0, 4, 255),
    Op(LOAD_BYTE, 0, 0, ICMPV6_TYPE),
    Op(JUMP_EQUAL, 1, 0, NEIGHBOR_SOLICITATION),
    Op(JUMP_EQUAL, 0, 1, NEIGHBOR_ADVERTISEMENT),
    Op(RETURN, 0, 0, u32::MAX),
    Op(RETURN, 0, 0, 0),
];
