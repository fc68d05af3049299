//! Packet sockets and groups.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_speaker::net::{FrameSocket, Groups, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Packet};

use crate::segment::{OUR_MAC, PATIENCE, Segment, ip};

/// More than a socket's option memory is enough for.
const MANY: usize = 3000;

pub(crate) fn only_address_resolution_is_received() {
    let segment = Segment::new();
    let arp = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    let ndp = FrameSocket::open(Segment::link(), Protocol::Ndp).unwrap();
    // Broadcast datagrams and echo requests are not for us; the questions that follow are.
    segment.peer_ip("neighbor add 192.168.1.99 lladdr ff:ff:ff:ff:ff:ff dev eth0");
    segment.peer_ip("neighbor add fd00::99 lladdr 33:33:00:00:00:01 dev eth0");
    segment.peer_asks_for("192.168.1.99");
    segment.peer_asks_for("fd00::99");
    segment.peer_asks_for("192.168.1.240");
    segment.peer_asks_for("fd00::240");
    let Packet::Arp(question) = receive(&arp).packet else { panic!("not ARP") };
    assert_eq!(question.target_ip.to_string(), "192.168.1.240");
    // The peer's kernel asked for the uniqueness of its own addresses before.
    loop {
        let Packet::Solicitation(question) = receive(&ndp).packet else { continue };
        if question.target.to_string() == "fd00::240" {
            break;
        }
    }
}

pub(crate) fn a_socket_survives_its_link_going_down() {
    let segment = Segment::new();
    let mut socket = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    let probe = Arp::probe(OUR_MAC, [192, 168, 1, 10].into());
    ip("link set lan0 down");
    assert_eq!(socket.send(&probe.emit()).unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
    ip("link set lan0 up");
    socket.send(&probe.emit()).expect("no frame is lost to the error of a link that is up again");
    let Packet::Arp(reply) = ask(&socket, &probe).packet else { panic!("not ARP") };
    assert_eq!(reply.sender_ip.to_string(), "192.168.1.10", "the peer's kernel answers our probe");
    assert_eq!(socket.drops().unwrap(), 0);
    drop(segment);
    let error = socket.send(&probe.emit()).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENODEV | libc::ENETDOWN)), "{error}");
}

pub(crate) fn a_card_is_promiscuous_as_long_as_its_socket_is_open() {
    let _segment = Segment::new();
    let promiscuity = || {
        let details = ip("-details link show dev lan0");
        details.split("promiscuity ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    let socket = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    assert_eq!(promiscuity(), "0");
    socket.set_promiscuous(Segment::link()).unwrap();
    assert_eq!(promiscuity(), "1");
    drop(socket);
    assert_eq!(promiscuity(), "0");
}

pub(crate) fn each_source_is_received_once_however_lanes_are_divided() {
    let segment = Segment::new();
    let (link, _) = segment.peer_link();
    let sources: BTreeSet<_> = (0..=255).map(|last| Mac([2, 0, 0, 1, 0, last])).collect();
    let socket = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    for _ in 0..10 {
        thread::scope(|scope| {
            scope.spawn(|| {
                segment.enter_peer();
                let sender = FrameSocket::open(link, Protocol::Arp).unwrap();
                for &source in &sources {
                    sender.send(&Arp::probe(source, [192, 168, 1, 240].into()).emit()).unwrap();
                }
            });
        });
        let mut received = BTreeSet::new();
        for _ in 0..sources.len() {
            received.insert(receive(&socket).source);
        }
        assert_eq!(received, sources);
        socket.shuffle().unwrap();
    }
}

pub(crate) fn more_groups_are_joined_than_one_socket_has_room_for() {
    let _segment = Segment::new();
    let (link, mut groups) = (Segment::link(), Groups::default());
    let before = joined();
    for n in 0..MANY {
        groups.join(link, address(n)).unwrap();
    }
    // Two addresses with the same last three octets share a group.
    let twin = Ipv6Addr::from_bits(address(0).to_bits() | 1 << 64);
    groups.join(link, twin).unwrap();
    assert_eq!(joined(), before + MANY);
    for n in 0..MANY {
        groups.leave(link, address(n));
    }
    assert_eq!(joined(), before + 1, "the group of the twin is still needed");
    groups.leave(link, twin);
    assert_eq!(joined(), before);
}

pub(crate) fn a_group_that_can_not_be_joined_yet_is_joined_later() {
    let _segment = Segment::new();
    let (link, mut groups) = (Segment::link(), Groups::default());
    // Too little for IPv6: the kernel takes it off the interface.
    ip("link set lan0 mtu 1000");
    groups.join(link, address(1)).expect_err("there is no IPv6");
    groups.join(link, address(2)).expect_err("there is no IPv6");
    assert!(groups.retry().is_empty());
    groups.leave(link, address(2));
    ip("link set lan0 mtu 1500");
    assert_eq!(groups.retry(), [(link, address(1))]);
    assert_eq!(joined(), 1);
    assert!(groups.retry().is_empty(), "nothing is missing any more");
    groups.leave(link, address(1));
    assert_eq!(joined(), 0);
}

/// Asks until the answer comes: a link needs a moment to come up.
#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
fn ask(socket: &FrameSocket, question: &Frame) -> Frame {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        _ = socket.send(&question.emit());
        if let Some(answer) = receive_within(socket, Duration::from_millis(100)) {
            return answer;
        }
    }
    panic!("nobody answers");
}

fn receive(socket: &FrameSocket) -> Frame {
    receive_within(socket, PATIENCE).expect("nothing is received")
}

fn receive_within(socket: &FrameSocket, patience: Duration) -> Option<Frame> {
    let mut buffer = [0; 2048];
    let length = socket.receive(&mut buffer, patience).unwrap()?;
    Some(Frame::parse(&buffer[..length]).unwrap())
}

/// Its group is none of those of the interface's own addresses.
fn address(n: usize) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfd00 << 112 | 0x40_0000 | u128::try_from(n).unwrap())
}

/// The groups of [`address`]: the kernel joins those of its own addresses when it likes.
fn joined() -> usize {
    ip("-6 maddress show dev lan0").lines().filter(|line| line.contains("inet6 ff02::1:ff40:")).count()
}
