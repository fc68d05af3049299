//! A third speaker, played, that covers for two others and falls silent.

use super::peers::{PEER, PEER_MAC, PEER4, THIRD_MAC, THIRD4, beside_owner_of, own, peer, says};
use super::*;

const THIRD: NodeId = NodeId(2);
const FOURTH: NodeId = NodeId(3);
const FOURTH_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x40]);
const FOURTH4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 14);

#[test]
fn a_coverer_that_falls_silent_is_followed_for_all_that_it_covered() {
    let vips = |third| (0..10).map(move |last| Ipv4Addr::new(192, 168, third, last));
    let all: Vec<Ipv4Addr> = vips(2).chain(vips(3)).collect();
    let mut node = beside_owner_of(&all);
    let peers = [
        own(),
        peer(PEER, "peer", PEER_MAC, PEER4),
        peer(THIRD, "third", THIRD_MAC, THIRD4),
        peer(FOURTH, "fourth", FOURTH_MAC, FOURTH4),
    ];
    node.machine.set_peers(Arc::new(Peers::from(peers)), node.now);
    node.hears(&Frame { source: THIRD_MAC, ..says(THIRD4, THIRD_MAC) });
    node.hears(&Frame { source: FOURTH_MAC, ..says(FOURTH4, FOURTH_MAC) });
    // The fourth one owns half of them, and no longer the peer.
    vips(3).for_each(|vip| _ = node.hears(&Frame { source: FOURTH_MAC, ..says(vip, FOURTH_MAC) }));
    let candidates: Arc<[Candidate]> = [THIRD, NodeId::OWN, PEER, FOURTH].map(candidate).into();
    let wanted = |vip: &Ipv4Addr| {
        let address = IpAddr::from(*vip);
        (address, DesiredAddress { candidates: candidates.clone(), first_address: address, ..first() })
    };
    node.machine.set_desired(Arc::new(all.iter().map(wanted).collect()), node.now);
    let covers = |node: &Node| all.iter().filter(|vip| node.machine.covers(ETH0, (**vip).into())).count();
    run_beside_coverer(&mut node, Duration::from_secs(3), true);
    assert_eq!(covers(&node), 0, "the third one covers for both");
    run_beside_coverer(&mut node, Duration::from_millis(800), false);
    assert_eq!(covers(&node), 20, "after an alarm, a turn, and a probe each");
}

/// Lets time pass beside two nodes whose kernels answer, and a third one that covers for both.
fn run_beside_coverer(node: &mut Node, time: Duration, covers: bool) {
    let end = node.now + time;
    while node.now < end {
        node.now += Duration::from_millis(1);
        node.machine.handle_timeout(node.now);
        node.listen();
        let sent: Vec<_> = std::iter::from_fn(|| node.machine.poll_transmit(node.now)).collect();
        for Transmit { frame, .. } in sent {
            let Packet::Arp(Arp { operation: Operation::Request, target_ip, .. }) = frame.packet else {
                continue;
            };
            let own = [(PEER4, PEER_MAC), (THIRD4, THIRD_MAC), (FOURTH4, FOURTH_MAC)];
            if let Some(&(_, mac)) = own.iter().find(|(address, _)| *address == target_ip) {
                node.hears(&Frame { source: mac, ..says(target_ip, mac) });
            } else if covers && frame.destination.is_group() {
                let owner = if target_ip.octets()[2] == 2 { PEER_MAC } else { FOURTH_MAC };
                node.hears(&Frame { source: THIRD_MAC, ..says(target_ip, owner) });
            }
        }
    }
}
