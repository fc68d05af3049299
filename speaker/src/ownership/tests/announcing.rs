//! What is announced, when, and when no more.

use std::net::Ipv4Addr;
use std::time::Duration;

use ferrolb_placement::Exclusion;

use super::*;

#[test]
fn the_best_candidate_owns_and_says_so_at_once() {
    let mut node = Node::with_link();
    node.desire([(VIP.into(), first())]);
    assert_eq!(node.machine.state(ETH0, VIP.into()), State::Owner);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: BestCandidate"]);
    let frames = node.frames();
    assert_eq!(frames, [Arp::announcement(MAC0, VIP), Arp::announcement_reply(MAC0, VIP)]);
}

#[test]
fn the_burst_has_five_rounds_for_arp_and_three_for_ndp() {
    for (address, rounds, frames) in [(VIP.into(), 5, 2), (IpAddr::from(VIP6), 3, 1)] {
        let mut node = Node::with_link();
        node.desire([(address, first())]);
        let start = node.now;
        for round in 0..rounds {
            assert_eq!(node.frames().len(), frames, "{address} round {round}");
            assert_eq!(node.now - start, Duration::from_millis(1100) * round, "{address}");
            node.advance();
        }
    }
}

#[test]
fn refreshes_are_in_one_form_and_spread_over_a_minute() {
    let mut node = Node::owner_of(VIP.into());
    let mut gaps = Vec::new();
    for _ in 0..5 {
        node.advance();
        node.frames();
    }
    for _ in 0..50 {
        let before = node.now;
        node.advance();
        assert_eq!(node.frames(), [Arp::announcement(MAC0, VIP)]);
        gaps.push((node.now - before).as_secs());
    }
    assert!(gaps.iter().all(|gap| (60..=120).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().min() < Some(&75) && gaps.iter().max() > Some(&105), "{gaps:?}");
}

#[test]
fn refreshes_of_many_addresses_do_not_come_together() {
    let mut node = Node::with_link();
    node.desire((0..100).map(|n| (IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n)), first())));
    let start = node.now;
    while node.now < start + Duration::from_secs(60) {
        node.advance();
        node.frames();
    }
    let mut most = 0;
    while node.now < start + Duration::from_secs(120) {
        node.advance();
        most = most.max(node.frames().len());
    }
    assert!(most <= 3, "{most} announcements at one moment");
}

#[test]
fn a_withdrawn_address_is_silent_at_once() {
    let mut node = Node::with_link();
    node.desire([(VIP.into(), first()), (VIP6.into(), first())]);
    assert!(node.machine.handle_frame(ETH0, &request(Mac::BROADCAST)));
    node.events();
    node.desire([(VIP6.into(), first())]);
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: NotAdvertised"]);
    let frames = node.frames();
    assert!(frames.iter().all(|frame| !matches!(frame.packet, Packet::Arp(_))), "{frames:?}");
    assert!(!node.machine.handle_frame(ETH0, &request(Mac::BROADCAST)));
    node.advance();
    assert!(node.frames().iter().all(|frame| !matches!(frame.packet, Packet::Arp(_))));
}

#[test]
fn each_way_of_losing_an_address_names_its_cause() {
    let eth1_only = InterfaceFilter::from_patterns(&["eth1".to_owned()]);
    for (wanted, cause) in [
        (DesiredAddress { standing: Standing::Behind { first: "node-2".into() }, ..first() }, "Outranked"),
        (
            DesiredAddress { standing: Standing::Excluded { reason: Exclusion::ExcludeLabel }, ..first() },
            "NoCandidate",
        ),
        (DesiredAddress { interfaces: eth1_only, ..first() }, "InterfaceNotSelected"),
    ] {
        let mut node = Node::owner_of(VIP.into());
        node.desire([(VIP.into(), wanted)]);
        assert_eq!(node.events(), [format!("withdrawn 192.168.1.240 on eth0: {cause}")]);
        assert!(node.machine.poll_timeout().is_none());
    }
}

#[test]
fn an_unchanged_wish_announces_nothing_again() {
    let mut node = Node::owner_of(VIP.into());
    let due = node.machine.poll_timeout();
    node.desire([(VIP.into(), first())]);
    assert!(node.frames().is_empty() && node.events().is_empty());
    assert_eq!(node.machine.poll_timeout(), due);
}

#[test]
fn another_service_on_an_owned_address_moves_nothing() {
    let mut node = Node::owner_of(VIP.into());
    node.desire([(VIP.into(), DesiredAddress { services: services(&["a", "web"]), ..first() })]);
    assert!(node.frames().is_empty() && node.events().is_empty());
    node.desire([]);
    let Some(Event::Withdrawn { services, .. }) = node.machine.poll_event() else { panic!("not withdrawn") };
    assert_eq!(services.len(), 2);
}
