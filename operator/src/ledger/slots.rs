//! Numbering of the addresses that a pool may hand out.
//!
//! Addresses of one family are numbered from 0 in ascending order, without a gap for what lies between ranges, is
//! excluded, or ends in .0 or .255. The lowest free address is then the lowest number that is not taken, and no
//! search ever walks over addresses.

use std::net::IpAddr;

use ferrolb_crds::range::{AddressRange, Family, from_bits, to_bits};

use super::ranges::merged;

/// IPv4 addresses of a /24 that remain without .0 and .255.
const USUAL_PER_BLOCK: u128 = 254;

/// The addresses of one family that a pool may hand out, each with its number, its *slot*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    family: Family,
    ordinal: Ordinal,
    /// Disjoint and ascending.
    spans: Vec<Span>,
    count: u128,
}

/// Consecutive ordinals, with the slot of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    slot: u128,
    first: u128,
    /// One past the last.
    end: u128,
}

/// How addresses are counted before ranges are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ordinal {
    /// Each address counts.
    Every,
    /// IPv4 addresses that end in .0 or .255 don't.
    Usual,
}

impl Slots {
    /// The slots of what `addresses` contain and `excluded` do not. With `avoid_buggy`, IPv4 addresses that end
    /// in .0 or .255 have none. The very last IPv6 address, which is multicast, never has one.
    pub(super) fn new(
        family: Family,
        addresses: &[AddressRange],
        excluded: &[AddressRange],
        avoid_buggy: bool,
    ) -> Self {
        let ordinal = if avoid_buggy && family == Family::V4 { Ordinal::Usual } else { Ordinal::Every };
        let excluded = spans(family, excluded);
        let mut laid_out = Vec::new();
        let mut slot = 0;
        for (first, end) in spans(family, addresses).into_iter().flat_map(|span| without(span, &excluded)) {
            let (first, end) = (ordinal.of(first), ordinal.of(end));
            if first < end {
                laid_out.push(Span { slot, first, end });
                slot += end - first;
            }
        }
        Self { family, ordinal, spans: laid_out, count: slot }
    }

    /// How many slots there are.
    pub(super) fn count(&self) -> u128 {
        self.count
    }

    /// The slot of an address, if it has one.
    pub(super) fn slot(&self, address: IpAddr) -> Option<u128> {
        let bits = to_bits(address);
        let next = bits.checked_add(1)?;
        let ordinal = self.ordinal.of(bits);
        if Family::of(address) != self.family || ordinal == self.ordinal.of(next) {
            return None;
        }
        let span = self.spans[..self.spans.partition_point(|span| span.first <= ordinal)].last()?;
        (ordinal < span.end).then(|| span.slot + (ordinal - span.first))
    }

    /// The address of a slot, if there is such a slot.
    pub(super) fn address(&self, slot: u128) -> Option<IpAddr> {
        let span = self.spans[..self.spans.partition_point(|span| span.slot <= slot)].last()?;
        let ordinal = span.first + (slot - span.slot);
        if ordinal >= span.end {
            return None;
        }
        from_bits(self.family, self.ordinal.bits(ordinal))
    }
}

impl Ordinal {
    /// How many addresses below `bits` count.
    fn of(self, bits: u128) -> u128 {
        match self {
            Self::Every => bits,
            Self::Usual => (bits >> 8) * USUAL_PER_BLOCK + (bits & 0xff).saturating_sub(1),
        }
    }

    /// The address of an ordinal: the inverse of [`Self::of`] for addresses that count.
    fn bits(self, ordinal: u128) -> u128 {
        match self {
            Self::Every => ordinal,
            Self::Usual => ((ordinal / USUAL_PER_BLOCK) << 8) + ordinal % USUAL_PER_BLOCK + 1,
        }
    }
}

/// The ranges of a family as ascending, disjoint spans of bits, each with the end one past its last address.
fn spans(family: Family, ranges: &[AddressRange]) -> Vec<(u128, u128)> {
    merged(ranges)
        .iter()
        .filter(|range| range.family() == family)
        .map(|range| (to_bits(range.first()), to_bits(range.last()).saturating_add(1)))
        .collect()
}

