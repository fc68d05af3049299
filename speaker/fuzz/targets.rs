//! What is tried with bytes that anybody may send: by the fuzzer, by a replay of its corpus, and at random.
//!
//! Reading must not panic, and a frame that could be read is the same after it was written and read again. Each
//! function says whether a frame came of the bytes.

use crate::wire::{Frame, Packet};

const ETHERNET: [u8; 12] = [0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a];
const ICMPV6: u8 = 58;

/// The bytes are a whole frame.
pub(crate) fn frame(bytes: &[u8]) -> bool {
    read(bytes).is_some()
}

/// The bytes follow the Ethernet header of an ARP frame (RFC 826).
pub(crate) fn arp(bytes: &[u8]) -> bool {
    let frame = [&ETHERNET[..], &[0x08, 0x06], bytes].concat();
    matches!(read(&frame), Some(Frame { packet: Packet::Arp(_), .. }))
}

/// The bytes are the IPv6 source, the IPv6 destination, and what follows the checksum of a neighbour solicitation
/// (RFC 4861 section 4.3), whose headers and checksum are right.
pub(crate) fn solicitation(bytes: &[u8]) -> bool {
    matches!(read(&discovery(135, bytes)), Some(Frame { packet: Packet::Solicitation(_), .. }))
}

/// The same of a neighbour advertisement (RFC 4861 section 4.4).
pub(crate) fn advertisement(bytes: &[u8]) -> bool {
    matches!(read(&discovery(136, bytes)), Some(Frame { packet: Packet::Advertisement(_), .. }))
}

fn read(bytes: &[u8]) -> Option<Frame> {
    let frame = Frame::parse(bytes).ok()?;
    assert_eq!(Frame::parse(&frame.emit()), Ok(frame), "it is another one after it was written");
    Some(frame)
}

/// A frame around an ICMPv6 message.
fn discovery(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let (addresses, rest) = bytes.split_at(bytes.len().min(32));
    let mut pseudo = [0; 32];
    pseudo[..addresses.len()].copy_from_slice(addresses);
    let mut message = [&[kind, 0, 0, 0], rest].concat();
    message.truncate(usize::from(u16::MAX));
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let sum =
        checksum(&[&pseudo[..], &u32::from(length).to_be_bytes(), &[0, 0, 0, ICMPV6], &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let [high, low] = length.to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, ICMPV6, 255];
    [&ETHERNET[..], &[0x86, 0xdd], &header, &pseudo, &message].concat()
}

/// The Internet checksum (RFC 1071), independently of what the frames are written with.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
