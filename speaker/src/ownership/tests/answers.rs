//! Which questions are answered, and how.

use std::net::Ipv4Addr;
use std::time::Duration;

use ferrolb_placement::Exclusion;

use super::*;
use crate::link::Link;
use crate::wire::{ALL_NODES, Advertisement};

#[test]
fn a_request_for_an_owned_address_is_answered_from_the_link_that_asked() {
    let mut node = Node::with_link();
    node.links([(ETH0, link("eth0", MAC0)), (ETH1, link("eth1", MAC1))]);
    node.desire([(VIP.into(), first())]);
    node.settle();
    node.frames();
    for (id, mac) in [(ETH0, MAC0), (ETH1, MAC1)] {
        assert_eq!(node.machine.handle_frame(id, &request(Mac::BROADCAST), node.now), Reception::Answered);
        let transmit = node.machine.poll_transmit(node.now).unwrap();
        assert_eq!((transmit.link, transmit.kind), (id, TransmitKind::Answer));
        let Packet::Arp(reply) = transmit.frame.packet else { panic!("not ARP") };
        assert_eq!((reply.operation, reply.sender_mac, reply.sender_ip), (Operation::Reply, mac, VIP));
        assert_eq!(
            (transmit.frame.source, transmit.frame.destination, reply.target_ip),
            (mac, ASKER, ASKER4)
        );
    }
}

#[test]
fn a_unicast_request_and_a_probe_are_answered_too() {
    let mut node = Node::owner_of(VIP.into());
    assert!(node.hears(&request(MAC0)));
    assert!(node.hears(&Arp::probe(ASKER, VIP)));
    assert_eq!(node.frames().len(), 2);
}

#[test]
fn what_asks_nothing_of_us_is_not_answered() {
    let mut node = Node::owner_of(VIP.into());
    let with = |change: fn(&mut Frame)| {
        let mut frame = request(Mac::BROADCAST);
        change(&mut frame);
        frame
    };
    for (name, frame) in [
        ("another address", with(|f| arp(f).target_ip = Ipv4Addr::new(192, 168, 1, 241))),
        ("another host's unicast", with(|f| f.destination = Mac([2, 0, 0, 0, 0, 0x99]))),
        ("our own frame", with(|f| f.source = MAC0)),
        ("a reply", with(|f| arp(f).operation = Operation::Reply)),
        ("an asker at a group address", with(|f| arp(f).sender_mac = Mac::BROADCAST)),
        ("an asker at no address", with(|f| arp(f).sender_mac = Mac::ZERO)),
    ] {
        assert!(!node.hears(&frame), "{name}");
        assert!(node.frames().is_empty(), "{name}");
    }
    let elsewhere = node.machine.handle_frame(ETH1, &request(Mac::BROADCAST), node.now);
    assert_eq!(elsewhere, Reception::Ignored, "a link that we do not know");
}

#[test]
fn an_address_is_defended_once_in_ten_seconds_against_a_stranger_who_claims_it() {
    let mut node = Node::owner_of(VIP.into());
    let claim = Arp::announcement(ASKER, VIP);
    let defence = Arp::announcement(MAC0, VIP);
    assert!(!node.hears(&claim));
    assert_eq!(node.frames(), [defence]);
    node.listen();
    let told = node.events();
    assert!(told.len() == 1 && told[0].starts_with(&format!("AddressConflict: {ASKER}")), "{told:?}");
    node.run(Duration::from_secs(9));
    node.frames();
    assert!(!node.hears(&claim));
    assert!(node.frames().is_empty(), "RFC 5227 §2.4");
    node.run(Duration::from_secs(2));
    node.frames();
    assert!(!node.hears(&claim));
    assert_eq!(node.frames(), [defence]);
}

#[test]
fn a_solicitation_is_answered_by_a_solicited_advertisement() {
    let mut node = Node::owner_of(VIP6.into());
    for (name, link_layer) in [("with source link-layer option", Some(ASKER)), ("without", None)] {
        assert!(node.hears(&solicitation(ASKER6, link_layer)), "{name}");
        let [frame] = node.frames()[..] else { panic!("{name}: not one answer") };
        let Packet::Advertisement(answer) = frame.packet else { panic!("{name}: not an advertisement") };
        assert_eq!(frame.destination, ASKER, "{name}");
        assert_eq!((answer.destination, answer.target), (ASKER6, VIP6), "{name}");
        assert!(answer.solicited && answer.override_entry, "{name}");
        assert_eq!(answer.target_link_layer, Some(MAC0), "{name}");
    }
}

#[test]
fn a_duplicate_check_is_answered_to_all_nodes() {
    let mut node = Node::owner_of(VIP6.into());
    assert!(node.hears(&Solicitation::duplicate_check(ASKER, VIP6)));
    let [frame] = node.frames()[..] else { panic!("not one answer") };
    assert_eq!(frame.destination, Mac::multicast(ALL_NODES));
}

#[test]
fn router_flag_is_that_of_the_link() {
    let mut node = Node::new();
    node.links([(ETH0, Link { router: true, ..link("eth0", MAC0) })]);
    node.desire([(VIP6.into(), first())]);
    assert_eq!(node.frames(), [Advertisement::announcement(MAC0, VIP6, true)]);
}

#[test]
fn a_node_that_is_no_candidate_does_not_answer() {
    let mut node = Node::with_link();
    let excluded = Some(Exclusion::NoLocalEndpoint);
    node.desire([(VIP.into(), DesiredAddress { excluded, candidates: [].into(), ..first() })]);
    assert!(!node.hears(&request(Mac::BROADCAST)));
    assert!(node.frames().is_empty() && node.events().is_empty());
    assert_eq!(node.machine.poll_timeout(), None);
}

#[test]
fn who_asks_too_much_is_not_answered_and_others_are() {
    let mut node = Node::owner_of(VIP.into());
    let heard: Vec<_> = (0..100)
        .map(|_| node.machine.handle_frame(ETH0, &request(Mac::BROADCAST), node.now))
        .filter(|reception| *reception == Reception::Answered)
        .collect();
    assert_eq!((heard.len(), node.frames().len()), (40, 40));
    let throttled = node.machine.handle_frame(ETH0, &request(Mac::BROADCAST), node.now);
    assert_eq!(throttled, Reception::Throttled);
    assert!(node.hears(&Frame { source: MAC1, ..request(Mac::BROADCAST) }), "another asker");
}

#[test]
fn an_answer_that_became_wrong_is_not_sent() {
    type Change = fn(&mut Node);
    let changes: [(&str, Change); 3] = [
        ("the address is withdrawn", |node| node.desire([])),
        ("the link has another hardware address", |node| node.links([(ETH0, link("eth0", MAC1))])),
        ("the link is gone", |node| node.links([])),
    ];
    for (name, change) in changes {
        let mut node = Node::owner_of(VIP.into());
        assert!(node.hears(&request(Mac::BROADCAST)));
        change(&mut node);
        assert!(node.frames().iter().all(|frame| frame.source == MAC1), "{name}");
    }
}
