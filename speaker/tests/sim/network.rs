//! The segment: who hears whom, what is lost, and hosts that are no speakers.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ferrolb_speaker::wire::{Arp, Frame, Mac, Operation, Packet};

use crate::random::Random;

/// A host on the segment: a node's card, or the client.
pub(crate) type Port = usize;

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
    ) -> Vec<(Port, Duration)> {
        let mut arrivals = Vec::new();
        for to in 0..self.part.len() {
            let meant = frame.destination.is_group() || frame.destination == mac(to);
            if !meant || !self.hears(from, to) || random.chance(self.lost) {
                continue;
            }
            let copies = 1 + u32::from(random.chance(self.doubled));
            for _ in 0..copies {
                arrivals.push((to, Duration::from_micros(random.within(50, 1500))));
            }
        }
        arrivals
    }

    /// What a switch that suppresses ARP answers in the name of others, if it knows the address.
    pub(crate) fn remembered(&mut self, frame: &Frame) -> Option<Frame> {
        let Packet::Arp(arp) = frame.packet else { return None };
        if arp.is_gratuitous() || arp.operation == Operation::Reply {
            let address = IpAddr::from(arp.sender_ip);
            self.memory.retain(|(known, _)| *known != address);
            self.memory.push((address, arp.sender_mac));
            return None;
        }
        if !self.suppresses || !frame.destination.is_group() {
            return None;
        }
        let target = IpAddr::from(arp.target_ip);
        let (_, owner) = self.memory.iter().find(|(known, _)| *known == target)?;
        Some(Frame { source: SWITCH, ..arp.reply_from(*owner) })
    }
}

/// The switch's own hardware address.
const SWITCH: Mac = Mac([2, 0, 0, 0, 1, 0]);

/// A question of the client.
pub(crate) fn client_asks(port: Port, address: Ipv4Addr) -> Frame {
    Arp::question(mac(port), Ipv4Addr::new(10, 0, 1, 250), address)
}
