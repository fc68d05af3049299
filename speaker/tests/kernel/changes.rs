//! Links that change while addresses are announced on them, as another host's kernel sees it.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_speaker::announcer::Kind;
use ferrolb_speaker::net::{FrameSocket, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Packet};

use crate::driver::{VIP, VIP6, eventually, names_us};
use crate::segment::{OUR_MAC, PATIENCE, Segment, ip, route_by_peer};
use crate::speaker::Speaker;

const OTHER_MAC: &str = "02:00:00:00:00:02";
const BRIDGE_MAC: &str = "02:00:00:00:00:b0";

pub(crate) fn another_hardware_address_is_announced() {
    let (segment, _speaker) = announcing();
    ip(&format!("link set lan0 address {OTHER_MAC}"));
    follows(&segment, OTHER_MAC);
}

pub(crate) fn a_change_of_a_link_is_acted_on_soon() {
    /// Ten times what is promised.
    const SOON: Duration = Duration::from_secs(1);
    let (segment, _speaker) = announcing();
    let (link, _) = segment.peer_link();
    let (ready, listens) = mpsc::channel();
    let vip: Ipv4Addr = VIP.parse().unwrap();
    let announces = |bytes: &[u8], mac: Mac| {
        let packet = Frame::parse(bytes).map(|frame| frame.packet);
        matches!(packet, Ok(Packet::Arp(arp)) if arp.is_gratuitous() && (arp.sender_ip, arp.sender_mac) == (vip, mac))
    };
    let macs = [2, 3, 4, 5, 6].map(|last| Mac([2, 0, 0, 0, 0, last]));
    thread::scope(|scope| {
        let heard = scope.spawn(|| {
            let ready = ready;
            segment.enter_peer();
            let socket = FrameSocket::open(link, Protocol::Arp).unwrap();
            let mut buffer = [0; 2048];
            macs.map(|mac| {
                ready.send(()).unwrap();
                loop {
                    let length = socket.receive(&mut buffer, PATIENCE).unwrap().expect("it is announced");
                    if announces(&buffer[..length], mac) {
                        break now();
                    }
                }
            })
        });
        let changed = macs.map(|mac| {
            listens.recv().expect("nobody listens");
            let before = now();
            ip(&format!("link set lan0 address {mac}"));
            before
        });
        let heard = heard.join().unwrap();
        let mut took: Vec<Duration> =
            heard.iter().zip(changed).map(|(heard, changed)| heard.duration_since(changed)).collect();
        took.sort();
        eprintln!("a new hardware address is announced after {took:?}");
        assert!(took.iter().all(|took| *took < SOON), "{took:?}");
    });
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
    let (segment, speaker) = announcing();
    ip("link set lan0 down");
    ip("link set lan0 name lan7");
    ip("link set lan7 up");
    segment.peer_ip("neighbor flush dev eth0");
    eventually(|| segment.peer_asks_for(VIP), names_us);
    let counted = speaker.metrics.port("lan7", Protocol::Arp);
    // Whichever of the two the peer learnt from.
    let said = || (counted.announcements(Kind::First).get() + counted.answers.get()).to_string();
    eventually(said, |count| count != "0");
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

pub(crate) fn nothing_is_said_on_an_excluded_interface() {
    let (segment, speaker) = announcing();
    let link = segment.plug_in_beside("docker9");
    // Once this is taken up, the other one was looked at.
    ip(&format!("link set lan0 address {OTHER_MAC}"));
    follows(&segment, OTHER_MAC);
    thread::scope(|scope| {
        scope.spawn(|| {
            segment.enter_peer();
            let socket = FrameSocket::open(link, Protocol::Arp).unwrap();
            let mut buffer = [0; 2048];
            for _ in 0..5 {
                let question =
                    Arp::question(Mac([2, 0, 0, 0, 0, 9]), [192, 168, 9, 9].into(), VIP.parse().unwrap());
                socket.send(&question.emit()).unwrap();
                let heard = socket.receive(&mut buffer, Duration::from_millis(100)).unwrap();
                assert_eq!(heard.map(|length| Frame::parse(&buffer[..length])), None);
            }
        });
    });
    assert_eq!(speaker.metrics.port("docker9", Protocol::Arp).questions.get(), 0);
    ip("link delete docker9");
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

#[expect(clippy::disallowed_methods, reason = "the kernel's clock runs")]
fn now() -> Instant {
    Instant::now()
}
