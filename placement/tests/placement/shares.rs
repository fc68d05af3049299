//! The order of candidates over many addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ferrolb_placement::{Placement, rendezvous};

use crate::world::{READY, VIP, World, names, service};

#[test]
fn candidates_come_by_descending_hash() {
    let placement = World::new().place(VIP).unwrap();
    let hashes: Vec<_> =
        placement.candidates.iter().map(|it| rendezvous(&it.node, VIP.parse().unwrap())).collect();
    assert_eq!(hashes.len(), 3);
    assert!(hashes.is_sorted_by(|a, b| a > b), "{hashes:?}");
}

#[test]
fn what_belongs_together_stays_together() {
    let mut world = World::new();
    world.set("pool", "metadata: {name: main}, spec: {addresses: [192.168.0.0/16, 'fd00::/64']}");
    for n in 0..20 {
        let both = format!("[{{ip: 192.168.1.{n}}}, {{ip: 'fd00::{n}'}}]");
        world.set("service", &service(&format!("web-{n}"), "", "", &both));
        let shared = format!("[{{ip: 192.168.1.{n}}}, {{ip: 'fd00::1:{n}'}}]");
        world.set("service", &service(&format!("xyz-{n}"), "", "", &shared));
        let order = world.order(&format!("192.168.1.{n}"));
        assert_eq!(world.order(&format!("fd00::{n}")), order, "both families of a Service");
    }
}

#[test]
fn each_address_has_the_advertisement_of_its_own_pool() {
    let mut world = World::new();
    world.set("pool", "metadata: {name: v6}, spec: {addresses: ['fd00:1::/64']}");
    world.set("service", &service("web", "", "", "[{ip: 192.168.1.240}, {ip: 'fd00:1::1'}]"));
    let only = "nodeSelectors: [{matchLabels: {name: node-3}}]";
    world.set("ad", &format!("metadata: {{name: all}}, spec: {{ipAddressPools: [v6], {only}}}"));
    assert_eq!((world.order(VIP), world.order("fd00:1::1")), ("NoAdvertisement".into(), "3".into()));
    world.set("ad", "metadata: {name: b}, spec: {ipAddressPools: [main]}");
    assert_eq!(world.candidates(VIP), "1 2 3");
}

#[test]
fn a_thousand_addresses_placed_one_after_another_stay_within_a_quarter_of_the_mean() {
    let mut world = ten_nodes();
    let mut owned: BTreeMap<String, u32> = BTreeMap::new();
    for n in 0..1000 {
        let placement = placed(&mut world, n);
        let count = |node: &str| Some(owned.get(node).copied().unwrap_or_default());
        let first = placement.for_first_placement(count)[0].node.to_string();
        *owned.entry(first).or_default() += 1;
    }
    assert_eq!(owned.len(), 10);
    assert!(owned.values().all(|count| (75..=125).contains(count)), "{owned:?}");
}

#[test]
fn a_node_of_unknown_load_counts_as_one_with_little() {
    let placement = World::new().place(VIP).unwrap();
    for (counts, expected) in [
        ([None, None, None], "3 2 1"),
        ([Some(0), Some(0), Some(0)], "3 2 1"),
        ([Some(9), Some(9), Some(9)], "3 2 1"),
        ([Some(8), Some(9), Some(9)], "3 2 1"),
        ([Some(0), Some(0), Some(1)], "2 1 3"),
        ([Some(1), Some(9), Some(90)], "2 1 3"),
        ([None, Some(9), Some(90)], "2 1 3"),
        ([None, Some(0), Some(9)], "2 1 3"),
        ([Some(0), None, None], "3 2 1"),
    ] {
        let number = |node: &str| node.trim_start_matches("node-").parse::<usize>().unwrap();
        let order = placement.for_first_placement(|node| counts[number(node) - 1]);
        let order: Vec<_> = order.iter().map(|it| it.node.trim_start_matches("node-")).collect();
        assert_eq!(order.join(" "), expected, "{counts:?}");
    }
}

#[test]
fn preference_and_demotion_outrank_the_fair_share() {
    let mut world = World::new();
    let prefer = "preferredNodeSelectors: [{weight: 1, preference: {matchLabels: {name: node-1}}}]";
    world.set("ad", &format!("metadata: {{name: all}}, spec: {{{prefer}}}"));
    world.set("node", &format!("metadata: {{name: node-2}}, spec: {{unschedulable: true}}, {READY}"));
    let placement = world.place(VIP).unwrap();
    let order = placement.for_first_placement(|node| Some(if node == "node-1" { 100 } else { 0 }));
    let order: Vec<_> = order.iter().map(|it| &*it.node).collect();
    assert_eq!(order, ["node-1", "node-3", "node-2"]);
}

#[test]
fn a_node_that_joins_or_leaves_changes_nothing_in_the_order_of_the_others() {
    let mut world = ten_nodes();
    let mut first = 0;
    for n in 0..200 {
        let before = placed(&mut world, n);
        world.set("node", &format!("metadata: {{name: node-99}}, {READY}"));
        let after = placed(&mut world, n);
        let others: Vec<_> = after.candidates.iter().filter(|it| &*it.node != "node-99").collect();
        assert_eq!(others, Vec::from_iter(&before.candidates));
        first += usize::from(&*after.candidates[0].node == "node-99");
        world.set("no node", "node-99");
        assert_eq!(names(&placed(&mut world, n)), names(&before));
    }
    assert!((8..=32).contains(&first), "it is first for its share of them: {first} of 200");
}

fn ten_nodes() -> World {
    let mut world = World::new();
    for n in 1..=10 {
        world.set("node", &format!("metadata: {{name: node-{n}}}, {READY}"));
    }
    world.set("pool", "metadata: {name: main}, spec: {addresses: [10.0.0.0/16]}");
    world
}

/// The placement of an address that its own Service has.
fn placed(world: &mut World, n: u32) -> Placement {
    let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n)).to_string();
    world.set("service", &service(&format!("web-{n}"), "", "", &format!("[{{ip: {address}}}]")));
    world.place(&address).expect("an advertisement")
}
