//! The world of a schedule: nodes, the segment, the API, and time.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ferrolb_placement::rendezvous;
use ferrolb_speaker::ownership::{Change, Timing};
use ferrolb_speaker::wire::{Frame, Packet};

use crate::agenda::{Agenda, Happening, micros};
use crate::api::{Api, Lease};
use crate::check::{Broken, Checks};
use crate::mutation::Mutation;
use crate::network::{self, CLIENT, Network, Port, client_asks, host_answers};
use crate::node::{Node, Speaker, name};
use crate::random::Random;
use crate::schedule::{PLACED, Schedule};

/// Between two looks at how long something lasts, in microseconds.
const LOOK: Duration = Duration::from_millis(50);
/// Frames that fit into a socket's queue.
const QUEUE: usize = 256;
/// Lines of a trace that are kept.
const TRACE: usize = 4000;

/// What a trace tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traced {
    No,
    Changes,
    /// Frames as well.
    Frames,
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) addresses: Vec<IpAddr>,
    /// The order of nodes for each address.
    pub(crate) orders: Vec<Vec<Port>>,
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) api: Api,
    pub(crate) client: Port,
    pub(crate) client_speaks: bool,
    /// The address that a stranger has.
    pub(crate) stranger: Option<usize>,
    pub(crate) gateway: bool,
    pub(crate) timing: Timing,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) checks: Checks,
    pub(crate) seed: u64,
    origin: Instant,
    agenda: Agenda,
    trace: Option<VecDeque<String>>,
    pub(crate) frames: bool,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    pub(crate) fn new(seed: u64, schedule: &Schedule, mutation: Option<Mutation>, traced: Traced) -> Self {
        let mut random = Random::new(seed ^ 0xf00d);
        let count = schedule.nodes + 1;
        let nodes = (0..count).map(|port| Node::new(port, 0.99 + random.within(0, 20) as f64 / 1000.0));
        let nodes: Vec<Node> = nodes.collect();
        let mut network = Network::new(count + 2);
        (network.lost, network.doubled) = (schedule.lost, schedule.doubled);
        network.suppresses = schedule.suppresses;
        let addresses = (0..schedule.addresses as u16).map(|number| match number % 3 {
            2 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100 + number).into(),
            _ => Ipv4Addr::new(10, 0, 9, number as u8).into(),
        });
        let addresses: Vec<IpAddr> = addresses.collect();
        let order = |address: &IpAddr| {
            let mut order: Vec<Port> = (0..count).collect();
            order.sort_by_key(|node| std::cmp::Reverse(rendezvous(&name(*node), *address)));
            order
        };
        Self {
            orders: addresses.iter().map(order).collect(),
            checks: Checks::new(addresses.len(), count, schedule.promise()),
            nodes,
            network,
            addresses,
            now: 0,
            random,
            api: Api { leases: vec![Lease::default(); count], ..Api::default() },
            client: count,
            client_speaks: schedule.client.is_some(),
            stranger: None,
            gateway: schedule.gateway,
            timing: Timing { settling: schedule.settling, ..Timing::default() },
            mutation,
            seed,
            origin: Instant::now(),
            agenda: Agenda::default(),
            trace: (traced != Traced::No).then(VecDeque::new),
            frames: traced == Traced::Frames,
        }
    }

    /// Runs the schedule.
    pub(crate) fn run(&mut self, schedule: &Schedule) -> Result<(), Broken> {
        for port in 0..schedule.nodes {
            let delay = Duration::from_millis(self.random.within(0, 1500));
            self.after(delay, Happening::Start(port));
        }
        for (at, fault) in &schedule.faults {
            self.after(*at, Happening::Fault(*fault));
        }
        self.after(PLACED, Happening::Services);
        if let Some(every) = schedule.client {
            self.after(Duration::ZERO, Happening::Client(every));
        }
        self.after(Duration::ZERO, Happening::Look);
        let end = micros(schedule.end);
        while let Some((at, happening)) = self.agenda.pop() {
            if at > end {
                break;
            }
            self.now = at;
            self.happen(happening);
            self.checks.verdict()?;
        }
        self.check(|checks, world| checks.end(world));
        self.checks.verdict()
    }

    pub(crate) fn trace(&self) -> String {
        self.trace.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        if trace.len() == TRACE {
            trace.pop_front();
        }
        trace.push_back(format!("{:>10.4} {}", self.now as f64 / 1e6, text()));
    }

    pub(crate) fn after(&mut self, delay: Duration, happening: Happening) {
        self.agenda.plan(self.now + micros(delay), happening);
    }

    /// Lets the checks look at the world.
    pub(crate) fn check(&mut self, look: impl FnOnce(&mut Checks, &World)) {
        let mut checks = std::mem::take(&mut self.checks);
        look(&mut checks, self);
        self.checks = checks;
    }

    /// Who is connected, or runs, changed.
    pub(crate) fn changed(&mut self) {
        self.check(Checks::changed);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame(port, frame) => self.arrive(port, &frame),
            Happening::Wake(port, wake) => {
                if let Some(speaker) = self.nodes[port].speaker.as_mut().filter(|it| it.wakes == wake) {
                    speaker.wake = None;
                    self.with(port, |speaker, _, now| speaker.machine.handle_timeout(now));
                }
            }
            Happening::Fault(fault) => self.strike(fault),
            Happening::Crash(port, left) => self.crash(port, left),
            Happening::Start(port) => self.start(port),
            Happening::PowerOn(port) => self.power_on(port),
            Happening::Renew(port, start) => self.renew(port, start),
            Happening::Thaw(port) => self.thaw(port),
            Happening::Resume(port, unnoticed) => self.resume(port, unnoticed),
            Happening::Mend(port) => self.mend(port),
            Happening::Unite => self.unite(),
            Happening::ApiBack => self.api_back(),
            Happening::Watch(port) => self.watch(port),
            Happening::Services => {
                let orders = self.addresses.iter().copied().zip(self.orders.iter().cloned());
                self.api.addresses = orders.collect();
                self.show_all();
                for place in 0..self.addresses.len() {
                    let (address, order) = (self.addresses[place], self.orders[place].clone());
                    self.note(|| format!("{address} is for nodes {order:?}, in this order"));
                }
            }
            Happening::Client(every) => {
                let address = self.random.next() as usize % self.addresses.len();
                let target = match self.addresses[address] {
                    IpAddr::V4(address) => address,
                    IpAddr::V6(_) => Ipv4Addr::new(10, 0, 1, 254),
                };
                self.transmit(self.client, &client_asks(self.client, target));
                self.after(every, Happening::Client(every));
            }
            Happening::StrangerGone => {
                self.note(|| "the stranger is gone".to_owned());
                if let Some(address) = self.stranger.take() {
                    self.network.forget(self.addresses[address]);
                }
                self.check(Checks::stranger_gone);
                self.changed();
            }
            Happening::Look => {
                self.check(Checks::look);
                self.after(LOOK, Happening::Look);
            }
        }
    }

    fn arrive(&mut self, port: Port, frame: &Frame) {
        let answer = if port == self.client {
            host_answers(port, CLIENT, frame)
        } else if port > self.client {
            match self.stranger.map(|address| self.addresses[address]) {
                Some(IpAddr::V4(address)) => host_answers(port, address, frame),
                Some(IpAddr::V6(_)) | None => None,
            }
        } else if self.nodes[port].runs() {
            self.nodes[port].kernel(frame)
        } else {
            return;
        };
        if let Some(answer) = answer {
            self.transmit(port, &answer);
        }
        let Some(node) = self.nodes.get_mut(port) else { return };
        let Some(speaker) = &mut node.speaker else { return };
        if let Some(queue) = &mut speaker.frozen {
            if queue.len() < QUEUE {
                queue.push_back(*frame);
            }
            return;
        }
        let at = self.now;
        self.with(port, |speaker, _, now| speaker.hear(frame, at, now));
    }

    pub(crate) fn transmit(&mut self, port: Port, frame: &Frame) {
        if self.frames {
            self.note(|| format!("{port} -> {}", network::describe(frame)));
        }
        if let Some(answer) = self.network.remembered(port, frame) {
            self.after(Duration::from_micros(100), Happening::Frame(port, answer));
        }
        let Self { network, random, agenda, now, nodes, .. } = self;
        let asks = matches!(frame.packet, Packet::Arp(_));
        network.deliver(port, frame, random, |to, delay| {
            // Hosts that are no nodes only hear questions.
            if to < nodes.len() || asks {
                agenda.plan(*now + micros(delay), Happening::Frame(to, *frame));
            }
        });
    }

    /// The time by a node's clock.
    pub(crate) fn local(&self, port: Port) -> Instant {
        let node = &self.nodes[port];
        self.origin + Duration::from_micros(self.now - node.stood).mul_f64(node.rate)
    }

    /// Lets a speaker do something, and carries out what comes of it.
    pub(crate) fn with<T>(
        &mut self,
        port: Port,
        act: impl FnOnce(&mut Speaker, &Api, Instant) -> T,
    ) -> Option<T> {
        let now = self.local(port);
        let node = self.nodes.get_mut(port).filter(|node| node.runs())?;
        let speaker = node.speaker.as_mut().filter(|it| it.frozen.is_none())?;
        let result = act(speaker, &self.api, now);
        speaker.expire(port, &self.api, now);
        let mut watched = speaker.wakened > self.now;
        while let Some(event) = self.nodes[port].speaker.as_mut().and_then(|it| it.machine.poll_event()) {
            watched = true;
            self.note(|| format!("node-{port} {} {:?}", event.address, event.change));
            if matches!(event.change, Change::Announcing { .. }) && self.api.down.is_none() {
                self.api.owners.insert(event.address, port);
            }
            self.check(|checks, world| checks.told(world, port, &event));
        }
        while let Some(sent) = self.nodes[port].speaker.as_mut().and_then(|it| it.machine.poll_transmit(now))
        {
            self.transmit(port, &sent.frame);
        }
        if watched {
            self.check(|checks, world| checks.refresh(world, port));
        }
        let speaker = self.nodes[port].speaker.as_mut()?;
        if speaker.stopping && speaker.machine.is_stopped(now) {
            self.stopped(port);
            return Some(result);
        }
        let due = [speaker.machine.poll_timeout(), speaker.leases_due].into_iter().flatten().min();
        if let Some(due) = due {
            let wait = due.saturating_duration_since(now).div_f64(self.nodes[port].rate);
            // Timers of a real process are late, and never early.
            let late = Duration::from_micros(20 + self.random.within(0, 1000));
            self.wake(port, self.now + micros(wait), late);
        }
        Some(result)
    }

    /// Has a speaker wake at a time, or just after it, unless it wakes sooner.
    fn wake(&mut self, port: Port, due: u64, late: Duration) {
        let now = self.now;
        let Some(speaker) = &mut self.nodes[port].speaker else { return };
        if speaker.wake.is_some_and(|wake| wake > now && wake <= due + micros(late)) {
            return;
        }
        speaker.wake = Some(due + micros(late));
        speaker.wakes += 1;
        let number = speaker.wakes;
        self.after(Duration::from_micros(due.saturating_sub(now)) + late, Happening::Wake(port, number));
    }
}
