//! Packet sockets and groups.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::Ipv6Addr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_speaker::net::{FrameSocket, Groups, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Packet, Solicitation, solicited_node};
use socket2::{Domain, Socket, Type};

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

pub(crate) fn the_filter_passes_nothing_that_is_of_no_use() {
    let segment = Segment::new();
    let (link, mac) = segment.peer_link();
    let arp = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    let ndp = FrameSocket::open(Segment::link(), Protocol::Ndp).unwrap();
    // So that what is for others comes up to the filter.
    arp.set_promiscuous(Segment::link()).unwrap();
    let question = Arp::probe(mac, [192, 168, 1, 240].into());
    let solicitation = Solicitation::duplicate_check(mac, address(1));
    // Offsets from the start of the Ethernet header, as in RFC 826, RFC 8200 and RFC 4443.
    let changed = |frame: &Frame, at: usize, byte: u8| {
        let mut bytes = frame.emit().to_vec();
        bytes[at] = byte;
        bytes
    };
    let tagged = |frame: &Frame| {
        let mut bytes = frame.emit().to_vec();
        bytes.splice(12..12, [0x81, 0, 0, 5]);
        bytes
    };
    let useless = [
        ("ARP for another host", changed(&question, 0, 2)),
        ("ARP of operation 3", changed(&question, 21, 3)),
        ("ARP of operation 257", changed(&question, 20, 1)),
        ("ARP of a VLAN", tagged(&question)),
        ("a solicitation for another host", changed(&solicitation, 0, 2)),
        ("a solicitation of a VLAN", tagged(&solicitation)),
        ("a datagram", changed(&solicitation, 20, 17)),
        ("a solicitation that was forwarded", changed(&solicitation, 21, 254)),
        ("a router solicitation", changed(&solicitation, 54, 133)),
        ("a redirect", changed(&solicitation, 54, 137)),
    ];
    thread::scope(|scope| {
        scope.spawn(|| {
            segment.enter_peer();
            let sender = FrameSocket::open(link, Protocol::Arp).unwrap();
            let useful = [&question, &solicitation].map(|frame| ("what is asked", frame.emit().to_vec()));
            for (what, frame) in useless.iter().chain(&useful) {
                sender.send(frame).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        });
    });
    for (socket, wanted) in [(&arp, &question), (&ndp, &solicitation)] {
        // The peer's kernel speaks too, for its own addresses.
        let mut received = std::iter::from_fn(|| receive_bytes_within(socket, PATIENCE));
        let first = received.find(|bytes| bytes[6..12] == mac.0 && !is_of_kernel(bytes)).unwrap();
        assert_eq!(Frame::parse(&first).unwrap(), *wanted);
    }
}

/// Whether a frame is about an address of the peer's own.
fn is_of_kernel(bytes: &[u8]) -> bool {
    let Ok(frame) = Frame::parse(bytes) else { return false };
    match frame.packet {
        Packet::Arp(arp) => arp.target_ip.octets()[3] != 240,
        Packet::Solicitation(solicitation) => solicitation.target != address(1),
        Packet::Advertisement(_) => true,
    }
}

pub(crate) fn what_the_kernel_drops_as_nobody_receives_it_is_counted() {
    const SENT: u64 = 5_000;
    let segment = Segment::new();
    let (link, mac) = segment.peer_link();
    let socket = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            segment.enter_peer();
            let sender = FrameSocket::open(link, Protocol::Arp).unwrap();
            let question = Arp::probe(mac, [192, 168, 1, 240].into()).emit();
            (0..SENT).for_each(|_| sender.send(&question).unwrap());
        });
    });
    let mut received = 0;
    while receive_bytes_within(&socket, Duration::from_millis(200)).is_some() {
        received += 1;
    }
    let dropped = socket.take_drops().unwrap();
    assert!(received > 0 && dropped > 0, "{received} and {dropped}");
    // A few more are the kernel's own; some may be lost before they come to the socket.
    assert!(received + dropped < SENT + 100, "{received} and {dropped}");
    assert_eq!(socket.take_drops().unwrap(), 0, "none is counted twice");
}

pub(crate) fn a_socket_survives_its_link_going_down() {
    let segment = Segment::new();
    let socket = FrameSocket::open(Segment::link(), Protocol::Arp).unwrap();
    let probe = Arp::probe(OUR_MAC, [192, 168, 1, 10].into());
    ip("link set lan0 down");
    assert_eq!(socket.send(&probe.emit()).unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
    ip("link set lan0 up");
    socket.send(&probe.emit()).expect("no frame is lost to the error of a link that is up again");
    let Packet::Arp(reply) = ask(&socket, &probe).packet else { panic!("not ARP") };
    assert_eq!(reply.sender_ip.to_string(), "192.168.1.10", "the peer's kernel answers our probe");
    assert_eq!(socket.take_drops().unwrap(), 0);
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

pub(crate) fn switches_are_told_of_a_group_that_is_joined() {
    /// Multicast Listener Report, version 2 (RFC 3810 section 5.2), and to whom it goes.
    const REPORT: u8 = 143;
    const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
    let segment = Segment::new();
    let (link, _) = segment.peer_link();
    let group = solicited_node(address(1)).octets();
    let (ready, listens) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let ready = ready;
            segment.enter_peer();
            let protocol = Some(socket2::Protocol::ICMPV6);
            let mut listener = Socket::new(Domain::IPV6, Type::RAW, protocol).unwrap();
            listener.join_multicast_v6(&ALL_MLDV2_ROUTERS, link.0).unwrap();
            listener.set_read_timeout(Some(PATIENCE)).unwrap();
            ready.send(()).unwrap();
            let mut buffer = [0; 2048];
            loop {
                let length = match listener.read(&mut buffer) {
                    // A process of another test ended.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => result.expect("no report of the group came"),
                };
                let message = &buffer[..length];
                if message.first() == Some(&REPORT) && message.windows(group.len()).any(|it| it == group) {
                    return;
                }
            }
        });
        listens.recv().expect("nobody listens");
        let mut groups = Groups::default();
        groups.join(Segment::link(), address(1)).unwrap();
    });
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
    Some(Frame::parse(&receive_bytes_within(socket, patience)?).unwrap())
}

fn receive_bytes_within(socket: &FrameSocket, patience: Duration) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    let length = socket.receive(&mut buffer, patience).unwrap()?;
    Some(buffer[..length].to_vec())
}

/// Its group is none of those of the interface's own addresses.
fn address(n: usize) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfd00 << 112 | 0x40_0000 | u128::try_from(n).unwrap())
}

/// The groups of [`address`]: the kernel joins those of its own addresses when it likes.
fn joined() -> usize {
    ip("-6 maddress show dev lan0").lines().filter(|line| line.contains("inet6 ff02::1:ff40:")).count()
}
