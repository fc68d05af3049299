//! Links that change while addresses are announced on them, as another host's kernel sees it.

use ferrolb_speaker::net::Protocol;

use crate::driver::{VIP, VIP6, eventually, names_us};
use crate::segment::{OUR_MAC, Segment, ip, route_by_peer};
use crate::speaker::Speaker;

const OTHER_MAC: &str = "02:00:00:00:00:02";
const BRIDGE_MAC: &str = "02:00:00:00:00:b0";

pub(crate) fn another_hardware_address_is_announced() {
    let (segment, _speaker) = announcing();
    ip(&format!("link set lan0 address {OTHER_MAC}"));
    follows(&segment, OTHER_MAC);
}

pub(crate) fn an_interface_that_was_down_is_announced_on_again() {
    let (segment, _speaker) = announcing();
    // The peer's kernel forgets its neighbours when it notices that the wire is dead: what is put there has to come later.
    ip("link set lan0 down");
    eventually(|| segment.peer_ip("link show dev eth0"), |link| link.contains("state DOWN"));
    ip("link set lan0 up");
    eventually(|| segment.peer_ip("link show dev eth0"), |link| link.contains("state UP"));
    for address in [VIP, VIP6] {
        segment.peer_ip(&format!("neighbor replace {address} lladdr {OTHER_MAC} dev eth0 nud stale"));
    }
    route_by_peer("lan0");
    follows(&segment, &OUR_MAC.to_string());
}

pub(crate) fn a_renamed_interface_goes_on() {
    let (segment, _speaker) = announcing();
    ip("link set lan0 down");
    ip("link set lan0 name lan7");
    ip("link set lan7 up");
    segment.peer_ip("neighbor flush dev eth0");
    eventually(|| segment.peer_asks_for(VIP), names_us);
    ip("link set lan7 down");
    ip("link set lan7 name lan0");
}

pub(crate) fn a_bridge_announces_in_the_place_of_its_port() {
    let (segment, _speaker) = announcing();
    ip(&format!("link add lanbr0 address {BRIDGE_MAC} type bridge"));
    ip("link set lanbr0 up");
    ip("link set lan0 master lanbr0");
    follows(&segment, BRIDGE_MAC);
    ip("link set lan0 nomaster");
    ip("link delete lanbr0");
    follows(&segment, &OUR_MAC.to_string());
}

pub(crate) fn a_macvlan_child_does_not_answer() {
    let (segment, _speaker) = announcing();
    ip(&format!("link add child0 link lan0 address {OTHER_MAC} type macvlan"));
    ip("link set child0 up");
    for _ in 0..5 {
        segment.peer_ip("neighbor flush dev eth0");
        let mut entry = String::new();
        eventually(
            || {
                entry = segment.peer_asks_for(VIP);
                entry.clone()
            },
            |entry| entry.contains("lladdr"),
        );
        assert!(names_us(&entry), "{entry}");
    }
}

pub(crate) fn of_two_interfaces_on_one_segment_one_announces() {
    let (segment, speaker) = announcing();
    segment.plug_in_twice(OTHER_MAC);
    // It asks who has the address before it claims it there, and hears that it has it itself.
    route_by_peer("lan1");
    let probes = speaker.metrics.port("lan1", Protocol::Arp).probes;
    eventually(|| probes.get().to_string(), |count| count != "0");
    for _ in 0..5 {
        segment.peer_ip("neighbor flush dev br0");
        eventually(|| segment.peer_asks_for(VIP), names_us);
    }
    ip("link set lan0 down");
    eventually(|| segment.peer_asks_for(VIP), |entry| entry.contains(OTHER_MAC));
    ip("link delete lan1");
}

/// A speaker whose addresses the peer knows.
fn announcing() -> (Segment, Speaker) {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6].map(|text| text.parse().unwrap()));
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_asks_for(address), names_us);
    }
    (segment, speaker)
}

/// The peer's entries come to name a hardware address without a question of the peer.
fn follows(segment: &Segment, mac: &str) {
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_entry(address), |entry| entry.contains(mac));
    }
}
