//! The segment: who hears whom, what is lost, and a switch that answers from memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ferrolb_speaker::wire::{Arp, Frame, Mac, Operation, Packet};

use crate::random::Random;

/// A host on the segment: a node's card, the client, or a stranger.
pub(crate) type Port = usize;

/// The client's own address. It is the nodes' gateway where there is one.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 250);
/// The switch's own hardware address.
const SWITCH: Mac = Mac([2, 0, 0, 0, 1, 0]);

/// The hardware address of a port.
pub(crate) fn mac(port: Port) -> Mac {
    Mac([2, 0, 0, 0, 0, port as u8 + 1])
}

/// What connects the ports.
#[derive(Debug)]
pub(crate) struct Network {
    /// Which ports hear each other: those of the same part.
    pub(crate) part: Vec<u8>,
    /// Ports whose carrier is there but whose frames get lost.
    pub(crate) cut: Vec<bool>,
    /// Ports that hear only those that are not isolated.
    pub(crate) isolated: Vec<bool>,
    /// How many of a thousand frames are lost, and how many come twice.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// The switch answers broadcasts from memory.
    pub(crate) suppresses: bool,
    memory: Vec<(IpAddr, Mac)>,
    /// For each address, so many of the next offers get lost.
    pub(crate) lost_offers: BTreeMap<IpAddr, u8>,
}

impl Network {
    pub(crate) fn new(ports: usize) -> Self {
        Self {
            part: vec![0; ports],
            cut: vec![false; ports],
            isolated: vec![false; ports],
            lost: 0,
            doubled: 0,
            suppresses: false,
            memory: Vec::new(),
            lost_offers: BTreeMap::new(),
        }
    }

    pub(crate) fn hears(&self, from: Port, to: Port) -> bool {
        from != to
            && !self.cut[from]
            && !self.cut[to]
            && self.part[from] == self.part[to]
            && !(self.isolated[from] && self.isolated[to])
    }

    /// Where a frame arrives, and after how long.
    pub(crate) fn deliver(
        &mut self,
        from: Port,
        frame: &Frame,
        random: &mut Random,
        mut arrive: impl FnMut(Port, Duration),
    ) {
        if self.loses_offer(frame) {
            return;
        }
        for to in 0..self.part.len() {
            let meant = frame.destination.is_group() || frame.destination == mac(to);
            if !meant || !self.hears(from, to) || random.chance(self.lost) {
                continue;
            }
            let copies = 1 + u32::from(random.chance(self.doubled));
            for _ in 0..copies {
                arrive(to, Duration::from_micros(random.within(50, 1500)));
            }
        }
    }

    fn loses_offer(&mut self, frame: &Frame) -> bool {
        if self.lost_offers.is_empty() || frame.destination.is_group() {
            return false;
        }
        let address = match frame.packet {
            Packet::Arp(arp) if arp.is_probe() => arp.target_ip.into(),
            Packet::Solicitation(it) if it.is_duplicate_check() => it.target.into(),
            Packet::Arp(_) | Packet::Solicitation(_) | Packet::Advertisement(_) => return false,
        };
        let left = self.lost_offers.get_mut(&address).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// The switch does not remember who had an address any more.
    pub(crate) fn forget(&mut self, address: IpAddr) {
        self.memory.retain(|(known, _)| *known != address);
    }

    /// What a switch that suppresses ARP answers in the name of others, if it knows the address.
    pub(crate) fn remembered(&mut self, from: Port, frame: &Frame) -> Option<Frame> {
        let Packet::Arp(arp) = frame.packet else { return None };
        if !self.suppresses || self.cut[from] {
            return None;
        }
        if arp.is_gratuitous() || arp.operation == Operation::Reply {
            let address = IpAddr::from(arp.sender_ip);
            self.memory.retain(|(known, _)| *known != address);
            self.memory.push((address, arp.sender_mac));
            return None;
        }
        if !frame.destination.is_group() {
            return None;
        }
        let target = IpAddr::from(arp.target_ip);
        let (_, owner) = self.memory.iter().find(|(known, _)| *known == target)?;
        Some(Frame { source: SWITCH, ..arp.reply_from(*owner) })
    }
}

/// A question of the client.
pub(crate) fn client_asks(port: Port, address: Ipv4Addr) -> Frame {
    Arp::question(mac(port), CLIENT, address)
}

/// What a host with one IPv4 address answers.
pub(crate) fn host_answers(port: Port, address: Ipv4Addr, frame: &Frame) -> Option<Frame> {
    match frame.packet {
        Packet::Arp(arp)
            if arp.operation == Operation::Request && arp.target_ip == address && !arp.is_gratuitous() =>
        {
            Some(Frame { source: mac(port), ..arp.reply_from(mac(port)) })
        }
        Packet::Arp(_) | Packet::Solicitation(_) | Packet::Advertisement(_) => None,
    }
}

/// A frame in a few words.
pub(crate) fn describe(frame: &Frame) -> String {
    let what = match &frame.packet {
        Packet::Arp(arp) if arp.is_gratuitous() => format!("{} is at {}", arp.sender_ip, arp.sender_mac),
        Packet::Arp(arp) if arp.operation == Operation::Reply => {
            format!("{} is at {} (answer)", arp.sender_ip, arp.sender_mac)
        }
        Packet::Arp(arp) if arp.is_probe() => format!("probe {}", arp.target_ip),
        Packet::Arp(arp) => format!("{} asks for {}", arp.sender_ip, arp.target_ip),
        Packet::Solicitation(it) if it.is_duplicate_check() => format!("probe {}", it.target),
        Packet::Solicitation(it) => format!("{} asks for {}", it.source, it.target),
        Packet::Advertisement(it) => {
            let receiver = it.target_link_layer.map(|mac| mac.to_string()).unwrap_or_default();
            format!("{} is at {receiver}{}", it.target, if it.solicited { " (answer)" } else { "" })
        }
    };
    format!(
        "{}: {what}",
        if frame.destination.is_group() { "all".to_owned() } else { frame.destination.to_string() }
    )
}
