//! Two speakers on one segment, of which one is played.

use ferrolb_placement::Exclusion;

use super::*;
use crate::ownership::slot::{Purpose, State};

pub(super) const PEER: NodeId = NodeId(1);
pub(super) const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x20]);
pub(super) const PEER4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 12);
/// A peer that does not answer.
const UNHEARD: NodeId = NodeId(2);
pub(super) const THIRD_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x30]);
pub(super) const THIRD4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 13);
const VIP2: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 241);

#[test]
fn an_owner_that_nobody_watches_any_more_is_looked_for_when_a_client_asks_again() {
    let mut node = unwatching_beside_owner();
    let client = Arp::question(ASKER, ASKER4, VIP);
    node.hears(&client);
    node.run(Duration::from_millis(500));
    assert_eq!(node.events(), [""; 0], "it may have been answered");
    for _ in 0..3 {
        node.run(Duration::from_millis(1000));
        node.hears(&client);
        node.hears(&Arp::question(ASKER, ASKER4, ASKER4));
    }
    node.run(Duration::from_millis(400));
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: NodeSilent"]);
}

#[test]
fn clients_that_ask_once_each_are_no_cause_to_look_for_an_owner() {
    let mut node = unwatching_beside_owner();
    for host in 0..100 {
        node.hears(&Arp::question(Mac([2, 0, 0, 1, 0, host]), ASKER4, VIP));
        node.run(Duration::from_millis(100));
    }
    assert!(!node.frames().iter().any(asks_for(VIP)));
}

#[test]
fn what_an_offerer_said_before_it_was_told_takes_nothing_back() {
    for last in 0..16 {
        let vip = Ipv4Addr::new(192, 168, 2, last);
        let mut node = beside_owner_of(&[vip]);
        assert!(node.hears(&Frame { destination: MAC0, ..Arp::probe(PEER_MAC, vip) }), "{vip}: the offer");
        assert!(node.machine.owns(ETH0, vip.into()));
        node.hears(&says(vip, PEER_MAC));
        assert!(node.machine.owns(ETH0, vip.into()), "{vip}: the offerer's answer from before");
    }
}

#[test]
fn an_offer_that_waited_while_the_process_was_paused_is_not_taken() {
    let mut node = beside_owner_of(&[VIP]);
    node.now += Duration::from_secs(20);
    let offer = Frame { destination: MAC0, ..Arp::probe(PEER_MAC, VIP) };
    assert!(!node.hears(&offer), "an old one");
    assert!(!node.owns(ETH0));
    node.run(Duration::from_millis(60));
    assert!(node.hears(&offer), "a new one");
}

