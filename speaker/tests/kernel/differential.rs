//! The speaker's answers beside the kernel's own, for an address that the kernel has on the same interface.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;

use ferrolb_speaker::net::{FrameSocket, Protocol};
use ferrolb_speaker::wire::{Arp, Frame, Mac, Packet, Solicitation, solicited_node};

use crate::driver::{VIP, VIP6, eventually, names_us};
use crate::segment::{OUR_MAC, PATIENCE, Segment, ip};
use crate::speaker::Speaker;

const KERNELS: &str = "192.168.1.11";
const KERNELS6: &str = "fd00::11";
/// The asker has these addresses, so that the kernel need not ask for it.
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const ASKER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x10);
/// Where the checksum of an ICMPv6 message is in a frame.
const CHECKSUM: std::ops::Range<usize> = 56..58;

pub(crate) fn answers_are_those_of_the_kernel_byte_for_byte() {
    let segment = Segment::new();
    ip(&format!("address add {KERNELS}/24 dev lan0"));
    ip(&format!("address add {KERNELS6}/64 dev lan0 nodad"));
    let mut speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6].map(|text| text.parse().unwrap()));
    for address in [VIP, VIP6, KERNELS, KERNELS6] {
        eventually(|| segment.peer_asks_for(address), names_us);
    }
    let (link, asker) = segment.peer_link();
    let ask = || {
        segment.enter_peer();
        let arp = FrameSocket::open(link, Protocol::Arp).unwrap();
        for (name, question) in arp_questions(asker) {
            let kernels = answer(&arp, &question(KERNELS.parse().unwrap()));
            let ours = answer(&arp, &question(VIP.parse().unwrap()));
            let addresses = [KERNELS, VIP].map(|text| text.parse::<Ipv4Addr>().unwrap().octets().to_vec());
            compare(name, kernels, ours, &addresses);
        }
        let ndp = FrameSocket::open(link, Protocol::Ndp).unwrap();
        for (name, question) in ndp_questions(asker) {
            let mut kernels = answer(&ndp, &question(KERNELS6.parse().unwrap()));
            let mut ours = answer(&ndp, &question(VIP6.parse().unwrap()));
            let addresses = [KERNELS6, VIP6].map(|text| text.parse::<Ipv6Addr>().unwrap().octets().to_vec());
            kernels[CHECKSUM].fill(0);
            ours[CHECKSUM].fill(0);
            compare(name, kernels, ours, &addresses);
        }
    };
    thread::scope(|scope| scope.spawn(ask).join()).unwrap();
}

fn arp_questions(asker: Mac) -> [(&'static str, impl Fn(Ipv4Addr) -> Frame); 3] {
    let question = move |kind: usize| {
        move |address| match kind {
            0 => Arp::question(asker, ASKER, address),
            1 => Frame { destination: OUR_MAC, ..Arp::question(asker, ASKER, address) },
            _ => Arp::probe(asker, address),
        }
    };
    [("a broadcast request", question(0)), ("a unicast request", question(1)), ("a probe", question(2))]
}

fn ndp_questions(asker: Mac) -> [(&'static str, impl Fn(Ipv6Addr) -> Frame); 2] {
    let question = move |check: bool| {
        move |target| {
            if check {
                return Solicitation::duplicate_check(asker, target);
            }
            let destination = solicited_node(target);
            let packet = Packet::Solicitation(Solicitation {
                source: ASKER6,
                destination,
                target,
                source_link_layer: Some(asker),
            });
            Frame { source: asker, destination: Mac::multicast(destination), packet }
        }
    };
    [("a solicitation", question(false)), ("a duplicate check", question(true))]
}

/// The bytes that answer a question.
fn answer(socket: &FrameSocket, question: &Frame) -> Vec<u8> {
    socket.send(&question.emit()).unwrap();
    let mut buffer = [0; 2048];
    loop {
        let length = socket.receive(&mut buffer, PATIENCE).unwrap().expect("an answer");
        let about = match (Frame::parse(&buffer[..length]).map(|frame| frame.packet), question.packet) {
            (Ok(Packet::Arp(answer)), Packet::Arp(question)) => {
                answer.sender_ip == question.target_ip && !answer.is_gratuitous()
            }
            (Ok(Packet::Advertisement(answer)), Packet::Solicitation(question)) => {
                // What is sent to all without a question looks like the answer to a duplicate check.
                answer.target == question.target && answer.solicited != question.is_duplicate_check()
            }
            _ => false,
        };
        if about {
            return buffer[..length].to_vec();
        }
    }
}

/// The answers are the same, but for the address that each is about.
fn compare(name: &str, kernels: Vec<u8>, ours: Vec<u8>, [theirs, own]: &[Vec<u8>; 2]) {
    assert_eq!(kernels.len(), ours.len(), "{name}");
    let mut expected = kernels;
    for at in 0..expected.len() - own.len() {
        if expected[at..].starts_with(theirs) {
            expected[at..at + own.len()].copy_from_slice(own);
        }
    }
    assert_eq!(expected, ours, "{name}");
}
