//! What pools and advertisements say of themselves: their status, computed from the whole set of objects.

use std::net::IpAddr;

use ferrolb_crds::advertisement::{L2Advertisement, L2AdvertisementStatus};
use ferrolb_crds::condition::{self, ADVERTISED, READY, STALLED, Statement};
use ferrolb_crds::pool::{IPAddressPool, IPAddressPoolStatus};
use ferrolb_placement::{NodeFacts, PoolFacts, selects_node, selects_pool};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::ledger::Usage;
use crate::standing::Fault;

/// Reason of the condition Ready when it is True.
const ACCEPTED: &str = "Accepted";

/// Condition of a pool: it contains an address that a node has. It is there only while that is so.
const CONTAINS_NODE_ADDRESS: &str = "ContainsNodeAddress";

/// The status of a pool, on from the one that it has. `node` has one of its addresses.
pub fn pool_status(
    pool: &IPAddressPool,
    fault: Option<&Fault>,
    usage: Usage,
    advertised: bool,
    node: Option<(&str, IpAddr)>,
    now: Timestamp,
) -> IPAddressPoolStatus {
    let before = pool.status.as_ref();
    let mut conditions = before.map(|status| status.conditions.clone()).unwrap_or_default();
    let generation = pool.metadata.generation;
    let ready = Statement {
        type_: READY,
        status: fault.is_none(),
        reason: fault.map_or(ACCEPTED, Fault::reason),
        message: fault.map_or("the pool is in use", Fault::message).to_owned(),
    };
    set_stalled(&mut conditions, fault.is_some().then_some(&ready), generation, now);
    condition::set(&mut conditions, ready, generation, now);
    let (reason, message) = match advertised {
        true => ("Advertised", "an L2Advertisement selects this pool"),
        false => (
            "NoAdvertisement",
            "no L2Advertisement selects this pool, so its addresses are not announced: create one",
        ),
    };
    let statement = Statement { type_: ADVERTISED, status: advertised, reason, message: message.to_owned() };
    condition::set(&mut conditions, statement, generation, now);
    match node {
        Some((node, address)) => {
            let message = format!(
                "{address} is an address of node {node}, and is not given to Services: exclude it, or give the node \
                 another"
            );
            let type_ = CONTAINS_NODE_ADDRESS;
            let statement = Statement { type_, status: true, reason: "NodeAddress", message };
            condition::set(&mut conditions, statement, generation, now);
        }
        None => drop(condition::remove(&mut conditions, CONTAINS_NODE_ADDRESS)),
    }
    IPAddressPoolStatus {
        assigned_ipv4: usage.assigned_v4,
        assigned_ipv6: usage.assigned_v6,
        available_ipv4: usage.available_v4,
        available_ipv6: usage.available_v6,
        observed_generation: generation.unwrap_or_default(),
        conditions,
    }
}

/// The status of an advertisement, on from the one that it has.
///
/// A selector that matches nothing is no error of its author's alone, since pools and nodes come and go: the
/// advertisement is not Ready, but not Stalled either.
pub fn advertisement_status<'a>(
    advertisement: &L2Advertisement,
    pools: &[PoolFacts],
    nodes: impl IntoIterator<Item = &'a NodeFacts>,
    now: Timestamp,
) -> L2AdvertisementStatus {
    let spec = &advertisement.spec;
    let before = advertisement.status.as_ref();
    let mut conditions = before.map(|status| status.conditions.clone()).unwrap_or_default();
    let generation = advertisement.metadata.generation;
    let (status, reason, message) = if !pools.iter().any(|pool| selects_pool(spec, pool)) {
        (false, "NoMatchingPool", "there is no pool that ipAddressPools or ipAddressPoolSelectors select")
    } else if !nodes.into_iter().any(|node| selects_node(spec, node)) {
        (false, "NoMatchingNode", "there is no node that nodeSelectors select")
    } else {
        (true, ACCEPTED, "the advertisement is in use")
    };
    let ready = Statement { type_: READY, status, reason, message: message.to_owned() };
    condition::set(&mut conditions, ready, generation, now);
    L2AdvertisementStatus { observed_generation: generation.unwrap_or_default(), conditions }
}

