//! Two speakers on one segment, of which one is played.

use super::*;

const PEER: NodeId = NodeId(1);
const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x20]);
const PEER4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 12);

#[test]
fn what_an_offerer_said_before_it_was_told_takes_nothing_back() {
    for last in 0..16 {
        let vip = Ipv4Addr::new(192, 168, 2, last);
        let mut node = beside_owner_of(vip);
        assert!(node.hears(&Frame { destination: MAC0, ..Arp::probe(PEER_MAC, vip) }), "{vip}: the offer");
        assert!(node.machine.owns(ETH0, vip.into()));
        node.hears(&says(vip, PEER_MAC));
        assert!(node.machine.owns(ETH0, vip.into()), "{vip}: the offerer's answer from before");
    }
}

#[test]
fn an_offer_that_waited_while_the_process_was_paused_is_not_taken() {
    let mut node = beside_owner_of(VIP);
    node.now += Duration::from_secs(20);
    let offer = Frame { destination: MAC0, ..Arp::probe(PEER_MAC, VIP) };
    assert!(!node.hears(&offer), "an old one");
    assert!(!node.owns(ETH0));
    node.run(Duration::from_millis(60));
    assert!(node.hears(&offer), "a new one");
}

#[test]
fn who_is_named_by_the_owner_that_it_covers_for_is_the_owner() {
    let mut node = beside_owner_of(VIP);
    // The node lives, and its speaker does not.
    for _ in 0..40 {
        node.hears(&says(PEER4, PEER_MAC));
        node.run(Duration::from_millis(25));
    }
    assert!(node.machine.covers(ETH0, VIP.into()), "{:?}", node.events());
    node.hears(&says(VIP, MAC0));
    node.listen();
    assert!(node.owns(ETH0));
    assert_eq!(node.events().last().unwrap(), "announcing 192.168.1.240 on eth0: Resumed");
}

/// A candidate that knows the owner.
fn beside_owner_of(vip: Ipv4Addr) -> Node {
    let peer = |name: &str, links| Peer { name: name.into(), live: true, usable: true, owned: None, links };
    let link = PeerLink { macs: vec![PEER_MAC], ipv4: vec![PEER4], link_local: None };
    let peers = [(NodeId::OWN, peer("own", vec![])), (PEER, peer("peer", vec![link]))];
    let mut node = Node::with_link();
    node.machine.set_peers(Arc::new(Peers::from(peers)), node.now);
    node.hears(&says(PEER4, PEER_MAC));
    let candidates = [candidate(NodeId::OWN), candidate(PEER)].into();
    let wanted = DesiredAddress { candidates, first_address: vip.into(), ..first() };
    node.machine.set_desired(Arc::new(Desired::from([(vip.into(), wanted)])), node.now);
    node.hears(&says(vip, PEER_MAC));
    node.run(Duration::from_millis(60));
    assert_eq!(node.events(), [""; 0]);
    node
}

/// The peer tells this node who has an address.
fn says(address: Ipv4Addr, receiver: Mac) -> Frame {
    let question = Arp::question(MAC0, ASKER4, address);
    let Packet::Arp(question) = question.packet else { panic!("not ARP") };
    Frame { source: PEER_MAC, destination: MAC0, ..question.reply_from(receiver) }
}
