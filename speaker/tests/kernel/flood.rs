//! What becomes of a client's questions while others ask as fast as they can.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_speaker::net::{FrameSocket, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Packet, Solicitation, solicited_node};

use crate::driver::{VIP, VIP6, eventually, names_us};
use crate::segment::Segment;
use crate::speaker::Speaker;

/// Questions of the client.
const QUESTIONS: usize = 40;
/// From one of them to the next.
const INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn a_client_is_answered_while_one_host_floods() {
    for protocol in Protocol::ALL {
        let answers = survive("one host", protocol, 1);
        // The client's own, what a bucket holds, and what it is filled with in the time.
        assert!(answers < 500, "the flood got {answers} answers");
    }
}

pub(crate) fn a_client_is_answered_while_a_thousand_spoofed_hosts_flood() {
    for protocol in Protocol::ALL {
        survive("a thousand spoofed hosts", protocol, 1000);
    }
}

/// Floods until the client has asked its questions; gives how many answers were sent to all.
fn survive(name: &str, protocol: Protocol, flooders: u16) -> u64 {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    let vip = match protocol {
        Protocol::Arp => VIP,
        Protocol::Ndp => VIP6,
    };
    speaker.desire(&[vip.parse().unwrap()]);
    eventually(|| segment.peer_asks_for(vip), names_us);
    let (link, client) = segment.peer_link();
    let stop = AtomicBool::new(false);
    let (flooded, mut delays) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            segment.enter_peer();
            flood(&FrameSocket::open(link, protocol).unwrap(), protocol, flooders, &stop)
        });
        let client = scope.spawn(|| {
            segment.enter_peer();
            ask(&FrameSocket::open(link, protocol).unwrap(), &question(protocol, client, 10))
        });
        let delays = client.join();
        stop.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), delays.unwrap())
    });
    delays.sort();
    let answered = delays.len();
    let port = speaker.metrics.port("lan0", protocol);
    let protocol = protocol.name();
    eprintln!(
        "{protocol}, {name}: {flooded} questions in 2 s, of which {} were received and {} not answered; of the client's {QUESTIONS} {answered} were answered, after {:?}, at worst {:?}",
        port.questions.get(),
        port.throttled.get(),
        delays.get(answered / 2).unwrap_or(&INTERVAL),
        delays.last().unwrap_or(&INTERVAL),
    );
    assert!(
        answered >= QUESTIONS / 8,
        "{protocol}, {name}: only {answered} of {QUESTIONS} questions were answered"
    );
    port.answers.get()
}

/// Asks as fast as it can, and says how often.
fn flood(socket: &FrameSocket, protocol: Protocol, hosts: u16, stop: &AtomicBool) -> usize {
    let questions: Vec<_> = (0..hosts)
        .map(|host| {
            let [high, low] = host.to_be_bytes();
            question(protocol, Mac([2, 0, 0, 1, high, low]), low).emit()
        })
        .collect();
    let sent = questions.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed));
    sent.filter(|question| socket.send(question).is_ok()).count()
}

/// Asks at intervals, and gives the delays of the answers that came before the next question.
#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
fn ask(socket: &FrameSocket, question: &Frame) -> Vec<Duration> {
    let question = question.emit();
    let mut delays = Vec::new();
    for _ in 0..QUESTIONS {
        let begin = Instant::now();
        let next = begin + INTERVAL;
        socket.send(&question).unwrap();
        if answer(socket, next) {
            delays.push(begin.elapsed());
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    delays
}

/// Whether an answer comes in time.
#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
fn answer(socket: &FrameSocket, until: Instant) -> bool {
    let mut buffer = [0; 2048];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Some(length) = socket.receive(&mut buffer, left).unwrap() else { return false };
        let answers = match Frame::parse(&buffer[..length]).map(|frame| frame.packet) {
            Ok(Packet::Arp(arp)) => !arp.is_gratuitous() && arp.sender_ip.to_string() == VIP,
            Ok(Packet::Advertisement(it)) => it.solicited && it.target.to_string() == VIP6,
            Ok(Packet::Solicitation(_)) | Err(_) => false,
        };
        if answers {
            return true;
        }
    }
}

/// The question of a host whose address ends in this.
fn question(protocol: Protocol, asker: Mac, last: u8) -> Frame {
    match protocol {
        Protocol::Arp => Arp::question(asker, Ipv4Addr::new(192, 168, 1, last), VIP.parse().unwrap()),
        Protocol::Ndp => {
            let target = VIP6.parse().unwrap();
            let destination = solicited_node(target);
            Frame {
                source: asker,
                destination: Mac::multicast(destination),
                packet: Packet::Solicitation(Solicitation {
                    source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last.into()),
                    destination,
                    target,
                    source_link_layer: Some(asker),
                }),
            }
        }
    }
}
