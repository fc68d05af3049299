//! A node: its kernel, and a process with the real machine.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use ferrolb_placement::{Exclusion, InterfaceFilter, Liveness};
use ferrolb_speaker::link::{Link, LinkId};
use ferrolb_speaker::ownership::{
    Candidate, Desired, DesiredAddress, Machine, NodeId, Peer, PeerLink, Peers, Timing,
};
use ferrolb_speaker::wire::{Frame, Mac, Packet};
use k8s_openapi::jiff::Timestamp;

use crate::api::{Api, observed};
use crate::network::{CLIENT, Port, host_answers, mac};

pub(crate) const ETH0: LinkId = LinkId(2);

/// A node of the cluster.
pub(crate) struct Node {
    pub(crate) port: Port,
    /// It has power.
    pub(crate) up: bool,
    /// All of it stands still; the time since when.
    pub(crate) suspended: Option<u64>,
    /// For how long its clock stood still.
    pub(crate) stood: u64,
    pub(crate) speaker: Option<Speaker>,
    /// How many speakers were started here.
    pub(crate) started: u64,
    /// Its watch will show something.
    pub(crate) shown: bool,
    /// How fast its clock runs.
    pub(crate) rate: f64,
}

/// A running speaker.
pub(crate) struct Speaker {
    pub(crate) machine: Machine,
    pub(crate) liveness: Liveness,
    /// When the liveness has something to do.
    pub(crate) leases_due: Option<Instant>,
    /// Which version of each node's Lease its watch showed last.
    versions: Vec<u64>,
    /// How many renewals it took for written that were not.
    in_vain: i64,
    /// What the machine was told last.
    view: View,
    /// Frames that came while it was frozen; `None` while it runs.
    pub(crate) frozen: Option<VecDeque<Frame>>,
    /// When it heard each host last.
    heard: HashMap<Mac, u64>,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// It will not come back.
    pub(crate) leaves: bool,
    /// When it wakes next, and the number of that.
    pub(crate) wake: Option<u64>,
    pub(crate) wakes: u64,
    /// Until then what it answers is looked at all the time: it may be silent after a pause.
    pub(crate) wakened: u64,
}

/// What the watches of a node show: for each node with a Lease whether that is live, and how much it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    leases: Vec<Option<(bool, Option<u32>)>>,
    excluded: u32,
    addresses: usize,
}

pub(crate) fn name(port: Port) -> String {
    format!("node-{port}")
}

/// The node of a name.
pub(crate) fn port_of(name: &str) -> Option<Port> {
    name.strip_prefix("node-")?.parse().ok()
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
        Self { port, up: true, suspended: None, stood: 0, speaker: None, started: 0, shown: false, rate }
    }

    /// Its kernel runs.
    pub(crate) fn runs(&self) -> bool {
        self.up && self.suspended.is_none()
    }

    /// Its speaker, if that runs.
    pub(crate) fn running(&self) -> Option<&Speaker> {
        self.speaker.as_ref().filter(|it| it.frozen.is_none() && self.runs())
    }

    /// What the kernel answers.
    pub(crate) fn kernel(&self, frame: &Frame) -> Option<Frame> {
        match &frame.packet {
            Packet::Solicitation(it) if it.target == link_local(self.port) => {
                Some(it.answer_from(mac(self.port), false, frame.source))
            }
            Packet::Arp(_) | Packet::Solicitation(_) | Packet::Advertisement(_) => {
                host_answers(self.port, ipv4(self.port), frame)
            }
        }
    }
}

impl Speaker {
    pub(crate) fn start(
        port: Port,
        seed: u64,
        timing: Timing,
        gateway: bool,
        hints: HashMap<IpAddr, NodeId>,
        now: Instant,
    ) -> Self {
        let mut machine = Machine::new(seed, timing);
        machine.set_hints(hints);
        let link = Link {
            name: "eth0".into(),
            mac: mac(port),
            up: true,
            router: false,
            addresses: vec![ipv4(port).into(), link_local(port).into()],
            gateways: if gateway { vec![CLIENT] } else { vec![] },
            port_macs: vec![],
        };
        machine.set_links(BTreeMap::from([(ETH0, link)]), now);
        Self {
            machine,
            liveness: Liveness::new(&name(port)),
            leases_due: None,
            versions: Vec::new(),
            in_vain: 0,
            view: View::default(),
            frozen: None,
            heard: HashMap::new(),
            stopping: false,
            leaves: false,
            wake: None,
            wakes: 0,
            wakened: 0,
        }
    }

