//! The world of a schedule: nodes, the segment, the API, and time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ferrolb_speaker::ownership::{Event as Told, Stop};
use ferrolb_speaker::wire::Frame;

use crate::check::{Broken, Checks};
use crate::fault::{Fault, Schedule};
use crate::network::{Network, Port, client_asks};
use crate::node::{ETH0, Node, Speaker, id, observed};
use crate::random::Random;

/// Between two looks at the invariants, in microseconds.
const LOOK: u64 = 10_000;
/// When the Services appear.
const PLACED: Duration = Duration::from_secs(4);
const PERIOD: Duration = Duration::from_secs(6);
const KEPT: Duration = Duration::from_secs(60);
/// Frames that fit into a socket's queue.
const QUEUE: usize = 256;

/// What happens at a time.
#[derive(Clone, Debug)]
enum Happening {
    Frame(Port, Frame),
    Wake(Port, u64),
    Fault(Fault),
    Start(Port),
    Renew(Port),
    Thaw(Port),
    Mend(Port),
    Unite,
    ApiBack,
    Watch(Port),
    Services,
    Client,
    Look,
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) now: u64,
    origin: Instant,
    random: Random,
    seed: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    next: u64,
    api: Api,
    client: Port,
    checks: Checks,
    trace: VecDeque<String>,
    announced: Vec<IpAddr>,
}

