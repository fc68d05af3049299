//! The frames of the resolve probe: questions in ARP and NDP, and the answers to them. Pure.
//!
//! Apart from the speaker's own frames on purpose: what judges the speaker shares no code with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The link-local address that a kernel makes of it (RFC 4291, appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) const ARP: [u8; 2] = [0x08, 0x06];
pub(super) const IPV6: [u8; 2] = [0x86, 0xdd];
/// Ethernet and IPv4, hardware and protocol address lengths (RFC 826).
const ARP_FIXED: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ICMPV6: u8 = 58;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) mac: Mac,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
}

impl Asker {
    /// The question who has `address`: an ARP request by broadcast, or a Neighbor Solicitation to the address's group.
    pub(super) fn question(&self, address: IpAddr) -> Vec<u8> {
        match address {
            IpAddr::V4(address) => self.arp_request(address),
            IpAddr::V6(address) => self.neighbor_solicitation(address),
        }
    }

    /// Reads a frame as an answer to that question: the hardware address that it names, and its Ethernet source.
    pub(super) fn answer(&self, address: IpAddr, frame: &[u8]) -> Option<(Mac, Mac)> {
        let source = Mac(frame.get(6..12)?.try_into().ok()?);
        let named = match address {
            IpAddr::V4(address) => self.arp_reply(address, frame)?,
            IpAddr::V6(address) => self.neighbor_advertisement(address, frame)?.unwrap_or(source),
        };
        Some((named, source))
    }

    /// Reads a frame as an answer to any question of this asker: the address, the hardware address that it names, and its
    /// Ethernet source.
    pub(super) fn any_answer(&self, frame: &[u8]) -> Option<(IpAddr, Mac, Mac)> {
        let address: IpAddr = match [*frame.get(12)?, *frame.get(13)?] {
            ARP => <[u8; 4]>::try_from(frame.get(28..32)?).ok()?.into(),
            IPV6 => <[u8; 16]>::try_from(frame.get(62..78)?).ok()?.into(),
            _ => return None,
        };
        self.answer(address, frame).map(|(named, source)| (address, named, source))
    }

    fn arp_request(&self, address: Ipv4Addr) -> Vec<u8> {
        let question = arp(1, (self.mac, self.v4), (Mac([0; 6]), address));
        [ethernet([0xff; 6], self.mac, ARP), question].concat()
    }

    fn arp_reply(&self, address: Ipv4Addr, frame: &[u8]) -> Option<Mac> {
        let arp = frame.get(14..42)?;
        let is_reply = frame[12..14] == ARP && arp[..6] == ARP_FIXED && arp[6..8] == [0, 2];
        let is_ours = arp[14..18] == address.octets() && arp[24..28] == self.v4.octets();
        (is_reply && is_ours).then_some(Mac(arp[8..14].try_into().ok()?))
    }

    fn neighbor_solicitation(&self, address: Ipv6Addr) -> Vec<u8> {
        let [.., a, b, c] = address.octets();
        // RFC 4291 §2.7.1, and RFC 2464 §7 for its hardware address.
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
        let message = message([NEIGHBOR_SOLICITATION, 0], address, (SOURCE_LINK_LAYER, self.mac));
        icmpv6(self.mac, [0x33, 0x33, 0xff, a, b, c], (self.v6, group), message)
    }

    /// Some for an advertisement that answers; within, the target link-layer address if it has one.
    fn neighbor_advertisement(&self, address: Ipv6Addr, frame: &[u8]) -> Option<Option<Mac>> {
        let header = frame.get(14..54)?;
        let message = frame.get(54..)?;
        let is_ours = frame[12..14] == IPV6 && header[6] == ICMPV6 && header[24..40] == self.v6.octets();
        let is_answer =
            *message.first()? == NEIGHBOR_ADVERTISEMENT && *message.get(8..24)? == address.octets();
        if !is_ours || !is_answer {
            return None;
        }
        let mut options = &message[24..];
        while let [kind, units, ..] = *options {
            let length = usize::from(units) * 8;
            if length == 0 || options.len() < length {
                break;
            }
            if kind == TARGET_LINK_LAYER {
                return Some(Some(Mac(options[2..8].try_into().ok()?)));
            }
            options = &options[length..];
        }
        Some(None)
    }
}

/// An ARP packet for Ethernet and IPv4 (RFC 826): operation, sender and target.
pub(super) fn arp(operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut packet = ARP_FIXED.to_vec();
    packet.extend([0, operation]);
    for (mac, address) in [sender, target] {
        packet.extend(mac.0);
        packet.extend(address.octets());
    }
    packet
}

/// The Neighbor Advertisement that answers a solicitation (RFC 4861 §7.2.4), from the target to who asked: without an
/// address that is all nodes.
pub(super) fn advertisement(target: (Mac, Ipv6Addr), asker: (Mac, Ipv6Addr)) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const SOLICITED: u8 = 0x40;
    let ((mac, address), (asker_mac, asker)) = (target, asker);
    let (flags, to) = if asker.is_unspecified() {
        (OVERRIDE, ([0x33, 0x33, 0, 0, 0, 1], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)))
    } else {
        (SOLICITED | OVERRIDE, (asker_mac.0, asker))
    };
    let message = message([NEIGHBOR_ADVERTISEMENT, flags], address, (TARGET_LINK_LAYER, mac));
    icmpv6(mac, to.0, (address, to.1), message)
}

