//! What makes an owner hand over that could stay, and what does not.

use super::peers::{PEER, PEER_MAC, PEER4, own, peer, says};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_preferred_node_is_offered_what_another_has_once_it_was_usable_for_a_minute() {
    let mut node = owner_beside_usable_peer();
    assert_eq!(offers(&mut node, 29 * SECOND), 0);
    desire(&mut node, [preferred(PEER), candidate(NodeId::OWN)]);
    assert_eq!(offers(&mut node, 28 * SECOND), 0, "59 s after it was seen first");
    assert!(offers(&mut node, Duration::from_millis(1_200)) > 0, "more than 60 s");
    assert!(node.owns(ETH0), "it answers until somebody took it");
    node.hears(&says(VIP, PEER_MAC));
    node.listen();
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: HandedOver"]);
}

#[test]
fn a_preferred_node_that_was_unusable_meanwhile_has_to_be_usable_twice_as_long() {
    let mut node = owner_beside_usable_peer();
    assert_eq!(offers(&mut node, 29 * SECOND), 0);
    desire(&mut node, [preferred(PEER), candidate(NodeId::OWN)]);
    usable(&mut node, false);
    assert_eq!(offers(&mut node, SECOND), 0);
    usable(&mut node, true);
    assert_eq!(offers(&mut node, 119 * SECOND), 0);
    assert!(offers(&mut node, 2 * SECOND) > 0);
}

#[test]
fn a_preferred_node_that_is_demoted_is_offered_nothing() {
    let mut node = owner_beside_usable_peer();
    desire(&mut node, [candidate(NodeId::OWN), Candidate { demoted: true, ..preferred(PEER) }]);
    assert_eq!(offers(&mut node, 300 * SECOND), 0);
}

#[test]
fn a_better_candidate_that_comes_soon_after_the_first_placement_is_offered_the_address() {
    let mut node = owner_beside_usable_peer();
    assert_eq!(offers(&mut node, 26 * SECOND), 0);
    desire(&mut node, [PEER, NodeId::OWN].map(candidate));
    assert!(offers(&mut node, SECOND) > 0, "28 to 29 s after it was placed");
}

#[test]
fn a_better_candidate_that_comes_later_is_no_cause_to_move() {
    let mut node = owner_beside_usable_peer();
    assert_eq!(offers(&mut node, 29 * SECOND), 0);
    desire(&mut node, [PEER, NodeId::OWN].map(candidate));
    assert_eq!(offers(&mut node, 300 * SECOND), 0, "31 s after it was placed, and later");
}

#[test]
fn an_owner_that_is_cordoned_or_not_ready_stays_the_owner() {
    let mut node = owner_beside_usable_peer();
    assert_eq!(offers(&mut node, 29 * SECOND), 0);
    let demoted = Candidate { demoted: true, ..candidate(NodeId::OWN) };
    desire(&mut node, [candidate(PEER), demoted]);
    assert_eq!(offers(&mut node, 300 * SECOND), 0);
    assert!(node.owns(ETH0));
}

/// A node that owns an address for 2 s, of which alone it was the candidate, and beside it a peer that was usable for as
/// long.
fn owner_beside_usable_peer() -> Node {
    let mut node = Node::with_link();
    usable(&mut node, true);
    node.hears(&says(PEER4, PEER_MAC));
    node.desire([(VIP.into(), first())]);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: Unclaimed"]);
    assert_eq!(offers(&mut node, 2 * SECOND), 0);
    node
}

fn usable(node: &mut Node, usable: bool) {
    let (id, there) = peer(PEER, "peer", PEER_MAC, PEER4);
    let peers = [own(), (id, Peer { usable, ..there })];
    node.machine.set_peers(Arc::new(Peers::from(peers)), node.now);
}

fn desire(node: &mut Node, candidates: [Candidate; 2]) {
    let wanted = DesiredAddress { candidates: candidates.into(), ..first() };
    node.machine.set_desired(Arc::new(Desired::from([(VIP.into(), wanted)])), node.now);
}

fn preferred(node: NodeId) -> Candidate {
    Candidate { preference: 1, ..candidate(node) }
}

/// Lets time pass while the peer's kernel answers, and another host can be heard. Counts offers to the peer.
fn offers(node: &mut Node, time: Duration) -> usize {
    let end = node.now + time;
    let mut offers = 0;
    while node.now < end {
        node.run(Duration::from_millis(25));
        node.hears(&Arp::question(ASKER, ASKER4, ASKER4));
        node.collect();
        for Transmit { frame, kind, .. } in std::mem::take(&mut node.sent) {
            offers += usize::from(kind == TransmitKind::Offer && frame.destination == PEER_MAC);
            if matches!(frame.packet, Packet::Arp(arp) if arp.target_ip == PEER4) {
                node.hears(&says(PEER4, PEER_MAC));
            }
        }
    }
    offers
}
