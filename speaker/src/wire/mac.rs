//! Ethernet hardware addresses.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// A 48-bit Ethernet hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`, every host of the segment.
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    /// `00:00:00:00:00:00`, the unknown target of an ARP request.
    pub const ZERO: Mac = Mac([0; 6]);

    /// The group address that carries an IPv6 multicast destination (RFC 2464 section 7).
    pub fn multicast(group: Ipv6Addr) -> Mac {
        let [.., a, b, c, d] = group.octets();
        Mac([0x33, 0x33, a, b, c, d])
    }

    /// Whether this is a multicast or the broadcast address.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether this can be the address of one network card: neither a group nor zero.
    pub fn is_unicast(self) -> bool {
        !self.is_group() && self != Mac::ZERO
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text is not six octets in hexadecimal, joined by colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hardware address has six octets in hexadecimal, as in 02:42:ac:11:00:fe")]
pub struct MacError;

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(MacError)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Mac(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_is_written() {
        let mac = Mac([0x02, 0x42, 0xac, 0x11, 0x00, 0xfe]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for text in ["", "02:42:ac:11:00", "02:42:ac:11:00:fe:01", "2:42:ac:11:00:fe", "02:42:ac:11:00:zz"] {
            assert_eq!(text.parse::<Mac>(), Err(MacError), "{text}");
        }
    }

    #[test]
    fn text_form_is_the_usual_one() {
        assert_eq!(Mac([0x02, 0x42, 0xac, 0x11, 0x00, 0xfe]).to_string(), "02:42:ac:11:00:fe");
    }

    #[test]
    fn only_one_cards_address_is_unicast() {
        for (mac, unicast) in [(Mac([2, 0, 0, 0, 0, 1]), true), (Mac::ZERO, false), (Mac::BROADCAST, false)] {
            assert_eq!(mac.is_unicast(), unicast, "{mac}");
        }
    }

    #[test]
    fn multicast_address_takes_the_last_four_octets_of_the_group() {
        let group = "ff02::1:ff00:abcd".parse().unwrap();
        assert_eq!(Mac::multicast(group).to_string(), "33:33:ff:00:ab:cd");
        assert!(Mac::multicast(group).is_group());
    }
}
