//! Hosts that are no speakers and answer.

use super::peers::{PEER, PEER_MAC, PEER4, beside_owner_of, says};
use super::*;

const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

#[test]
fn an_address_that_a_proxy_answers_for_is_announced_and_that_is_told_until_the_proxy_is_gone() {
    let mut node = beside_owner_of(&[VIP]);
    let proxy = |address, to_all| if to_all { stranger(address) } else { vec![] };
    // The owner is dead, and the proxy answers whatever is asked of everybody.
    play(&mut node, Duration::from_secs(5), proxy);
    assert!(node.owns(ETH0));
    let told: Vec<_> = node.events().iter().map(|told| told[..12].to_owned()).collect();
    assert_eq!(told, ["AddressConfl", "no AddressCo", "ProxyARP: 02", "announcing 1"]);
    play(&mut node, Duration::from_secs(60), proxy);
    assert_eq!(node.events(), [""; 0]);
    play(&mut node, Duration::from_secs(60), |_, _| vec![]);
    assert_eq!(node.events(), ["no ProxyARP of 192.168.1.240 on eth0"]);
    assert!(node.owns(ETH0));
}

#[test]
fn a_host_that_answers_for_one_address_only_is_no_proxy() {
    let mut node = beside_owner_of(&[VIP]);
    play(&mut node, Duration::from_secs(5), has_the_address);
    let told = node.events();
    assert!(!node.owns(ETH0), "{told:?}");
    assert!(told.len() == 1 && told[0].starts_with("AddressConflict"), "{told:?}");
}

#[test]
fn who_covers_does_not_take_over_what_a_stranger_answers_for() {
    let mut node = beside_owner_of(&[VIP]);
    let lives = |address, _| if address == PEER4 { vec![says(PEER4, PEER_MAC)] } else { vec![] };
    play(&mut node, Duration::from_secs(3), lives);
    assert_eq!(node.events(), ["covering 192.168.1.240 on eth0 for peer"]);
    play(&mut node, Duration::from_secs(3), has_the_address);
    let told = node.events();
    assert!(told.len() == 2 && told[0] == "not covering 192.168.1.240 on eth0", "{told:?}");
    assert!(told[1].starts_with("AddressConflict"), "{told:?}");
}

#[test]
fn who_comes_later_leaves_it_to_the_first_to_look_whether_a_stranger_is_gone() {
    let mut node = beside_owner_of(&[VIP]);
    let candidates = [candidate(PEER), candidate(NodeId::OWN)].into();
    node.desire([(VIP.into(), DesiredAddress { candidates, ..first() })]);
    play(&mut node, Duration::from_secs(5), has_the_address);
    for _ in 0..5 {
        node.hears(&Arp::probe(PEER_MAC, VIP));
        assert_eq!(probes_in(&mut node, Duration::from_secs(9)), 0);
    }
    assert!(probes_in(&mut node, Duration::from_secs(2)) > 0, "the first is gone as well");
}

fn has_the_address(address: Ipv4Addr, _: bool) -> Vec<Frame> {
    if address == VIP { stranger(VIP) } else { vec![] }
}

/// The stranger says that it has an address.
fn stranger(address: Ipv4Addr) -> Vec<Frame> {
    vec![Frame { source: STRANGER, ..says(address, STRANGER) }]
}

/// Lets time pass while some host speaks, and answers the node's questions, to one host or to everybody, like
/// that.
fn play(node: &mut Node, time: Duration, answers: impl Fn(Ipv4Addr, bool) -> Vec<Frame>) {
    let end = node.now + time;
    while let Some(due) = node.machine.poll_timeout().filter(|due| *due <= end) {
        node.now = node.now.max(due);
        node.machine.handle_timeout(node.now);
        node.hears(&Arp::question(ASKER, ASKER4, ASKER4));
        for sent in std::iter::from_fn(|| node.machine.poll_transmit(node.now)).collect::<Vec<_>>() {
            let IpAddr::V4(address) = sent.address else { continue };
            if matches!(sent.kind, TransmitKind::Question | TransmitKind::Probe) {
                for answer in answers(address, sent.frame.destination.is_group()) {
                    node.machine.handle_frame(ETH0, &answer, node.now);
                }
            }
        }
        node.listen();
    }
    node.now = end;
}

/// How often the node asks everybody for the address.
fn probes_in(node: &mut Node, time: Duration) -> usize {
    let mut probes = 0;
    let end = node.now + time;
    while let Some(due) = node.machine.poll_timeout().filter(|due| *due <= end) {
        node.now = node.now.max(due);
        node.machine.handle_timeout(node.now);
        let sent = std::iter::from_fn(|| node.machine.poll_transmit(node.now));
        probes += sent.filter(|sent| sent.kind == TransmitKind::Probe && sent.address == VIP).count();
    }
    node.now = end;
    probes
}
