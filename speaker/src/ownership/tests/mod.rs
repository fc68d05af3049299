//! Life of an address, in simulated time.

mod announcing;
mod answers;
mod links;
mod segments;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use ferrolb_placement::InterfaceFilter;

use super::*;
use crate::link::{Link, LinkId, Links};
use crate::wire::{Arp, Frame, Mac, Operation, Packet, Solicitation, solicited_node};

const ETH0: LinkId = LinkId(2);
const ETH1: LinkId = LinkId(3);
const MAC0: Mac = Mac([2, 0, 0, 0, 0, 0x10]);
const MAC1: Mac = Mac([2, 0, 0, 0, 0, 0x11]);
const ASKER: Mac = Mac([2, 0, 0, 0, 0, 0xaa]);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 240);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x240);
const ASKER4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const ASKER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xaa);

/// A machine and its clock.
struct Node {
    machine: Machine,
    now: Instant,
    /// What the machine told.
    told: VecDeque<Event>,
}

impl Node {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    fn new() -> Self {
        Self { machine: Machine::new(1), now: Instant::now(), told: VecDeque::new() }
    }

    fn with_link() -> Self {
        let mut node = Self::new();
        node.links([(ETH0, link("eth0", MAC0))]);
        node
    }

    /// A node that announced the address just now.
    fn owner_of(address: IpAddr) -> Self {
        let mut node = Self::with_link();
        node.desire([(address, first())]);
        node.events();
        node.frames();
        node
    }

    fn links(&mut self, links: impl IntoIterator<Item = (LinkId, Link)>) {
        self.machine.set_links(Links::from_iter(links), self.now);
        self.listen();
    }

    fn desire(&mut self, wanted: impl IntoIterator<Item = (IpAddr, DesiredAddress)>) {
        self.machine.set_desired(Arc::new(Desired::from_iter(wanted)), self.now);
        self.listen();
    }

    fn listen(&mut self) {
        self.told.extend(std::iter::from_fn(|| self.machine.poll_event()));
    }

    /// Goes to the next deadline.
    fn advance(&mut self) {
        self.now = self.machine.poll_timeout().expect("nothing is planned");
        self.machine.handle_timeout(self.now);
    }

    /// Whether a frame is answered.
    fn hears(&mut self, frame: &Frame) -> bool {
        self.machine.handle_frame(ETH0, frame, self.now) == Reception::Answered
    }

    fn frames(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.machine.poll_transmit(self.now)).map(|transmit| transmit.frame).collect()
    }

    fn events(&mut self) -> Vec<String> {
        self.told
            .drain(..)
            .map(|event| match event {
                Event::Announcing { address, interface, cause, .. } => {
                    format!("announcing {address} on {interface}: {}", cause.reason())
                }
                Event::Withdrawn { address, interface, cause, .. } => {
                    format!("withdrawn {address} on {interface}: {}", cause.reason())
                }
            })
            .collect()
    }
}

fn link(name: &str, mac: Mac) -> Link {
    Link {
        name: name.to_owned(),
        mac,
        port_macs: vec![],
        up: true,
        router: false,
        addresses: vec![],
        gateways: vec![],
    }
}

fn first() -> DesiredAddress {
    DesiredAddress {
        services: services(&["web"]),
        interfaces: InterfaceFilter::All,
        standing: Standing::First,
    }
}

fn services(names: &[&str]) -> Arc<[ServiceName]> {
    let service = |name: &&str| ServiceName { namespace: "default".into(), name: (*name).into() };
    names.iter().map(service).collect()
}

fn request(destination: Mac) -> Frame {
    Frame {
        source: ASKER,
        destination,
        packet: Packet::Arp(Arp {
            operation: Operation::Request,
            sender_mac: ASKER,
            sender_ip: ASKER4,
            target_mac: Mac::ZERO,
            target_ip: VIP,
        }),
    }
}

fn arp(frame: &mut Frame) -> &mut Arp {
    let Packet::Arp(arp) = &mut frame.packet else { panic!("not ARP") };
    arp
}

fn solicitation(source: Ipv6Addr, source_link_layer: Option<Mac>) -> Frame {
    let destination = solicited_node(VIP6);
    Frame {
        source: ASKER,
        destination: Mac::multicast(destination),
        packet: Packet::Solicitation(Solicitation { source, destination, target: VIP6, source_link_layer }),
    }
}
