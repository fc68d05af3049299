//! Addresses that no pool contains any more.

use std::time::Duration;

use ferrolb_placement::GRACE;

use crate::world::{VIP, World, service, web};

const POOL: &str = "labels: {tier: front}}, spec: {addresses: [192.168.1.240]}";

#[test]
fn a_pool_that_is_renamed_in_two_steps_changes_nothing() {
    let mut world = World::new();
    world.set("ad", "metadata: {name: all}, spec: {ipAddressPoolSelectors: [{matchLabels: {tier: front}}]}");
    let before = world.order(VIP);
    world.set("no pool", "main");
    assert_eq!(world.order(VIP), before);
    assert_eq!(world.planner.poll_timeout(), Some(world.now + GRACE));
    world.set("pool", &format!("metadata: {{name: renamed, {POOL}"));
    assert_eq!(world.order(VIP), before);
    assert_eq!(world.planner.poll_timeout(), None, "it has a pool again");
}

#[test]
fn nothing_counts_any_more_when_the_time_is_over() {
    let mut world = World::new();
    assert_eq!(world.candidates(VIP), "1 2 3");
    world.set("no pool", "main");
    assert_eq!(world.candidates(VIP), "1 2 3");
    let over = world.planner.poll_timeout().unwrap();
    assert!(world.planner.handle_timeout(over - Duration::from_millis(1)).is_empty());
    assert_eq!(world.candidates(VIP), "1 2 3");
    assert!(!world.planner.handle_timeout(over).is_empty());
    assert_eq!(world.candidates(VIP), "NoPool");
    assert_eq!(world.planner.poll_timeout(), None);
    // What is over does not come back with the next change.
    world.set("pool", "metadata: {name: other}, spec: {addresses: [10.0.0.1]}");
    assert_eq!(world.candidates(VIP), "NoPool");
}

#[test]
fn every_change_of_a_pool_gives_the_whole_time_again_as_the_operator_does() {
    let mut world = World::new();
    assert_eq!(world.candidates(VIP), "1 2 3");
    world.set("no pool", "main");
    assert_eq!(world.candidates(VIP), "1 2 3");
    world.now += GRACE / 2;
    world.set("pool", "metadata: {name: other}, spec: {addresses: [10.0.0.1]}");
    assert_eq!(world.candidates(VIP), "1 2 3");
    assert_eq!(world.planner.poll_timeout(), Some(world.now + GRACE));
}

#[test]
fn the_advertisement_of_before_counts_whatever_becomes_of_it() {
    let mut world = World::new();
    world.set("ad", "metadata: {name: all}, spec: {nodeSelectors: [{matchLabels: {name: node-1}}]}");
    assert_eq!(world.candidates(VIP), "1");
    world.set("no pool", "main");
    world.set("ad", "metadata: {name: all}, spec: {ipAddressPools: [renamed]}");
    assert_eq!(world.candidates(VIP), "1");
    world.set("no ad", "all");
    assert_eq!(world.candidates(VIP), "1");
    world.speakers(&[("node-1", Default::default())]);
    assert_eq!(world.candidates(VIP), "", "nodes are as they are now");
}

#[test]
fn an_address_that_leaves_its_service_is_gone_at_once() {
    let mut world = World::new();
    assert_eq!(world.candidates(VIP), "1 2 3");
    world.set("no pool", "main");
    assert_eq!(world.candidates(VIP), "1 2 3");
    world.set("service", &web("", "[]"));
    assert_eq!(world.candidates(VIP), "NoAddress");
    assert_eq!(world.planner.poll_timeout(), None);
    world.set("service", &web("", "[{ip: 192.168.1.240}]"));
    assert_eq!(world.candidates(VIP), "NoPool", "it comes as one that was never announced");
}

#[test]
fn an_address_that_was_not_announced_has_nothing_to_keep() {
    let mut world = World::new();
    world.set("service", &service("db", "", "", "[{ip: 10.9.9.9}]"));
    assert_eq!(world.candidates("10.9.9.9"), "NoPool");
    world.set("no ad", "all");
    assert_eq!(world.candidates(VIP), "NoAdvertisement");
    world.set("no pool", "main");
    assert_eq!((world.candidates("10.9.9.9"), world.candidates(VIP)), ("NoPool".into(), "NoPool".into()));
    assert_eq!(world.planner.poll_timeout(), None);
}
