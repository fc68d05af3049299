//! Links that come, change and go.

use super::peers::{PEER, PEER_MAC, PEER4, own, peer, says};
use super::*;

#[test]
fn a_link_that_goes_down_is_withdrawn_and_announced_again_when_it_is_up() {
    let mut node = Node::owner_of(VIP.into());
    node.links([(ETH0, Link { up: false, ..link("eth0", MAC0) })]);
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: LinkDown"]);
    assert!(!node.hears(&request(Mac::BROADCAST)));
    node.links([(ETH0, link("eth0", MAC0))]);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: Unclaimed"]);
    assert_eq!(node.frames().len(), 2);
}

#[test]
fn a_link_that_disappears_is_withdrawn_under_its_last_name() {
    let mut node = Node::owner_of(VIP.into());
    node.links([]);
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: LinkDown"]);
    assert_eq!(node.machine.poll_timeout(), None);
}

#[test]
fn a_new_hardware_address_is_announced_at_once() {
    let mut node = Node::owner_of(VIP.into());
    node.links([(ETH0, link("eth0", MAC1))]);
    assert!(node.events().is_empty(), "the node stays the owner");
    assert_eq!(node.frames(), [Arp::announcement(MAC1, VIP), Arp::announcement_reply(MAC1, VIP)]);
    node.hears(&request(Mac::BROADCAST));
    assert_eq!(node.frames()[0].source, MAC1);
}

#[test]
fn an_own_address_that_changes_disturbs_nothing() {
    let mut node = Node::owner_of(VIP.into());
    node.links([(ETH0, Link { addresses: vec!["192.168.1.11".parse().unwrap()], ..link("eth0", MAC0) })]);
    assert!(node.frames().is_empty() && node.events().is_empty());
}

#[test]
fn a_renamed_link_follows_its_advertisement() {
    let mut node = Node::with_link();
    let eth0_only = InterfaceFilter::from_patterns(&["eth0".to_owned()]);
    node.desire([(VIP.into(), DesiredAddress { interfaces: eth0_only, ..first() })]);
    node.events();
    node.links([(ETH0, link("lan0", MAC0))]);
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on lan0: InterfaceNotSelected"]);
}

#[test]
fn what_comes_from_another_port_of_a_bond_is_the_nodes_own() {
    let mut node = Node::owner_of(VIP.into());
    let question = Frame { source: MAC1, ..request(Mac::BROADCAST) };
    assert!(node.hears(&question), "it is somebody else's");
    node.links([(ETH0, Link { port_macs: vec![MAC1], ..link("eth0", MAC0) })]);
    assert!(!node.hears(&question));
}

#[test]
fn on_a_link_without_other_hosts_a_thousand_addresses_are_not_claimed_at_once() {
    let mut node = Node::new();
    node.machine.set_links(Links::from_iter([(ETH0, link("eth0", MAC0))]), node.now);
    let vips = (0..1000).map(|number| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0001 + number)));
    node.machine.set_desired(Arc::new(vips.map(|vip| (vip, first())).collect()), node.now);
    let start = node.now;
    node.run(Duration::from_secs(29));
    assert_eq!(node.events(), [""; 0], "nobody was heard");
    let mut probes = 0;
    while node.machine.poll_timeout().is_some_and(|due| due < start + Duration::from_millis(30_100)) {
        node.advance();
        let sent = std::iter::from_fn(|| node.machine.poll_transmit(node.now));
        probes += sent.filter(|sent| sent.kind == TransmitKind::Probe).count();
    }
    // Two for each, of fifty addresses at once and of one each millisecond.
    assert!((50..=300).contains(&probes), "{probes} in a tenth of a second");
    node.run(Duration::from_secs(3));
    assert_eq!(node.events().len(), 1000);
}

#[test]
fn a_better_candidate_that_is_not_heard_here_counts_unless_all_its_links_are_elsewhere() {
    for (another, owned_here) in [(None, true), (Some(Mac([2, 0, 0, 0, 0, 0x21])), false)] {
        let mut node = Node::new();
        node.links([(ETH0, link("eth0", MAC0)), (ETH1, link("eth1", MAC1))]);
        let (id, mut there) = peer(PEER, "peer", PEER_MAC, PEER4);
        there.links.extend(another.map(|mac| PeerLink { macs: vec![mac], ipv4: vec![], link_local: None }));
        node.machine.set_peers(Arc::new(Peers::from([own(), (id, there)])), node.now);
        let heard = Frame { destination: MAC1, ..says(PEER4, PEER_MAC) };
        node.machine.handle_frame(ETH1, &heard, node.now);
        let candidates = [PEER, NodeId::OWN].map(candidate).into();
        node.desire([(VIP.into(), DesiredAddress { candidates, ..first() })]);
        node.run(Duration::from_millis(60));
        assert_eq!((node.owns(ETH0), node.owns(ETH1)), (owned_here, false), "{another:?}");
    }
}
