//! What becomes of a client's questions while others ask as fast as they can.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_speaker::net::{FrameSocket, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Packet};
use tokio::time::{sleep_until, timeout_at};

use crate::driver::{VIP, eventually, names_us};
use crate::segment::{Segment, runtime};
use crate::speaker::Speaker;

/// Questions of the client.
const QUESTIONS: usize = 40;
/// From one of them to the next.
const INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn a_client_is_answered_while_one_host_floods() {
    let answers = survive("one host", 1);
    // The client's own, what a bucket holds, and what it is filled with in the time.
    assert!(answers < 500, "the flood got {answers} answers");
}

pub(crate) fn a_client_is_answered_while_a_thousand_spoofed_hosts_flood() {
    survive("a thousand spoofed hosts", 1000);
}

/// Floods until the client has asked its questions; gives how many answers were sent to all.
fn survive(name: &str, flooders: u16) -> u64 {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    speaker.desire(&[VIP.parse().unwrap()]);
    eventually(|| segment.peer_asks_for(VIP), names_us);
    let (link, client) = segment.peer_link();
    let stop = AtomicBool::new(false);
    let (flooded, mut delays) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            segment.enter_peer();
            runtime()
                .block_on(async { flood(&FrameSocket::open(link, Protocol::Arp).unwrap(), flooders, &stop) })
        });
        let client = scope.spawn(|| {
            segment.enter_peer();
            runtime().block_on(async { ask(&FrameSocket::open(link, Protocol::Arp).unwrap(), client).await })
        });
        let delays = client.join();
        stop.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), delays.unwrap())
    });
    delays.sort();
    let answered = delays.len();
    let port = speaker.metrics.port("lan0", Protocol::Arp);
    eprintln!(
        "{name}: {flooded} questions in 2 s, of which {} were received and {} not answered; of the client's {QUESTIONS} {answered} were answered, after {:?}, at worst {:?}",
        port.questions.get(),
        port.throttled.get(),
        delays.get(answered / 2).unwrap_or(&INTERVAL),
        delays.last().unwrap_or(&INTERVAL),
    );
    assert!(answered >= QUESTIONS / 8, "{name}: only {answered} of {QUESTIONS} questions were answered");
    port.answers.get()
}

/// Asks as fast as it can, and says how often.
fn flood(socket: &FrameSocket, hosts: u16, stop: &AtomicBool) -> usize {
    let questions: Vec<_> = (0..hosts)
        .map(|host| {
            let [high, low] = host.to_be_bytes();
            question(Mac([2, 0, 0, 1, high, low]), Ipv4Addr::new(192, 168, 2, low)).emit()
        })
        .collect();
    let sent = questions.iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed));
    sent.filter(|question| socket.send(question).is_ok()).count()
}

/// Asks at intervals, and gives the delays of the answers that came before the next question.
#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
async fn ask(socket: &FrameSocket, client: Mac) -> Vec<Duration> {
    let question = question(client, Ipv4Addr::new(192, 168, 1, 10)).emit();
    let mut delays = Vec::new();
    for _ in 0..QUESTIONS {
        let begin = Instant::now();
        let next = (begin + INTERVAL).into();
        socket.send(&question).unwrap();
        if timeout_at(next, answer(socket)).await.is_ok() {
            delays.push(begin.elapsed());
        }
        sleep_until(next).await;
    }
    delays
}

async fn answer(socket: &FrameSocket) {
    let mut buffer = [0; 2048];
    loop {
        let length = poll_fn(|cx| socket.poll_receive(cx, &mut buffer)).await.unwrap();
        let packet = Frame::parse(&buffer[..length]).map(|frame| frame.packet);
        if let Ok(Packet::Arp(arp)) = packet
            && !arp.is_gratuitous()
            && arp.sender_ip.to_string() == VIP
        {
            return;
        }
    }
}

fn question(asker: Mac, address: Ipv4Addr) -> Frame {
    Arp::question(asker, address, VIP.parse().unwrap())
}
