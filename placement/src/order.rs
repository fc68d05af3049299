//! The order of candidates.

use std::cmp::Reverse;
use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

use crate::place::Candidate;

/// Rendezvous hash of a node for a Service: XXH3-64, seed 0, of the node's name, a zero byte, and the text of the
/// Service's first status address. The highest hash comes first, so that a dead node's addresses spread over all
/// others, and a joining node takes only its share.
pub fn rendezvous(node: &str, first_address: IpAddr) -> u64 {
    let mut input = Vec::with_capacity(node.len() + 40);
    input.extend_from_slice(node.as_bytes());
    input.push(0);
    input.extend_from_slice(first_address.to_string().as_bytes());
    xxh3_64(&input)
}

/// Sorts candidates, best first: usable before demoted, the preferred node, the preference weight, the hash.
pub(crate) fn sort(candidates: &mut [Candidate], first_address: IpAddr) {
    candidates.sort_by_cached_key(|candidate| {
        (
            candidate.demoted,
            !candidate.preferred,
            Reverse(candidate.weight),
            Reverse(rendezvous(&candidate.node, first_address)),
            candidate.node.clone(),
        )
    });
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
