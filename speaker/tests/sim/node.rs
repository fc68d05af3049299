//! A node: its kernel, and a process with the real machine.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::lease::{LeaseLink, Observed};
use ferrolb_placement::{Exclusion, InterfaceFilter, Liveness, rendezvous};
use ferrolb_speaker::link::{Link, LinkId};
use ferrolb_speaker::ownership::{
    Candidate, Desired, DesiredAddress, Machine, NodeId, Peer, PeerLink, Peers, Timing,
};
use ferrolb_speaker::wire::{Frame, Packet};

use crate::network::{Port, mac};

pub(crate) const ETH0: LinkId = LinkId(2);

/// A node of the cluster.
pub(crate) struct Node {
    pub(crate) port: Port,
    /// It has power.
    pub(crate) up: bool,
    pub(crate) speaker: Option<Speaker>,
    /// How fast its clock runs.
    pub(crate) rate: f64,
}

/// A running speaker.
pub(crate) struct Speaker {
    pub(crate) machine: Machine,
    pub(crate) liveness: Liveness,
    /// What the watch shows of nodes: those that are excluded from load balancing.
    pub(crate) excluded: Vec<bool>,
    /// Frames that came while it was frozen; `None` while it runs.
    pub(crate) frozen: Option<VecDeque<Frame>>,
    pub(crate) wake: u64,
}

pub(crate) fn name(port: Port) -> String {
    format!("node-{port}")
}

pub(crate) fn ipv4(port: Port) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, port as u8 + 1)
}

pub(crate) fn link_local(port: Port) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, port as u16 + 1)
}

/// The number by which a node knows another one.
pub(crate) fn id(own: Port, other: Port) -> NodeId {
    match other {
        _ if other == own => NodeId::OWN,
        _ => NodeId(other as u32 + 1),
    }
}

impl Node {
    pub(crate) fn new(port: Port, rate: f64) -> Self {
        Self { port, up: true, speaker: None, rate }
    }

    /// What the kernel answers.
    pub(crate) fn kernel(&self, frame: &Frame) -> Option<Frame> {
        match &frame.packet {
            Packet::Arp(arp) if arp.target_ip == ipv4(self.port) && !arp.is_gratuitous() => (arp.operation
                == ferrolb_speaker::wire::Operation::Request)
                .then(|| arp.reply_from(mac(self.port))),
            Packet::Solicitation(it) if it.target == link_local(self.port) => {
                Some(it.answer_from(mac(self.port), false, frame.source))
            }
            Packet::Arp(_) | Packet::Solicitation(_) | Packet::Advertisement(_) => None,
        }
    }
}

impl Speaker {
    pub(crate) fn start(port: Port, seed: u64, hints: HashMap<IpAddr, NodeId>, now: Instant) -> Self {
        let mut machine = Machine::new(seed, Timing::default());
        machine.set_hints(hints);
        let link = Link {
            name: "eth0".into(),
            mac: mac(port),
            up: true,
            router: false,
            addresses: vec![ipv4(port).into(), link_local(port).into()],
            gateways: vec![],
            port_macs: vec![],
        };
        machine.set_links(BTreeMap::from([(ETH0, link)]), now);
        Self { machine, liveness: Liveness::new(&name(port)), excluded: Vec::new(), frozen: None, wake: 0 }
    }

    /// Tells the machine what the watches show.
    pub(crate) fn plan(&mut self, port: Port, addresses: &[IpAddr], now: Instant) {
        let live: BTreeMap<String, (bool, Option<u32>)> =
            self.liveness.leases().map(|(lease, live)| (lease.node.clone(), (live, lease.owned))).collect();
        let excluded = |node: Port| self.excluded.get(node).copied().unwrap_or(false);
        let nodes = || (0..self.excluded.len()).filter(|node| live.contains_key(&name(*node)));
        let peers: Peers = nodes()
            .map(|node| {
                let (is_live, owned) = live[&name(node)];
                let link = PeerLink {
                    macs: vec![mac(node)],
                    ipv4: vec![ipv4(node)],
                    link_local: Some(link_local(node)),
                };
                let peer = Peer {
                    name: name(node).into(),
                    live: is_live,
                    usable: !excluded(node),
                    owned,
                    links: vec![link],
                };
                (id(port, node), peer)
            })
            .collect();
        let desired: Desired = addresses
            .iter()
            .map(|&address| {
                // A node always knows of itself that it takes part.
                let may = |node: &Port| !excluded(*node) && (*node == port || live[&name(*node)].0);
                let mut order: Vec<Port> = nodes().filter(may).collect();
                order.sort_by_key(|node| std::cmp::Reverse(rendezvous(&name(*node), address)));
                let candidates: Arc<[Candidate]> = order
                    .into_iter()
                    .map(|node| Candidate { node: id(port, node), demoted: false, preference: 0 })
                    .collect();
                let wanted = DesiredAddress {
                    services: [].into(),
                    interfaces: InterfaceFilter::All,
                    candidates,
                    excluded: excluded(port).then_some(Exclusion::ExcludeLabel),
                    first_address: address,
                };
                (address, wanted)
            })
            .collect();
        self.machine.set_peers(Arc::new(peers), now);
        self.machine.set_desired(Arc::new(desired), now);
    }
}

/// A Lease as the watch shows it.
pub(crate) fn observed(node: Port, renewed: u64, duration: Duration, owned: u32) -> Observed {
    let link = LeaseLink {
        name: "eth0".into(),
        macs: vec![mac(node).to_string()],
        ipv4: vec![ipv4(node)],
        link_local: Some(link_local(node)),
    };
    let renewed = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(renewed).unwrap_or(0)).ok();
    Observed { node: name(node), duration, renewed, links: vec![link], owned: Some(owned) }
}