/// Reads a frame as an ARP request that is no announcement: its sender address, and the address that is asked for.
pub(super) fn requested_target(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let request = frame.get(14..42)?;
    let asks = frame[12..14] == ARP && request[..6] == ARP_FIXED && request[6..8] == [0, 1];
    let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
    let (sender, target) = (address(&request[14..18])?, address(&request[24..28])?);
    (asks && sender != target).then_some((sender, target))
}

/// Reads a frame as a Neighbor Solicitation: its IPv6 source, and the address that is asked for.
pub(super) fn solicited_target(frame: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let (header, message) = (frame.get(14..54)?, frame.get(54..)?);
    let asks = header[6] == ICMPV6 && *message.first()? == NEIGHBOR_SOLICITATION;
    let address = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from);
    asks.then_some((address(&header[8..24])?, address(message.get(8..24)?)?))
}

/// A Neighbor Discovery message with one option, of kind and flags, about an address; its checksum is still zero.
fn message([kind, flags]: [u8; 2], target: Ipv6Addr, (option, mac): (u8, Mac)) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend([option, 1]);
    message.extend(mac.0);
    message
}

/// A frame with an ICMPv6 message, from and to these IPv6 addresses, with hop limit 255.
fn icmpv6(
    source: Mac,
    destination: [u8; 6],
    (from, to): (Ipv6Addr, Ipv6Addr),
    mut message: Vec<u8>,
) -> Vec<u8> {
    let checksum = checksum(from, to, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = ethernet(destination, source, IPV6);
    frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(message);
    frame
}

pub(super) fn ethernet(destination: [u8; 6], source: Mac, kind: [u8; 2]) -> Vec<u8> {
    [&destination[..], &source.0, &kind].concat()
}

/// RFC 8200 §8.1, over the pseudo header and an ICMPv6 message of even length with a checksum of zero.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let addresses = source.segments().into_iter().chain(destination.segments());
    let words = message.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut sum: u32 = addresses.chain(words).map(u32::from).sum();
    sum += message.len() as u32 + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const ASKER: Asker = Asker {
        mac: Mac([2, 0xfb, 192, 168, 1, 4]),
        v4: Ipv4Addr::new(192, 168, 1, 4),
        v6: Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 4),
    };
    pub(in super::super) const VIP4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 240));
    pub(in super::super) const VIP6: IpAddr =
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 0x240));
    pub(in super::super) const NODE: Mac = Mac([2, 0xfb, 192, 168, 1, 11]);
    const PEER: Mac = Mac([2, 0xfb, 192, 168, 1, 12]);

    #[test]
    fn a_reply_names_one_address_and_comes_from_another() {
        let mut reply = ethernet(ASKER.mac.0, PEER, ARP);
        reply.extend(ARP_FIXED);
        reply.extend([0, 2]);
        reply.extend(NODE.0);
        reply.extend([192, 168, 1, 240]);
        reply.extend(ASKER.mac.0);
        reply.extend([192, 168, 1, 4]);
        assert_eq!(ASKER.answer(VIP4, &reply), Some((NODE, PEER)));
        assert_eq!(ASKER.answer(IpAddr::V4(Ipv4Addr::new(192, 168, 1, 241)), &reply), None);

        assert_eq!(ASKER.any_answer(&reply), Some((VIP4, NODE, PEER)));

        let last = reply.len() - 1;
        reply[last] = 9;
        assert_eq!(ASKER.answer(VIP4, &reply), None, "an answer to somebody else");
    }

    #[test]
    fn an_advertisement_names_its_option_or_else_its_sender() {
        let mut frame = advertisement();
        assert_eq!(ASKER.answer(VIP6, &frame), Some((NODE, PEER)));
        assert_eq!(ASKER.any_answer(&frame), Some((VIP6, NODE, PEER)));
        frame.truncate(frame.len() - 8);
        assert_eq!(ASKER.answer(VIP6, &frame), Some((PEER, PEER)));
    }

    #[test]
    fn truncated_and_lying_frames_are_no_answers() {
        let frame = advertisement();
        for length in 0..frame.len() - 8 {
            assert_eq!(ASKER.answer(VIP6, &frame[..length]), None, "{length} bytes");
            assert_eq!(ASKER.answer(VIP4, &frame[..length]), None, "{length} bytes");
        }
        let mut endless = advertisement();
        let option = endless.len() - 8;
        endless[option] = 14;
        endless[option + 1] = 0;
        assert_eq!(
            ASKER.answer(VIP6, &endless),
            Some((PEER, PEER)),
            "an option of length zero ends the options"
        );
    }

    #[test]
    fn a_question_is_no_answer_to_itself() {
        for address in [VIP4, VIP6] {
            assert_eq!(ASKER.answer(address, &ASKER.question(address)), None);
        }
    }

    #[test]
    fn the_checksum_of_a_question_is_right() {
        let frame = ASKER.question(VIP6);
        let (header, message) = (&frame[14..54], &frame[54..]);
        let address = |bytes: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap());
        // Over a message with its checksum in place, the sum is zero.
        assert_eq!(checksum(address(&header[8..24]), address(&header[24..40]), message), 0);
    }

    fn advertisement() -> Vec<u8> {
        let IpAddr::V6(vip) = VIP6 else { unreachable!("an IPv6 address") };
        let mut frame = super::advertisement((NODE, vip), (ASKER.mac, ASKER.v6));
        frame[6..12].copy_from_slice(&PEER.0);
        frame
    }
}