    /// Takes up a frame at a time of the world.
    pub(crate) fn hear(&mut self, frame: &Frame, at: u64, now: Instant) {
        self.heard.insert(frame.source, at);
        self.machine.handle_frame(ETH0, frame, now);
    }

    /// Whether it heard another host than this since a time of the world.
    pub(crate) fn heard_another(&self, than: Port, since: u64) -> bool {
        self.heard.iter().any(|(host, at)| *host != mac(than) && *at >= since)
    }

    /// Whether it knows that a node is excluded from load balancing.
    pub(crate) fn excludes(&self, node: Port) -> bool {
        self.view.excluded & 1 << node != 0
    }

    /// Whether it was shown the addresses: until then it takes no part.
    pub(crate) fn has_listed(&self) -> bool {
        self.view.addresses > 0
    }

    /// Takes up what the API server has now.
    pub(crate) fn see(&mut self, port: Port, api: &Api, now: Instant) {
        self.versions.resize(api.leases.len(), 0);
        for (node, lease) in api.leases.iter().enumerate() {
            if lease.version > self.versions[node] {
                self.versions[node] = lease.version;
                self.liveness.observe(observed(node, lease), now);
            }
        }
        self.leases_due = self.liveness.poll_timeout();
        let (excluded, addresses) = (api.excluded, api.addresses.len());
        self.plan(port, api, View { excluded, addresses, ..View::default() }, now);
    }

    /// Takes a renewal for written that was not.
    pub(crate) fn renew_in_vain(&mut self, port: Port, api: &Api, now: Instant) {
        let lease = &api.leases[port];
        let mut renewed = observed(port, lease);
        self.in_vain += 1;
        renewed.renewed = Timestamp::from_second(-self.in_vain).ok();
        self.liveness.observe(renewed, now);
        self.leases_due = self.liveness.poll_timeout();
    }

    /// Lets Leases expire.
    pub(crate) fn expire(&mut self, port: Port, api: &Api, now: Instant) {
        if self.leases_due.is_none_or(|due| due > now) {
            return;
        }
        self.liveness.handle_timeout(now);
        self.leases_due = self.liveness.poll_timeout();
        self.plan(port, api, self.view.clone(), now);
    }

    /// Tells the machine what changed.
    fn plan(&mut self, port: Port, api: &Api, mut view: View, now: Instant) {
        view.leases = vec![None; api.leases.len()];
        for (lease, live) in self.liveness.leases() {
            if let Some(node) = port_of(&lease.node) {
                view.leases[node] = Some((live, lease.owned));
            }
        }
        if view == self.view {
            return;
        }
        let known = || view.leases.iter().enumerate().filter_map(|(node, lease)| Some((node, (*lease)?)));
        let excluded = |node: Port| view.excluded & 1 << node != 0;
        let peer = |(node, (live, owned)): (Port, (bool, Option<u32>))| {
            let link = PeerLink {
                macs: vec![mac(node)],
                ipv4: vec![ipv4(node)],
                link_local: Some(link_local(node)),
            };
            let name = name(node).into();
            (id(port, node), Peer { name, live, usable: !excluded(node), owned, links: vec![link] })
        };
        let peers: Peers = known().map(peer).collect();
        // A node always knows of itself that it takes part.
        let may = |node: Port, live: bool| !excluded(node) && (node == port || live);
        let wanted = |(address, order): &(IpAddr, Vec<Port>)| {
            let order = order.iter().filter(|node| view.leases[**node].is_some_and(|it| may(**node, it.0)));
            let candidates: Arc<[Candidate]> = order
                .map(|&node| Candidate { node: id(port, node), demoted: false, preference: 0 })
                .collect();
            let wanted = DesiredAddress {
                services: [].into(),
                interfaces: InterfaceFilter::All,
                candidates,
                excluded: excluded(port).then_some(Exclusion::ExcludeLabel),
                first_address: *address,
            };
            (*address, wanted)
        };
        let desired: Desired = api.addresses.iter().map(wanted).collect();
        self.machine.set_peers(Arc::new(peers), now);
        self.machine.set_desired(Arc::new(desired), now);
        self.view = view;
    }
}