#[test]
fn who_is_named_by_the_owner_that_it_covers_for_is_the_owner() {
    let mut node = beside_owner_of(&[VIP]);
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

#[test]
fn an_address_that_its_owner_gave_up_unheard_is_claimed() {
    let mut node = beside_owner_of(&[VIP, VIP2]);
    run_beside(&mut node, Duration::from_secs(2), &[VIP, VIP2, PEER4]);
    assert_eq!(node.events(), [""; 0], "the peer answers for both");
    run_beside(&mut node, Duration::from_secs(2), &[VIP2, PEER4]);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: Unclaimed"]);
}

#[test]
fn a_take_over_tells_for_how_long_the_node_was_silent() {
    let mut node = beside_owner_of(&[VIP]);
    run_beside(&mut node, Duration::from_secs(1), &[VIP, PEER4]);
    run_beside(&mut node, Duration::from_secs(1), &[]);
    assert!(node.machine.take_missed()[&(ETH0, true)] >= 3, "three misses are told");
    let gained = node.told.pop_front().expect("it takes over").change;
    let Change::Announcing { cause, silence: Some(silence), .. } = gained else { panic!("{gained:?}") };
    assert_eq!(cause, GainCause::NodeSilent("peer".into()));
    // Three misses, three questions of its own, and a probe.
    assert_eq!(silence, Duration::from_millis(100 + 2 * 50 + 3 * 50 + 20));
}

#[test]
fn a_question_that_got_lost_before_the_own_link_failed_is_no_silence_of_the_owner() {
    let mut node = beside_owner_of(&[VIP]);
    run_beside(&mut node, Duration::from_secs(1), &[VIP, PEER4]);
    run_beside(&mut node, Duration::from_millis(160), &[]);
    node.run(Duration::from_secs(5));
    assert_eq!(node.events(), [""; 0], "nobody is heard");
    node.hears(&Arp::question(ASKER, ASKER4, ASKER4));
    node.run(Duration::from_secs(1));
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: NodeSilent"]);
}

#[test]
fn who_may_announce_no_more_offers_to_a_heard_candidate_before_an_unheard_one() {
    let mut node = owner_beside_heard_and_unheard();
    node.desire([(VIP.into(), left_to([PEER, UNHEARD]))]);
    node.run(Duration::from_millis(250));
    let offers: Vec<_> = node.sent.drain(..).filter(|sent| sent.kind == TransmitKind::Offer).collect();
    assert!(!offers.is_empty() && offers.iter().all(|offer| offer.frame.destination == PEER_MAC));
    assert!(node.owns(ETH0) && node.events().is_empty(), "it answers until somebody took it");
    node.hears(&says(VIP, PEER_MAC));
    node.listen();
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: HandedOver"]);
}

#[test]
fn who_may_announce_no_more_leaves_the_address_to_an_unheard_candidate_that_comes_first() {
    let mut node = owner_beside_heard_and_unheard();
    node.desire([(VIP.into(), left_to([UNHEARD, PEER]))]);
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth0: NoCandidate"]);
    node.run(Duration::from_secs(1));
    assert!(node.sent.iter().all(|sent| sent.kind != TransmitKind::Offer), "{:?}", node.sent);
}

#[test]
fn a_hinted_owner_that_stops_is_covered_for_and_keeps_the_address() {
    let mut node = beside_owner_of(&[]);
    node.machine.set_hints([(VIP.into(), PEER)].into());
    let candidates = [NodeId::OWN, PEER].map(candidate).into();
    node.desire([(VIP.into(), DesiredAddress { candidates, ..first() })]);
    // It answers no peer, and asks everybody who covers.
    for _ in 0..10 {
        node.hears(&Arp::probe(PEER_MAC, VIP));
        run_beside(&mut node, Duration::from_millis(100), &[PEER4]);
    }
    assert_eq!(node.events(), ["covering 192.168.1.240 on eth0 for peer"]);
}

#[test]
fn a_peer_that_does_not_confirm_a_hint_is_asked_whether_it_is_there() {
    let mut node = beside_owner_of(&[]);
    node.machine.set_hints([(VIP.into(), PEER)].into());
    node.frames();
    let candidates = [NodeId::OWN, PEER].map(candidate).into();
    node.desire([(VIP.into(), DesiredAddress { candidates, ..first() })]);
    node.run(Duration::from_secs(2));
    assert!(node.frames().iter().any(asks_for(PEER4)));
}

#[test]
fn who_gives_one_address_up_to_another_owner_asks_for_its_others_at_once() {
    let mut node = beside_owner_of(&[]);
    let vips: Vec<Ipv4Addr> = (0..16).map(|last| Ipv4Addr::new(192, 168, 2, last)).collect();
    node.desire(vips.iter().map(|vip| (IpAddr::from(*vip), first())));
    node.run(Duration::from_secs(1));
    let claim = |vip: &Ipv4Addr| Arp::announcement(PEER_MAC, *vip);
    let yielded = vips.iter().find(|vip| {
        node.hears(&claim(vip));
        !node.machine.owns(ETH0, IpAddr::from(**vip))
    });
    let yielded = yielded.expect("one of sixteen is the peer's by its hash");
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..5 {
        node.advance();
        let sent = std::iter::from_fn(|| node.machine.poll_transmit(node.now));
        asked.extend(sent.filter(|sent| sent.kind == TransmitKind::Probe).map(|sent| sent.address));
    }
    let others = vips.iter().filter(|vip| *vip != yielded).map(|vip| IpAddr::from(*vip));
    assert!(others.into_iter().all(|vip| asked.contains(&vip)), "{asked:?}");
}

#[test]
fn an_owner_in_doubt_answers_no_peer_that_asks_everybody() {
    let mut node = beside_owner_of(&[]);
    let candidates = [NodeId::OWN, PEER].map(candidate).into();
    node.desire([(VIP.into(), DesiredAddress { candidates, ..first() })]);
    let question = Arp::question(PEER_MAC, PEER4, VIP);
    node.hears(&Frame { destination: MAC0, ..question });
    assert!(node.hears(&question), "it is watched");
    run_beside(&mut node, Duration::from_secs(4), &[PEER4]);
    for _ in 0..20 {
        assert!(!node.hears(&question), "others could yield to the answer");
        node.run(Duration::from_millis(60));
    }
    assert!(node.hears(&request(Mac::BROADCAST)), "a client is answered");
    let watch = Frame { destination: MAC0, ..question };
    node.hears(&watch);
    node.run(Duration::from_secs(1));
    assert!(!node.hears(&question), "they know of its doubt still");
    node.hears(&watch);
    node.run(Duration::from_millis(600));
    assert!(node.hears(&question), "being asked does not prolong a doubt that is over");
}

#[test]
fn a_frame_that_waited_while_the_process_was_paused_does_not_show_that_the_own_link_works() {
    let mut node = beside_owner_of(&[VIP]);
    run_beside(&mut node, Duration::from_secs(1), &[VIP, PEER4]);
    node.run(Duration::from_secs(2));
    let waited = Arp::question(ASKER, ASKER4, ASKER4);
    node.now += Duration::from_secs(4);
    node.hears(&waited);
    node.run(Duration::from_secs(5));
    assert_eq!(node.events(), [""; 0], "nobody is heard");
    run_beside(&mut node, Duration::from_secs(1), &[]);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: NodeSilent"]);
}

#[test]
fn who_is_paused_while_it_probes_claims_nothing_before_somebody_is_heard() {
    let mut node = beside_owner_of(&[VIP]);
    run_beside(&mut node, Duration::from_secs(1), &[VIP, PEER4]);
    let probes = |node: &Node| {
        let slot = node.machine.slots.get(&(ETH0, VIP.into()));
        slot.is_some_and(|slot| matches!(slot.state, State::Probing(Purpose::Own(_), _)))
    };
    for _ in 0..200 {
        if !probes(&node) {
            run_beside(&mut node, Duration::from_millis(5), &[]);
        }
    }
    assert!(probes(&node));
    node.now += Duration::from_secs(5);
    node.hears(&Arp::question(ASKER, ASKER4, ASKER4));
    node.run(Duration::from_secs(2));
    assert!(!node.owns(ETH0), "all that was heard had waited");
    run_beside(&mut node, Duration::from_secs(1), &[]);
    assert!(node.owns(ETH0));
}

#[test]
fn who_is_covered_for_and_covers_for_another_owner_is_not_the_owner() {
    let vips: Vec<Ipv4Addr> = (0..8).map(|last| Ipv4Addr::new(192, 168, 2, last)).collect();
    let mut node = beside_owner_of(&vips);
    run_beside(&mut node, Duration::from_secs(2), &[PEER4]);
    let third = peer(UNHEARD, "third", THIRD_MAC, THIRD4);
    let peers = [own(), peer(PEER, "peer", PEER_MAC, PEER4), third];
    node.machine.set_peers(Arc::new(Peers::from(peers)), node.now);
    for vip in vips {
        assert!(node.machine.covers(ETH0, vip.into()), "{vip}");
        node.hears(&says(vip, Mac([2, 0, 0, 0, 0, 0x30])));
        assert!(!node.machine.covers(ETH0, vip.into()), "{vip}");
    }
}

/// A candidate that knows the owner of some addresses.
pub(super) fn beside_owner_of(vips: &[Ipv4Addr]) -> Node {
    let mut node = Node::with_link();
    node.machine.set_peers(Arc::new(Peers::from([own(), peer(PEER, "peer", PEER_MAC, PEER4)])), node.now);
    node.hears(&says(PEER4, PEER_MAC));
    let candidates: Arc<[Candidate]> = [candidate(NodeId::OWN), candidate(PEER)].into();
    let wanted = |vip: &Ipv4Addr| {
        let address = IpAddr::from(*vip);
        (address, DesiredAddress { candidates: candidates.clone(), first_address: address, ..first() })
    };
    node.machine.set_desired(Arc::new(vips.iter().map(wanted).collect()), node.now);
    vips.iter().for_each(|vip| _ = node.hears(&says(*vip, PEER_MAC)));
    node.run(Duration::from_millis(60));
    assert_eq!(node.events(), [""; 0]);
    node
}

/// A candidate that knows the owner of an address, and is none of those that watch it.
fn unwatching_beside_owner() -> Node {
    let mut node = Node::with_link();
    let watchers = (0..8).map(|number| {
        let (mac, address) = (Mac([2, 0, 0, 0, 1, number]), Ipv4Addr::new(192, 168, 1, 100 + number));
        (NodeId(10 + u32::from(number)), mac, address)
    });
    let watchers: Vec<_> = watchers.chain([(PEER, PEER_MAC, PEER4)]).collect();
    let peers = watchers.iter().map(|&(id, mac, address)| peer(id, &format!("peer-{}", id.0), mac, address));
    node.machine.set_peers(Arc::new([own()].into_iter().chain(peers).collect()), node.now);
    for &(_, mac, address) in &watchers {
        node.hears(&Frame { source: mac, ..says(address, mac) });
    }
    let candidates = [NodeId::OWN, PEER].map(candidate).into();
    node.machine
        .set_desired(Arc::new([(VIP.into(), DesiredAddress { candidates, ..first() })].into()), node.now);
    node.hears(&says(VIP, PEER_MAC));
    node.run(Duration::from_millis(100));
    node.frames();
    node.run(Duration::from_secs(1));
    assert!(!node.frames().iter().any(asks_for(VIP)), "it watches nobody");
    node
}

/// The owner of an address beside two other candidates, one of which it never heard.
fn owner_beside_heard_and_unheard() -> Node {
    let mut node = Node::with_link();
    let peers = [
        own(),
        peer(PEER, "peer", PEER_MAC, PEER4),
        peer(UNHEARD, "unheard", Mac([2, 0, 0, 0, 0, 0x30]), Ipv4Addr::new(192, 168, 1, 13)),
    ];
    node.machine.set_peers(Arc::new(Peers::from(peers)), node.now);
    node.hears(&says(PEER4, PEER_MAC));
    let candidates = [NodeId::OWN, PEER, UNHEARD].map(candidate).into();
    node.desire([(VIP.into(), DesiredAddress { candidates, ..first() })]);
    run_beside(&mut node, Duration::from_secs(4), &[PEER4]);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth0: Unclaimed"]);
    node
}

/// Wanted, and no longer of this node.
fn left_to(candidates: [NodeId; 2]) -> DesiredAddress {
    let excluded = Some(Exclusion::ExcludeLabel);
    DesiredAddress { candidates: candidates.map(candidate).into(), excluded, ..first() }
}

/// Whether a frame asks for an address.
fn asks_for(address: Ipv4Addr) -> impl Fn(&Frame) -> bool {
    move |frame| matches!(frame.packet, Packet::Arp(Arp { target_ip, .. }) if target_ip == address)
}

/// Lets time pass, while the peer answers for some addresses, and another host can be heard.
fn run_beside(node: &mut Node, time: Duration, answered: &[Ipv4Addr]) {
    let end = node.now + time;
    while node.now < end {
        node.run(Duration::from_millis(5));
        node.hears(&Arp::question(ASKER, ASKER4, ASKER4));
        for frame in node.frames() {
            let Packet::Arp(Arp { operation: Operation::Request, target_ip, .. }) = frame.packet else {
                continue;
            };
            if frame.destination == PEER_MAC && answered.contains(&target_ip) {
                node.hears(&says(target_ip, PEER_MAC));
            }
        }
    }
}

pub(super) fn own() -> (NodeId, Peer) {
    (NodeId::OWN, Peer { name: "own".into(), live: true, usable: true, owned: None, links: vec![] })
}

pub(super) fn peer(node: NodeId, name: &str, mac: Mac, address: Ipv4Addr) -> (NodeId, Peer) {
    let link = PeerLink { macs: vec![mac], ipv4: vec![address], link_local: None };
    (node, Peer { name: name.into(), live: true, usable: true, owned: None, links: vec![link] })
}

/// The peer tells this node who has an address.
pub(super) fn says(address: Ipv4Addr, receiver: Mac) -> Frame {
    let question = Arp::question(MAC0, ASKER4, address);
    let Packet::Arp(question) = question.packet else { panic!("not ARP") };
    Frame { source: PEER_MAC, destination: MAC0, ..question.reply_from(receiver) }
}
