//! Life of an address, in simulated time.

mod announcing;
mod answers;
mod audit;
mod coverers;
mod frames;
mod links;
mod moves;
mod peers;
mod segments;
mod strangers;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// What it sent, but for probes.
    sent: VecDeque<Transmit>,
}

impl Node {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    fn new() -> Self {
        let machine = Machine::new(1, Timing::default());
        Self { machine, now: Instant::now(), told: VecDeque::new(), sent: VecDeque::new() }
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

    /// Takes up links, on each of which another host speaks at once.
    fn links(&mut self, links: impl IntoIterator<Item = (LinkId, Link)>) {
        let links = Links::from_iter(links);
        let ids: Vec<LinkId> = links.keys().copied().collect();
        self.machine.set_links(links, self.now);
        for id in ids {
            self.machine.handle_frame(id, &Arp::question(ASKER, ASKER4, ASKER4), self.now);
        }
        self.settle();
    }

    fn desire(&mut self, wanted: impl IntoIterator<Item = (IpAddr, DesiredAddress)>) {
        self.machine.set_desired(Arc::new(Desired::from_iter(wanted)), self.now);
        self.settle();
    }

    /// Lets the machine probe, until something changes or nobody answered.
    fn settle(&mut self) {
        let end = self.now + Duration::from_millis(60);
        self.listen();
        while self.told.is_empty()
            && let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end)
        {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            self.collect();
            self.listen();
        }
    }

    /// Takes what is sent now.
    fn collect(&mut self) {
        let sent = std::iter::from_fn(|| self.machine.poll_transmit(self.now));
        self.sent.extend(sent.filter(|transmit| transmit.kind != TransmitKind::Probe));
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            self.listen();
            self.collect();
        }
        self.now = end;
    }

    fn owns(&self, link: LinkId) -> bool {
        self.machine.owns(link, VIP.into())
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
        self.collect();
        self.sent.drain(..).map(|transmit| transmit.frame).collect()
    }

    fn events(&mut self) -> Vec<String> {
        self.told
            .drain(..)
            .map(|Event { address, interface, change, .. }| match change {
                Change::Announcing { cause, .. } => {
                    format!("announcing {address} on {interface}: {}", cause.reason())
                }
                Change::Withdrawn(cause) => format!("withdrawn {address} on {interface}: {}", cause.reason()),
                Change::Covering { owner } => format!("covering {address} on {interface} for {owner}"),
                Change::Uncovered => format!("not covering {address} on {interface}"),
                Change::Found(found) => {
                    format!("{}: {}", found.condition(), found.message(&address.to_string()))
                }
                Change::Over(found) => format!("no {} of {address} on {interface}", found.condition()),
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

/// Wanted of this node alone.
fn first() -> DesiredAddress {
    DesiredAddress {
        services: services(&["web"]),
        interfaces: InterfaceFilter::All,
        candidates: [candidate(NodeId::OWN)].into(),
        excluded: None,
        first_address: VIP.into(),
    }
}

fn candidate(node: NodeId) -> Candidate {
    Candidate { node, demoted: false, preference: 0 }
}

fn services(names: &[&str]) -> Arc<[ServiceName]> {
    let service = |name: &&str| ServiceName::new("default", name);
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
