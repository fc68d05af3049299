//! What is announced, when, and when no more.

use std::net::Ipv4Addr;
use std::time::Duration;

use ferrolb_placement::Exclusion;

use super::*;
use crate::announcer::Kind;

#[test]
fn who_finds_nobody_owns_and_says_so_at_once() {
    let mut node = Node::with_link();
    node.desire([(VIP.into(), first())]);
    assert!(node.owns(ETH0));
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: Unclaimed"]);
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
fn an_address_is_announced_once_its_event_was_taken() {
    let mut node = Node::with_link();
    let wanted = [(VIP.into(), first()), (VIP6.into(), first())];
    node.machine.set_desired(Arc::new(Desired::from(wanted)), node.now);
    while node.machine.owned_count() < 2 {
        node.advance();
        node.collect();
    }
    assert_eq!(node.frames(), [], "nothing before the event");
    assert!(node.hears(&request(Mac::BROADCAST)), "it is answered for before");
    assert_eq!(node.frames().len(), 1);
    assert!(node.machine.poll_event().is_some());
    assert!(node.frames().iter().all(|frame| matches!(frame.packet, Packet::Arp(_))));
    assert!(node.machine.poll_event().is_some());
    assert_eq!(node.frames().len(), 1);
}

#[test]
fn answers_go_before_announcements() {
    let mut node = Node::with_link();
    node.desire([(VIP.into(), first())]);
    assert!(node.hears(&request(Mac::BROADCAST)));
    let kinds: Vec<_> =
        std::iter::from_fn(|| node.machine.poll_transmit(node.now)).map(|transmit| transmit.kind).collect();
    let announcement = TransmitKind::Announcement;
    assert_eq!(kinds, [TransmitKind::Answer, announcement(Kind::First), announcement(Kind::Repeat)]);
}

#[test]
fn ten_thousand_addresses_are_answered_for_while_they_are_announced() {
    let mut node = Node::with_link();
    let start = node.now;
    node.desire((0..10_000).map(|n| (IpAddr::from(Ipv4Addr::from_bits(VIP.to_bits() + n)), first())));
    let mut question = request(Mac::BROADCAST);
    arp(&mut question).target_ip = Ipv4Addr::from_bits(VIP.to_bits() + 9_999);
    while !node.hears(&question) {
        node.advance();
        node.listen();
        node.collect();
    }
    assert!(node.now - start < Duration::from_millis(10_500), "a thousand are probed a second");
    assert_eq!(node.machine.owned_count(), 10_000);
    assert!(node.machine.waiting().all(|(link, count)| link == ETH0 && count > 4_000));
    let is_first = |sent: &Transmit| sent.kind == TransmitKind::Announcement(Kind::First);
    let (mut announced, mut answered) = (node.sent.drain(..).filter(is_first).count(), 0);
    assert!(announced > 4_000, "{announced} were announced meanwhile");
    while announced < 10_000 {
        node.advance();
        node.listen();
        node.collect();
        announced += node.sent.drain(..).filter(is_first).count();
        // Another host each time: one alone is answered so often and no more.
        let asker = Mac([2, 0, 0, 1, (answered >> 8) as u8, answered as u8]);
        let next = Ipv4Addr::from_bits(VIP.to_bits() + (answered * 7) % 10_000);
        if node.hears(&Arp::question(asker, ASKER4, next)) {
            answered += 1;
        }
    }
    let took = node.now - start;
    assert!(took < Duration::from_secs(20), "the last was announced after {took:?}");
    assert!(answered > 1_000, "{answered} questions were answered meanwhile");
}

#[test]
fn the_first_of_ten_thousand_addresses_is_announced_at_once() {
    let mut node = Node::with_link();
    let start = node.now;
    node.desire((0..10_000).map(|n| (IpAddr::from(Ipv4Addr::from_bits(VIP.to_bits() + n)), first())));
    node.collect();
    let first = node.sent.front().expect("it is announced");
    assert_eq!(first.kind, TransmitKind::Announcement(Kind::First));
    assert!(node.now - start <= Duration::from_millis(45), "two probes, 20 ms apart");
}

#[test]
fn a_withdrawn_address_is_silent_at_once() {
    let mut node = Node::with_link();
    node.desire([(VIP.into(), first()), (VIP6.into(), first())]);
    assert!(node.hears(&request(Mac::BROADCAST)));
    node.settle();
    node.events();
    node.desire([(VIP6.into(), first())]);
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: NotAdvertised"]);
    let frames = node.frames();
    assert!(frames.iter().all(|frame| !matches!(frame.packet, Packet::Arp(_))), "{frames:?}");
    assert!(!node.hears(&request(Mac::BROADCAST)));
    node.advance();
    assert!(node.frames().iter().all(|frame| !matches!(frame.packet, Packet::Arp(_))));
}

#[test]
fn each_way_of_losing_an_address_names_its_cause() {
    let eth1_only = InterfaceFilter::from_patterns(&["eth1".to_owned()]);
    let excluded = Some(Exclusion::ExcludeLabel);
    for (wanted, cause) in [
        (DesiredAddress { excluded, candidates: [].into(), ..first() }, "NoCandidate"),
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
    assert_eq!(node.told.pop_back().expect("it is withdrawn").services.len(), 2);
}
