//! The order of candidates.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

use crate::place::{Candidate, Placement};

/// Rendezvous hash of a node for an address: XXH3-64, seed 0, of the node's name, a zero byte, and the text of the
/// first status address of the first Service that has it. The highest hash comes first, so that a dead node's
/// addresses spread over all others, and a joining node takes only its share.
pub fn rendezvous(node: &str, first_address: IpAddr) -> u64 {
    Rendezvous::new(first_address).of(node)
}

/// The hashes of nodes for one address.
pub(crate) struct Rendezvous {
    address: String,
    input: Vec<u8>,
}

impl Rendezvous {
    pub(crate) fn new(first_address: IpAddr) -> Self {
        Self { address: first_address.to_string(), input: Vec::new() }
    }

    pub(crate) fn of(&mut self, node: &str) -> u64 {
        self.input.clear();
        self.input.extend_from_slice(node.as_bytes());
        self.input.push(0);
        self.input.extend_from_slice(self.address.as_bytes());
        xxh3_64(&self.input)
    }
}

/// Candidates in the order in which they take an address that nobody has announced yet. They are given in their order for
/// every other question, and it stays but for this: of those with the same `preference`, the ones that own less than
/// their fair share come first. `owned` says how many addresses one owns, as far as that is known; one of which it is
/// not counts as one that owns few.
pub fn first_placement<C, P: Ord>(
    candidates: impl IntoIterator<Item = C>,
    owned: impl Fn(&C) -> Option<u32>,
    preference: impl Fn(&C) -> P,
) -> Vec<C> {
    let candidates: Vec<C> = candidates.into_iter().collect();
    let counts: Vec<Option<u32>> = candidates.iter().map(owned).collect();
    let share = fair_share(&counts.iter().copied().flatten().collect::<Vec<_>>());
    let is_full = |count: Option<u32>| count.is_some_and(|count| u64::from(count) >= share);
    let mut order: Vec<(bool, C)> = counts.into_iter().map(is_full).zip(candidates).collect();
    // A stable sort: what is equal in this stays in the order of the hash.
    order.sort_by_key(|(is_full, candidate)| (preference(candidate), *is_full));
    order.into_iter().map(|(_, candidate)| candidate).collect()
}

impl Placement {
    /// The candidates in the order of their [first placement](first_placement).
    pub fn for_first_placement(&self, owned: impl Fn(&str) -> Option<u32>) -> Vec<&Candidate> {
        first_placement(
            &self.candidates,
            |candidate| owned(&candidate.node),
            |candidate| candidate.preference(),
        )
    }
}

/// A node that owns less than this, of nodes that own so many addresses each, is given more: ceil(1.25 × mean), and at least one address.
fn fair_share(counts: &[u32]) -> u64 {
    let nodes = u64::try_from(counts.len()).unwrap_or(u64::MAX).max(1);
    let sum: u64 = counts.iter().copied().map(u64::from).sum();
    (5 * sum).div_ceil(4 * nodes).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::*;

    /// Whoever implements the hash elsewhere can check it with these.
    #[test]
    fn the_hash_is_that_of_the_test_vectors() {
        for (node, address, expected) in [
            ("node-1", "192.168.1.240", 0x73d9_723f_aad1_df9c),
            ("node-2", "192.168.1.240", 0x8372_2cb6_f336_81fc),
            ("node-1", "fd00::f0", 0xaf41_b7e7_bb51_a7f3),
        ] {
            assert_eq!(rendezvous(node, address.parse().unwrap()), expected, "{node} {address}");
        }
    }

    #[test]
    fn a_fair_share_is_a_quarter_more_than_the_mean_rounded_up() {
        for (counts, share) in [
            (&[][..], 1),
            (&[0, 0], 1),
            (&[1, 0], 1),
            (&[4, 4], 5),
            (&[4, 5], 6),
            (&[u32::MAX; 2], 5_368_709_119),
        ] {
            assert_eq!(fair_share(counts), share, "{counts:?}");
        }
    }

    #[test]
    fn addresses_spread_over_nodes_and_a_lost_node_moves_only_its_own() {
        let nodes: Vec<String> = (0..10).map(|n| format!("node-{n}")).collect();
        let addresses: Vec<IpAddr> =
            (0..1000u32).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n).into()).collect();
        let best = |nodes: &[String], address| {
            nodes.iter().max_by_key(|node| rendezvous(node, address)).unwrap().clone()
        };
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for &address in &addresses {
            let owner = best(&nodes, address);
            if owner != nodes[0] {
                assert_eq!(best(&nodes[1..], address), owner);
            }
            *counts.entry(owner).or_default() += 1;
        }
        assert_eq!(counts.len(), 10);
        assert!(counts.values().all(|&count| (60..=140).contains(&count)), "{counts:?}");
    }
}
