//! The asking host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ferrolb_speaker::link::LinkId;
use ferrolb_speaker::net::{FrameSocket, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Operation, Packet, Solicitation, solicited_node};
use serde_json::json;

/// Questions whose answers are awaited one by one.
const QUESTIONS: u32 = 20_000;
/// Hosts that ask.
const HOSTS: u32 = 16_384;
/// Questions under way at once when many are asked.
const WINDOW: u32 = 64;
/// For how long many are asked.
const LONG: Duration = Duration::from_secs(2);
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same while many are asked: what the speaker refuses by its bounds is not waited for.
const IMPATIENCE: Duration = Duration::from_millis(5);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// An ARP request, by broadcast.
    Arp,
    /// A neighbour solicitation, to the solicited-node group.
    Ndp,
}

impl Question {
    /// Its name on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::Ndp => "ndp",
        }
    }

    fn frame(self, mac: Mac, number: u32) -> Frame {
        match super::address(self, number) {
            IpAddr::V4(target) => Frame {
                source: mac,
                destination: Mac::BROADCAST,
                packet: Packet::Arp(Arp {
                    operation: Operation::Request,
                    sender_mac: mac,
                    sender_ip: Ipv4Addr::new(192, 168, 1, 10),
                    target_mac: Mac::ZERO,
                    target_ip: target,
                }),
            },
            IpAddr::V6(target) => {
                let destination = solicited_node(target);
                let source = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x10);
                let packet = Packet::Solicitation(Solicitation {
                    source,
                    destination,
                    target,
                    source_link_layer: Some(mac),
                });
                Frame { source: mac, destination: Mac::multicast(destination), packet }
            }
        }
    }
}

/// `ask arp|ndp ADDRESSES INDEX MAC`, of the interface: prints the microseconds of each answer, and how many came a second.
#[expect(clippy::print_stdout, reason = "what the program was run for")]
pub(crate) fn run(words: &[String]) {
    let question = if words[0] == "arp" { Question::Arp } else { Question::Ndp };
    let addresses: u32 = words[1].parse().expect("a number");
    let link = LinkId(words[2].parse().expect("an interface's index"));
    let octets: Vec<u8> =
        words[3].split(':').map(|octet| u8::from_str_radix(octet, 16).expect("an octet")).collect();
    let mac = Mac(octets.try_into().expect("six octets"));
    let asker = Asker::open(question, addresses, link, mac);
    // The first answers warm caches, and are not counted.
    asker.one_by_one(QUESTIONS / 20);
    let micros = asker.one_by_one(QUESTIONS);
    println!("{}", json!({ "micros": micros, "per_second": asker.many() }));
}

struct Asker {
    mac: Mac,
    socket: FrameSocket,
    frames: Vec<Vec<u8>>,
}

impl Asker {
    fn open(question: Question, addresses: u32, link: LinkId, mac: Mac) -> Self {
        let protocol = if question == Question::Arp { Protocol::Arp } else { Protocol::Ndp };
        let socket = FrameSocket::open(link, protocol).expect("a packet socket");
        // One host that asks so much is not answered every time: each question comes from another one, whose answer
        // goes to this one. The addresses come in an order that is the same every time, and not theirs.
        let frames = (0..HOSTS).map(|host| {
            let address = u64::from(host) * 7919 % u64::from(addresses);
            let [_, a, b, c] = host.to_be_bytes();
            let frame = Frame { source: Mac([2, 1, 0, a, b, c]), ..question.frame(mac, address as u32) };
            frame.emit().to_vec()
        });
        let frames = frames.collect();
        Self { mac, socket, frames }
    }

    fn ask(&self, number: u32) {
        let frame = &self.frames[number as usize % self.frames.len()];
        self.socket.send(frame).expect("room for a question");
    }

    /// The time from each question to its answer, in microseconds.
    fn one_by_one(&self, count: u32) -> Vec<f64> {
        let mut micros = Vec::new();
        for number in 0..count {
            let asked = clock();
            self.ask(number);
            self.answered(PATIENCE).expect("an answer");
            micros.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        micros
    }

    /// How many answers come a second while so many questions are under way.
    fn many(&self) -> f64 {
        let start = clock();
        let (mut asked, mut answers) = (0, 0_u32);
        while start.elapsed() < LONG {
            while asked - answers < WINDOW {
                self.ask(asked);
                asked += 1;
            }
            // What was lost is asked again, so that the window stays as it is.
            match self.answered(IMPATIENCE) {
                Some(()) => answers += 1,
                None => asked = answers,
            }
        }
        f64::from(answers) / start.elapsed().as_secs_f64()
    }

    /// Waits for a frame that is for this host alone: announcements are for all.
    fn answered(&self, patience: Duration) -> Option<()> {
        let mut buffer = [0; 256];
        while buffer[..self.mac.0.len()] != self.mac.0 {
            self.socket.receive(&mut buffer, patience).expect("the socket works")?;
        }
        Some(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}
