//! Which questions are answered, and how.

use std::net::Ipv4Addr;

use ferrolb_placement::Exclusion;

use super::*;
use crate::link::Link;
use crate::wire::{ALL_NODES, Advertisement};

#[test]
fn a_request_for_an_owned_address_is_answered_from_the_link_that_asked() {
    let mut node = Node::with_link();
    node.links([(ETH0, link("eth0", MAC0)), (ETH1, link("eth1", MAC1))]);
    node.desire([(VIP.into(), first())]);
    node.frames();
    for (id, mac) in [(ETH0, MAC0), (ETH1, MAC1)] {
        assert!(node.machine.handle_frame(id, &request(Mac::BROADCAST)));
        let transmit = node.machine.poll_transmit().unwrap();
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
    assert!(node.machine.handle_frame(ETH0, &request(MAC0)));
    assert!(node.machine.handle_frame(ETH0, &Arp::probe(ASKER, VIP)));
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
        ("an announcement of a stranger", Arp::announcement(ASKER, VIP)),
        ("an asker at a group address", with(|f| arp(f).sender_mac = Mac::BROADCAST)),
        ("an asker at no address", with(|f| arp(f).sender_mac = Mac::ZERO)),
    ] {
        assert!(!node.machine.handle_frame(ETH0, &frame), "{name}");
        assert!(node.frames().is_empty(), "{name}");
    }
    assert!(!node.machine.handle_frame(ETH1, &request(Mac::BROADCAST)), "a link that we do not know");
}

#[test]
fn a_solicitation_is_answered_by_a_solicited_advertisement() {
    let mut node = Node::owner_of(VIP6.into());
    for (name, link_layer) in [("with source link-layer option", Some(ASKER)), ("without", None)] {
        assert!(node.machine.handle_frame(ETH0, &solicitation(ASKER6, link_layer)), "{name}");
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
    assert!(node.machine.handle_frame(ETH0, &Solicitation::duplicate_check(ASKER, VIP6)));
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
fn nobody_but_the_first_candidate_answers() {
    for standing in [
        Standing::Behind { first: "node-2".into() },
        Standing::Excluded { reason: Exclusion::NoLocalEndpoint },
    ] {
        let mut node = Node::with_link();
        node.desire([(VIP.into(), DesiredAddress { standing, ..first() })]);
        assert!(!node.machine.handle_frame(ETH0, &request(Mac::BROADCAST)));
        assert!(node.frames().is_empty() && node.events().is_empty());
        assert_eq!(node.machine.poll_timeout(), None);
    }
}
