//! The frames of the resolve probe: questions in ARP and NDP, and the answers to them. Pure.
//!
//! Apart from the speaker's own frames on purpose: what judges the speaker shares no code with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

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

const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
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

    fn arp_request(&self, address: Ipv4Addr) -> Vec<u8> {
        let mut frame = ethernet([0xff; 6], self.mac, ARP);
        frame.extend(ARP_FIXED);
        frame.extend([0, 1]);
        frame.extend(self.mac.0);
        frame.extend(self.v4.octets());
        frame.extend([0; 6]);
        frame.extend(address.octets());
        frame
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
        let mut message = vec![NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        message.extend(address.octets());
        message.extend([SOURCE_LINK_LAYER, 1]);
        message.extend(self.mac.0);
        let checksum = checksum(self.v6, group, &message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());

        let mut frame = ethernet([0x33, 0x33, 0xff, a, b, c], self.mac, IPV6);
        frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255]);
        frame.extend(self.v6.octets());
        frame.extend(group.octets());
        frame.extend(message);
        frame
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

fn ethernet(destination: [u8; 6], source: Mac, kind: [u8; 2]) -> Vec<u8> {
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
mod tests {
    use super::*;

    const ASKER: Asker = Asker {
        mac: Mac([2, 0xfb, 192, 168, 1, 4]),
        v4: Ipv4Addr::new(192, 168, 1, 4),
        v6: Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 4),
    };
    const VIP4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 240));
    const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 0x240));
    const NODE: Mac = Mac([2, 0xfb, 192, 168, 1, 11]);
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

        let last = reply.len() - 1;
        reply[last] = 9;
        assert_eq!(ASKER.answer(VIP4, &reply), None, "an answer to somebody else");
    }

    #[test]
    fn an_advertisement_names_its_option_or_else_its_sender() {
        let mut frame = advertisement();
        assert_eq!(ASKER.answer(VIP6, &frame), Some((NODE, PEER)));
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
        let mut frame = ethernet(ASKER.mac.0, PEER, IPV6);
        frame.extend([0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
        frame.extend(vip.octets());
        frame.extend(ASKER.v6.octets());
        frame.extend([NEIGHBOR_ADVERTISEMENT, 0, 0, 0, 0x40, 0, 0, 0]);
        frame.extend(vip.octets());
        frame.extend([TARGET_LINK_LAYER, 1]);
        frame.extend(NODE.0);
        frame
    }
}