/// The parts of a span that no excluded span covers; `excluded` is ascending and disjoint.
fn without((first, end): (u128, u128), excluded: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut parts = Vec::new();
    let mut from = first;
    let relevant = &excluded[excluded.partition_point(|hole| hole.1 <= first)..];
    for hole in relevant.iter().take_while(|hole| hole.0 < end) {
        if from < hole.0 {
            parts.push((from, hole.0));
        }
        from = hole.1;
    }
    if from < end {
        parts.push((from, end));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_follow_the_addresses_in_ascending_order() {
        check("10.0.0.5 10.0.0.1-10.0.0.2", "", false, "10.0.0.1 10.0.0.2 10.0.0.5");
        check("10.0.0.0/30 10.0.0.2/31 10.0.0.1", "", false, "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3");
        check("10.0.0.0/30", "10.0.0.1-10.0.0.2", false, "10.0.0.0 10.0.0.3");
        check("10.0.0.1 10.0.0.3-10.0.0.4", "10.0.0.0/31 10.0.0.4/30", false, "10.0.0.3");
        check("10.0.0.0/30", "10.0.0.0/29", false, "");
        check("fd00::1 10.0.0.1", "", false, "10.0.0.1");
        check("10.0.0.254-10.0.1.1", "", true, "10.0.0.254 10.0.1.1");
        check("10.0.0.255-10.0.1.0", "", true, "");
        check("10.0.0.0-10.0.0.2", "10.0.0.1", true, "10.0.0.2");
        check("0.0.0.0-0.0.0.1 255.255.255.254/31", "", true, "0.0.0.1 255.255.255.254");
    }

    #[test]
    fn the_largest_pools_are_counted_without_a_walk() {
        let count = |family, text: &str, avoid| Slots::new(family, &ranges(text), &[], avoid).count();
        assert_eq!(count(Family::V6, "fd00::/64", true), 1 << 64);
        assert_eq!(count(Family::V6, "::/0", false), u128::MAX);
        assert_eq!(count(Family::V4, "0.0.0.0/0", false), 1 << 32);
        assert_eq!(count(Family::V4, "0.0.0.0/0", true), (1 << 24) * 254);
    }

    proptest! {
        #[test]
        fn slots_are_a_gapless_numbering_of_what_may_be_handed_out(
            addresses in prop::collection::vec((0u32..1100, 0u32..600), 1..6),
            excluded in prop::collection::vec((0u32..1100, 0u32..40), 0..6),
            avoid_buggy: bool,
        ) {
            let ranges = |spans: &[(u32, u32)]| spans.iter().map(|(first, more)| {
                let address = |bits: u32| from_bits(Family::V4, bits.into()).unwrap();
                AddressRange::new(address(*first), address(first + more)).unwrap()
            }).collect::<Vec<_>>();
            let (addresses, excluded) = (ranges(&addresses), ranges(&excluded));
            let slots = Slots::new(Family::V4, &addresses, &excluded, avoid_buggy);
            let mut next = 0;
            for bits in 0u32..1800 {
                let address = from_bits(Family::V4, bits.into()).unwrap();
                let within = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(address));
                let buggy = avoid_buggy && matches!(bits & 0xff, 0 | 255);
                let expected = (within(&addresses) && !within(&excluded) && !buggy).then_some(next);
                prop_assert_eq!(slots.slot(address), expected, "{}", address);
                if let Some(slot) = expected {
                    prop_assert_eq!(slots.address(slot), Some(address));
                    next += 1;
                }
            }
            prop_assert_eq!(slots.count(), next);
            prop_assert_eq!(slots.address(next), None);
        }
    }

    fn check(addresses: &str, excluded: &str, avoid_buggy: bool, expected: &str) {
        let slots = Slots::new(Family::V4, &ranges(addresses), &ranges(excluded), avoid_buggy);
        let listed: Vec<_> =
            (0..slots.count()).map(|slot| slots.address(slot).unwrap().to_string()).collect();
        assert_eq!(listed.join(" "), expected, "{addresses} without {excluded}");
    }

    fn ranges(text: &str) -> Vec<AddressRange> {
        text.split_whitespace().map(|range| range.parse().unwrap()).collect()
    }
}