/// What the API server has.
#[derive(Default)]
struct Api {
    up: bool,
    /// Version and duration of each node's Lease, and how much it owns.
    leases: BTreeMap<Port, (u64, Duration, u32)>,
    excluded: Vec<bool>,
    /// Who reported last to own an address.
    owners: BTreeMap<IpAddr, Port>,
    version: u64,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    pub(crate) fn new(seed: u64, schedule: &Schedule) -> Self {
        let mut random = Random::new(seed ^ 0xf00d);
        let count = schedule.nodes + 1;
        let nodes = (0..count).map(|port| Node::new(port, 0.99 + random.within(0, 20) as f64 / 1000.0));
        let mut network = Network::new(count + 1);
        (network.lost, network.doubled) = (schedule.lost, schedule.doubled);
        network.suppresses = schedule.suppresses;
        let addresses = (0..schedule.addresses as u16).map(|number| match number % 3 {
            2 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100 + number).into(),
            _ => Ipv4Addr::new(10, 0, 9, number as u8).into(),
        });
        let addresses: Vec<IpAddr> = addresses.collect();
        Self {
            nodes: nodes.collect(),
            network,
            checks: Checks::new(&addresses, schedule),
            addresses,
            now: 0,
            origin: Instant::now(),
            random,
            seed,
            agenda: BTreeMap::new(),
            next: 0,
            api: Api { up: true, excluded: vec![false; count], ..Api::default() },
            client: count,
            trace: VecDeque::new(),
            announced: Vec::new(),
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
        self.after(Duration::ZERO, Happening::Client);
        self.after(Duration::ZERO, Happening::Look);
        let end = micros(schedule.end);
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            self.happen(happening)?;
        }
        let mut checks = std::mem::take(&mut self.checks);
        let result = checks.end(self);
        self.checks = checks;
        result
    }

    pub(crate) fn trace(&self) -> String {
        self.trace.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn note(&mut self, text: String) {
        if self.trace.len() > 4000 {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>10.4} {text}", self.now as f64 / 1e6));
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.next += 1;
        self.agenda.insert((self.now + micros(delay), self.next), happening);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Frame(port, frame) => self.arrive(port, &frame),
            Happening::Wake(port, wake) => {
                if self.running(port).is_some_and(|speaker| speaker.wake == wake) {
                    self.with(port, |speaker, now| {
                        speaker.liveness.handle_timeout(now);
                        speaker.machine.handle_timeout(now);
                    });
                }
            }
            Happening::Fault(fault) => self.strike(fault),
            Happening::Start(port) => self.start(port),
            Happening::Renew(port) => self.renew(port),
            Happening::Thaw(port) => self.thaw(port),
            Happening::Mend(port) => {
                self.note(format!("node-{port}'s link works again"));
                self.network.cut[port] = false;
                self.checks.healed(self.now);
            }
            Happening::Unite => {
                self.note("the segment is one again".to_owned());
                self.network.part.fill(0);
                self.checks.healed(self.now);
            }
            Happening::ApiBack => {
                self.note("the API server is back".to_owned());
                self.api.up = true;
                (0..self.nodes.len()).for_each(|port| self.show(port));
            }
            Happening::Watch(port) => self.watch(port),
            Happening::Services => {
                self.announced = self.addresses.clone();
                (0..self.nodes.len()).for_each(|port| self.show(port));
            }
            Happening::Client => {
                let address = self.random.next() as usize % self.addresses.len();
                let target = match self.addresses[address] {
                    IpAddr::V4(address) => address,
                    IpAddr::V6(_) => Ipv4Addr::new(10, 0, 1, 254),
                };
                let frame = client_asks(self.client, target);
                self.transmit(self.client, &frame);
                self.after(Duration::from_millis(50), Happening::Client);
            }
            Happening::Look => {
                let mut checks = std::mem::take(&mut self.checks);
                let result = checks.look(self);
                self.checks = checks;
                result?;
                self.after(Duration::from_micros(LOOK), Happening::Look);
            }
        }
        Ok(())
    }

    fn strike(&mut self, fault: Fault) {
        self.note(format!("FAULT {fault:?}"));
        self.checks.struck(fault, self.now);
        match fault {
            Fault::PowerOff(port) => {
                self.nodes[port].up = false;
                self.nodes[port].speaker = None;
            }
            Fault::Cut(port, long) => {
                self.network.cut[port] = true;
                self.after(long, Happening::Mend(port));
            }
            Fault::Kill(port, long) => {
                self.nodes[port].speaker = None;
                self.after(long, Happening::Start(port));
            }
            Fault::Restart(port, long) => {
                let stopped = self.with(port, |speaker, now| speaker.machine.stop(Stop::Restart, now));
                if stopped.is_some() {
                    self.after(Duration::from_millis(1001) + long, Happening::Start(port));
                    if self.api.up {
                        self.write_lease(port, KEPT);
                    }
                }
            }
            Fault::Freeze(port, long) => {
                if let Some(speaker) = &mut self.nodes[port].speaker {
                    speaker.frozen.get_or_insert_with(VecDeque::new);
                    self.after(long, Happening::Thaw(port));
                }
            }
            Fault::Exclude(port) => {
                self.api.excluded[port] = true;
                if self.api.up {
                    (0..self.nodes.len()).for_each(|port| self.show(port));
                }
            }
            Fault::Split(from, long) => {
                for port in from..self.nodes.len() {
                    self.network.part[port] = 1;
                }
                self.after(long, Happening::Unite);
            }
            Fault::Outage(long) => {
                self.api.up = false;
                self.after(long, Happening::ApiBack);
            }
            Fault::Isolate => self.network.isolated[..self.nodes.len()].fill(true),
            Fault::Join => {
                let port = self.nodes.len() - 1;
                self.after(Duration::ZERO, Happening::Start(port));
            }
        }
    }

    fn start(&mut self, port: Port) {
        let node = &self.nodes[port];
        if !node.up || node.speaker.is_some() {
            return;
        }
        if !self.api.up {
            self.after(Duration::from_secs(1), Happening::Start(port));
            return;
        }
        self.note(format!("node-{port} starts a speaker"));
        let hints: HashMap<IpAddr, _> =
            self.api.owners.iter().map(|(&address, &owner)| (address, id(port, owner))).collect();
        let now = self.local(port);
        let seed = self.seed.wrapping_mul(31).wrapping_add(self.now).wrapping_add(port as u64);
        self.nodes[port].speaker = Some(Speaker::start(port, seed, hints, now));
        self.write_lease(port, PERIOD * 3);
        self.show(port);
        self.after(PERIOD, Happening::Renew(port));
    }

    fn renew(&mut self, port: Port) {
        let Some(speaker) = &self.nodes[port].speaker else { return };
        let delay = if speaker.frozen.is_none() && self.api.up {
            self.write_lease(port, PERIOD * 3);
            PERIOD * 9 / 10 + Duration::from_millis(self.random.within(0, 1200))
        } else {
            Duration::from_secs(1)
        };
        self.after(delay, Happening::Renew(port));
    }

    fn write_lease(&mut self, port: Port, duration: Duration) {
        let owned = self.nodes[port].speaker.as_ref().map_or(0, |it| it.machine.owned_count());
        self.api.version += 1;
        let lease = (self.api.version, duration, u32::try_from(owned).unwrap_or(u32::MAX));
        self.api.leases.insert(port, lease);
        (0..self.nodes.len()).for_each(|port| self.show(port));
    }

    /// Has a node's watch show how things are, after a while.
    fn show(&mut self, port: Port) {
        let lag = if self.random.chance(50) { 500 } else { 30 };
        let lag = Duration::from_millis(self.random.within(1, lag));
        self.after(lag, Happening::Watch(port));
    }

    fn watch(&mut self, port: Port) {
        if !self.api.up {
            return;
        }
        let leases = self.api.leases.clone();
        let (excluded, addresses) = (self.api.excluded.clone(), self.announced.clone());
        self.with(port, |speaker, now| {
            for (&node, &(version, duration, owned)) in &leases {
                speaker.liveness.observe(observed(node, version, duration, owned), now);
            }
            speaker.excluded = excluded;
            speaker.plan(port, &addresses, now);
        });
    }

    fn thaw(&mut self, port: Port) {
        let Some(speaker) = &mut self.nodes[port].speaker else { return };
        let Some(frames) = speaker.frozen.take() else { return };
        self.note(format!("node-{port} runs again"));
        self.checks.healed(self.now);
        self.with(port, |speaker, now| {
            for frame in frames {
                speaker.machine.handle_frame(ETH0, &frame, now);
            }
            speaker.machine.handle_timeout(now);
        });
        self.show(port);
    }

    fn arrive(&mut self, port: Port, frame: &Frame) {
        if port == self.client || !self.nodes[port].up {
            return;
        }
        if let Some(answer) = self.nodes[port].kernel(frame) {
            self.transmit(port, &answer);
        }
        if let Some(speaker) = &mut self.nodes[port].speaker
            && let Some(queue) = &mut speaker.frozen
        {
            if queue.len() < QUEUE {
                queue.push_back(*frame);
            }
            return;
        }
        self.with(port, |speaker, now| {
            speaker.machine.handle_frame(ETH0, frame, now);
        });
    }

    fn transmit(&mut self, port: Port, frame: &Frame) {
        if let Some(answer) = self.network.remembered(frame) {
            self.after(Duration::from_micros(100), Happening::Frame(port, answer));
        }
        let mut random = std::mem::replace(&mut self.random, Random::new(0));
        let arrivals = self.network.deliver(port, frame, &mut random);
        self.random = random;
        for (to, delay) in arrivals {
            self.after(delay, Happening::Frame(to, *frame));
        }
    }

    fn running(&self, port: Port) -> Option<&Speaker> {
        self.nodes[port].speaker.as_ref().filter(|speaker| speaker.frozen.is_none())
    }

    /// The time by a node's clock.
    fn local(&self, port: Port) -> Instant {
        self.origin + Duration::from_micros(self.now).mul_f64(self.nodes[port].rate)
    }

    /// Lets a speaker do something, and carries out what comes of it.
    fn with<T>(&mut self, port: Port, act: impl FnOnce(&mut Speaker, Instant) -> T) -> Option<T> {
        let now = self.local(port);
        let announced = self.announced.clone();
        let speaker = self.nodes.get_mut(port)?.speaker.as_mut().filter(|it| it.frozen.is_none())?;
        let result = act(speaker, now);
        if speaker.liveness.poll_timeout().is_some_and(|due| due <= now)
            && speaker.liveness.handle_timeout(now)
        {
            speaker.plan(port, &announced, now);
        }
        let told: Vec<Told> = std::iter::from_fn(|| speaker.machine.poll_event()).collect();
        let sent: Vec<_> = std::iter::from_fn(|| speaker.machine.poll_transmit(now)).collect();
        let stopped = speaker.machine.is_stopped(now);
        let due =
            [speaker.machine.poll_timeout(), speaker.liveness.poll_timeout()].into_iter().flatten().min();
        speaker.wake += 1;
        let wake = speaker.wake;
        for event in told {
            self.note(format!("node-{port} {} {:?}", event.address, event.change));
            self.checks.told(port, &event, self.now);
            if matches!(event.change, ferrolb_speaker::ownership::Change::Announcing { .. }) && self.api.up {
                self.api.owners.insert(event.address, port);
            }
        }
        for transmit in sent {
            self.transmit(port, &transmit.frame);
        }
        if stopped {
            self.note(format!("node-{port}'s speaker has stopped"));
            self.nodes[port].speaker = None;
            return Some(result);
        }
        if let Some(due) = due {
            let wait = due.saturating_duration_since(now).div_f64(self.nodes[port].rate);
            // Timers of a real process are late, and never early.
            let late = Duration::from_micros(20 + self.random.within(0, 1000));
            self.after(wait + late, Happening::Wake(port, wake));
        }
        Some(result)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
