//! Ranges of IP addresses, as pools list them: a CIDR, `first-last`, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// An IP address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, announced by ARP.
    V4,
    /// IPv6, announced by NDP.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Why a text is not a range of addresses; each message says what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Neither a CIDR, nor `first-last`, nor an address.
    #[error(
        "\"{0}\" is not an address range: write a CIDR (192.168.1.0/24), first-last \
         (192.168.1.240-192.168.1.250) or one address"
    )]
    Malformed(String),
    /// The two ends are of different families.
    #[error("\"{0}\" mixes IPv4 and IPv6: both ends of a range must be of one family")]
    MixedFamilies(String),
    /// The first address comes after the last one.
    #[error("\"{first}-{last}\" is reversed: write it as \"{last}-{first}\"")]
    Reversed {
        /// The first address as written.
        first: IpAddr,
        /// The last address as written.
        last: IpAddr,
    },
}

/// A non-empty, inclusive range of addresses of one family.
///
/// Ranges are ordered by their first address, then by their last; all of IPv4 comes before IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// The range from `first` to `last`, both included.
    ///
    /// # Errors
    /// When the families differ, or `first` comes after `last`.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            Err(RangeError::MixedFamilies(format!("{first}-{last}")))
        } else if first > last {
            Err(RangeError::Reversed { first, last })
        } else {
            Ok(Self { first, last })
        }
    }

    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// The family of all its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// Whether `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.family() == Family::of(address) && self.first <= address && address <= self.last
    }

    /// Whether the two ranges have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// The number of addresses, at least 1; [`u128::MAX`] for all of IPv6, which has one more.
    pub fn count(&self) -> u128 {
        (to_bits(self.last) - to_bits(self.first)).saturating_add(1)
    }
}

impl FromStr for AddressRange {
    type Err = RangeError;

    /// Reads a CIDR (its host bits are masked), `first-last` or one address; spaces around each are trimmed.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let malformed = || RangeError::Malformed(text.trim().to_owned());
        let address = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| malformed());
        if let Some((first, last)) = text.split_once('-') {
            Self::new(address(first)?, address(last)?)
        } else if text.contains('/') {
            let net: IpNet = text.trim().parse().map_err(|_| malformed())?;
            let (first, last) = match net {
                IpNet::V4(net) => (net.network().into(), net.broadcast().into()),
                IpNet::V6(net) => (net.network().into(), net.broadcast().into()),
            };
            Ok(Self { first, last })
        } else {
            let only = address(text)?;
            Ok(Self { first: only, last: only })
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// The numeric value of an address within its family.
pub fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of a family with a numeric value, or `None` if the family has no such address.
pub fn from_bits(family: Family, bits: u128) -> Option<IpAddr> {
    match family {
        Family::V4 => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        Family::V6 => Some(Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("192.168.1.240-192.168.1.250", "192.168.1.240-192.168.1.250"),
            (" 192.168.1.240 - 192.168.1.250 ", "192.168.1.240-192.168.1.250"),
            ("10.0.0.0/30", "10.0.0.0-10.0.0.3"),
            ("10.0.0.7/24", "10.0.0.0-10.0.0.255"),
            (" 10.0.0.9/32 ", "10.0.0.9"),
            ("10.0.0.9", "10.0.0.9"),
            ("10.0.0.9-10.0.0.9", "10.0.0.9"),
            ("fd00::/126", "fd00::-fd00::3"),
            ("fd00::5", "fd00::5"),
            ("fd00::1-fd00::ff", "fd00::1-fd00::ff"),
        ] {
            assert_eq!(text.parse::<AddressRange>().unwrap().to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_malformed_text_is_refused_with_what_to_write() {
        for text in [
            "",
            " ",
            "-",
            "/",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.1-",
            "-10.0.0.1",
            "010.0.0.1",
            "a-b",
            "10.0.0.1-10.0.0.2-10.0.0.3",
            "10.0.0.0/24-10.0.1.0/24",
            "fe80::1%eth0",
            "10.0.0.0/-1",
            "::/129",
        ] {
            let error = text.parse::<AddressRange>().unwrap_err();
            assert!(matches!(error, RangeError::Malformed(_)), "{text:?}: {error}");
            assert!(error.to_string().contains("192.168.1.240-192.168.1.250"), "{error}");
        }
    }

    #[test]
    fn a_reversed_range_says_how_to_write_it() {
        let error = "10.0.0.9-10.0.0.1".parse::<AddressRange>().unwrap_err();
        assert_eq!(error.to_string(), "\"10.0.0.9-10.0.0.1\" is reversed: write it as \"10.0.0.1-10.0.0.9\"");
    }

    #[test]
    fn a_range_is_of_one_family() {
        let error = "10.0.0.9-fd00::1".parse::<AddressRange>().unwrap_err();
        assert!(matches!(error, RangeError::MixedFamilies(_)));
    }

    #[test]
    fn counts_do_not_overflow() {
        let count = |text: &str| text.parse::<AddressRange>().unwrap().count();
        assert_eq!(count("10.0.0.1"), 1);
        assert_eq!(count("0.0.0.0/0"), 1 << 32);
        assert_eq!(count("fd00::/64"), 1 << 64);
        assert_eq!(count("::/0"), u128::MAX);
    }

    #[test]
    fn overlap_needs_a_common_address_of_one_family() {
        let overlaps = |a: &str, b: &str| {
            let (a, b): (AddressRange, AddressRange) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(overlaps("10.0.0.0/24", "10.0.0.255-10.0.1.4"));
        assert!(!overlaps("10.0.0.0/24", "10.0.1.0/24"));
        assert!(!overlaps("0.0.0.0/0", "::/0"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_reads_back(text in "[0-9a-f:./ -]{0,40}") {
            if let Ok(range) = text.parse::<AddressRange>() {
                prop_assert_eq!(range.to_string().parse::<AddressRange>(), Ok(range));
                prop_assert!(range.contains(range.first()) && range.contains(range.last()));
            }
        }

        #[test]
        fn bits_and_addresses_are_inverse(bits: u128, v4: u32) {
            prop_assert_eq!(from_bits(Family::V6, bits).map(to_bits), Some(bits));
            prop_assert_eq!(from_bits(Family::V4, v4.into()).map(to_bits), Some(v4.into()));
        }
    }
}