/// Stalled stands beside a Ready that only the user can mend, and is absent otherwise, as kstatus has it.
fn set_stalled(
    conditions: &mut Vec<Condition>,
    ready: Option<&Statement>,
    generation: Option<i64>,
    now: Timestamp,
) {
    match ready {
        Some(ready) => {
            let stalled = Statement { type_: STALLED, status: true, ..ready.clone() };
            condition::set(conditions, stalled, generation, now);
        }
        None => drop(condition::remove(conditions, STALLED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_says_whether_it_is_ready_and_advertised() {
        let pool = pool();
        let fault = Fault::OverlapsPool("10.0.0.0/24 overlaps".into());
        check(
            &pool_status(&pool, None, USAGE, true, None, NOW).conditions,
            "Ready=True Accepted, Advertised=True Advertised",
        );
        check(
            &pool_status(&pool, Some(&fault), USAGE, false, None, NOW).conditions,
            "Stalled=True OverlapsPool, Ready=False OverlapsPool, Advertised=False NoAdvertisement",
        );
    }

    #[test]
    fn a_status_that_is_right_stays_as_it_is() {
        let mut pool = pool();
        let fault = Fault::InvalidAddresses("reversed".into());
        for fault in [None, Some(&fault), None] {
            let first = pool_status(&pool, fault, USAGE, true, None, NOW);
            pool.status = Some(first.clone());
            assert_eq!(pool_status(&pool, fault, USAGE, true, None, Timestamp::MAX), first);
        }
        check(&pool.status.unwrap().conditions, "Ready=True Accepted, Advertised=True Advertised");
    }

    #[test]
    fn a_pool_shows_its_use_and_its_generation() {
        let status = pool_status(&pool(), None, USAGE, true, None, NOW);
        assert_eq!((status.assigned_ipv4, status.available_ipv4), (1, 2));
        assert_eq!((status.assigned_ipv6, status.available_ipv6), (3, 4));
        assert_eq!(status.observed_generation, 5);
    }

    #[test]
    fn an_advertisement_needs_a_pool_and_a_node() {
        for (spec, pools, expected) in [
            ("{}", "a", "Ready=True Accepted"),
            ("{}", "", "Ready=False NoMatchingPool"),
            ("{ipAddressPools: [b]}", "a", "Ready=False NoMatchingPool"),
            ("{ipAddressPools: [b]}", "a b", "Ready=True Accepted"),
            ("{ipAddressPoolSelectors: [{matchLabels: {pool: a}}]}", "a", "Ready=True Accepted"),
            ("{nodeSelectors: [{matchLabels: {zone: b}}]}", "a", "Ready=False NoMatchingNode"),
            (
                "{nodeSelectors: [{matchLabels: {zone: b}}, {matchLabels: {zone: a}}]}",
                "a",
                "Ready=True Accepted",
            ),
        ] {
            let advertisement = L2Advertisement::new("l2", serde_saphyr::from_str(spec).unwrap());
            let pools: Vec<_> = pools.split_whitespace().map(facts).collect();
            let node = NodeFacts { labels: [("zone".into(), "a".into())].into(), ..NodeFacts::default() };
            let status = advertisement_status(&advertisement, &pools, [&node], NOW);
            check(&status.conditions, expected);
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const USAGE: Usage = Usage { assigned_v4: 1, available_v4: 2, assigned_v6: 3, available_v6: 4 };

    fn check(conditions: &[Condition], expected: &str) {
        let texts = conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason));
        assert_eq!(texts.collect::<Vec<_>>().join(", "), expected);
    }

    fn pool() -> IPAddressPool {
        let mut pool = IPAddressPool::new("a", serde_saphyr::from_str("{addresses: [10.0.0.0/24]}").unwrap());
        pool.metadata.generation = Some(5);
        pool
    }

    fn facts(name: &str) -> PoolFacts {
        PoolFacts {
            name: name.to_owned(),
            labels: [("pool".to_owned(), name.to_owned())].into(),
            ranges: Vec::new(),
            ready: true,
        }
    }
}
