//! A cluster and what happens to it, from a seed.

use std::fmt;
use std::time::Duration;

use crate::fault::Fault;
use crate::network::Port;
use crate::random::Random;

/// A cluster and what happens to it.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) nodes: usize,
    pub(crate) addresses: usize,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) suppresses: bool,
    /// How often the client asks; `None`: never.
    pub(crate) client: Option<Duration>,
    /// The nodes know the client as their gateway.
    pub(crate) gateway: bool,
    /// For so long after the first placement addresses move to better candidates.
    pub(crate) settling: Duration,
    /// When, from the start.
    pub(crate) faults: Vec<(Duration, Fault)>,
    pub(crate) end: Duration,
}

/// What has to hold in a schedule, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    /// How long an address may go unanswered.
    pub(crate) silence: u64,
    /// How long two may answer for it.
    pub(crate) quarrel: u64,
    /// How long two may answer for it after a heal, or after a pause that its node can't notice.
    pub(crate) heals: u64,
    /// Nothing that happens is a cause to move.
    pub(crate) keeps: bool,
    /// One thing happens, and no frame is lost: all have to agree on what it is.
    pub(crate) calm: bool,
    /// A node may have nobody else to hear, or only the switch, and has to trust its own link.
    pub(crate) trusts: bool,
    /// The strangers' addresses may go unanswered.
    pub(crate) conflicts: bool,
}

/// When the Services appear.
pub(crate) const PLACED: Duration = Duration::from_secs(3);
/// From then on everything is placed.
pub(crate) const SETTLED: Duration = Duration::from_millis(7500);
const MS: u64 = 1000;

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = random.within(2, 7) as usize;
        let addresses = random.within(1, 5) as usize;
        let many = random.chance(300);
        // Most settle sooner than they would, so that more of them can be run.
        let settling = Duration::from_secs(if random.chance(30) { 30 } else { 4 });
        let mut faults = Vec::new();
        let mut at = PLACED + Duration::from_secs(2) + settling;
        let first = at;
        let count = if many { random.within(2, 5) } else { 1 };
        let mut end = at;
        for _ in 0..count {
            let fault = Self::fault(&mut random, nodes, addresses);
            end = end.max(at + fault.lasts(nodes));
            faults.push((at, fault));
            at += Duration::from_millis(random.within(0, 4_000));
        }
        let leases_end = random.chance(200);
        end += Duration::from_millis(if leases_end { random.within(25_000, 32_000) } else { 6_000 });
        if random.chance(150) {
            faults.insert(0, (first - Duration::from_millis(500), Fault::Outage(end)));
        }
        if !many && random.chance(50) {
            faults.insert(0, (Duration::ZERO, Fault::Isolate));
        } else if random.chance(20) {
            let long = Duration::from_millis(random.within(2_000, 12_000));
            faults.insert(0, (Duration::ZERO, Fault::Stranger(0, long)));
        }
        let lossy = random.chance(200);
        let quiet = random.chance(250);
        Self {
            nodes,
            addresses,
            lost: if lossy { random.within(1, 30) } else { 0 },
            doubled: if lossy { random.within(0, 20) } else { 0 },
            suppresses: random.chance(100),
            client: match (quiet, random.within(0, 2)) {
                (false, _) => Some(Duration::from_millis(250)),
                (true, 0) => Some(Duration::from_secs(5)),
                (true, _) => None,
            },
            gateway: !quiet,
            settling,
            faults,
            end,
        }
    }

    fn fault(random: &mut Random, nodes: usize, addresses: usize) -> Fault {
        let ms = Duration::from_millis;
        let node = random.within(0, nodes as u64) as Port;
        let long = ms(random.within(100, 8_000));
        match random.within(0, 30) {
            0..4 => Fault::PowerOff(node),
            4 | 5 => Fault::Reboot(node, ms(random.within(1_000, 10_000))),
            6 | 7 => {
                Fault::Suspend { node, long: ms(random.within(300, 4_000)), unnoticed: random.chance(300) }
            }
            8 | 9 => Fault::Cut(node, long),
            10 | 11 => Fault::Kill(node, long),
            12 => Fault::Kill(node, ms(random.within(10_000, 40_000))),
            13 => Fault::CrashLoop(node, random.within(2, 7) as u32),
            14 | 15 => Fault::Restart(node, ms(random.within(100, 5_000))),
            16 => Fault::Roll(ms(random.within(2_000, 5_000))),
            17 | 18 => Fault::Freeze(node, long),
            19 => Fault::Freeze(node, ms(random.within(19_000, 30_000))),
            20..23 => Fault::Exclude { node, lost: random.within(0, 3) as u8 },
            23 => Fault::Leave(node),
            24 | 25 => Fault::Split(random.within(1, nodes as u64) as Port, long),
            26 => Fault::Outage(ms(random.within(1_000, 30_000))),
            27 => Fault::Stranger(random.within(0, addresses as u64) as usize, long),
            _ => Fault::Join,
        }
    }

    /// What this schedule has to keep.
    pub(crate) fn promise(&self) -> Promise {
        let faults = || self.faults.iter().map(|(_, fault)| *fault);
        let has = |kind: fn(&Fault) -> bool| faults().any(|fault| kind(&fault));
        let count = faults().filter(|fault| !matches!(fault, Fault::Outage(_))).count();
        // One side of a split may have no watcher of an owner on the other; who was never heard is judged by its Lease.
        let slow = has(|it| matches!(it, Fault::Split(..) | Fault::Isolate));
        let conflicts = count > 1 || self.faults.iter().any(|(at, it)| at.is_zero() && it.moves_nothing());
        let calm = self.lost == 0 && count <= 1;
        // A node that heard others a moment ago and hears nobody now waits for the next frame of somebody.
        let alone = self.nodes == 2 && !self.gateway;
        let next_frame = self.client.filter(|_| alone).map(|every| every + Duration::from_millis(250));
        let next_frame = next_frame.unwrap_or_default();
        // Those that can't start again count among the candidates still, and keep who covers next waiting.
        let stranded = has(|it| matches!(it, Fault::Outage(_))) && has(|it| matches!(it, Fault::Roll(_)));
        // Where nodes can't hear each other their Leases decide, and none ends while the API server is down.
        let undecided = has(|it| matches!(it, Fault::Isolate)) && has(|it| matches!(it, Fault::Outage(_)));
        // Where nobody is heard at all, whoever starts again claims nothing for half a minute once more.
        let unheard = has(|it| matches!(it, Fault::Isolate)) && self.client.is_none();
        let lease_ends = if unheard { 75_000 * MS } else { 45_000 * MS };
        // Who did not run when a node joined, and can't ask the API server, holds its speaker for a stranger.
        let strange = has(|it| matches!(it, Fault::Join))
            && has(|it| matches!(it, Fault::Outage(_)))
            && has(|it| matches!(it, Fault::Freeze(..) | Fault::Suspend { .. }));
        let quarrel = match (strange, has(|it| matches!(it, Fault::Isolate)) || !calm) {
            (true, _) => u64::MAX / 2,
            (false, true) => 4_000 * MS,
            (false, false) => 500 * MS,
        };
        let silence = match (slow || !calm, !stranded && faults().all(Fault::is_announced)) {
            _ if undecided => u64::MAX / 2,
            (true, _) => lease_ends,
            (false, true) => 0,
            (false, false) => 1_000 * MS + u64::try_from(next_frame.as_micros()).unwrap_or(u64::MAX),
        };
        Promise {
            silence,
            quarrel,
            heals: 2_000 * MS,
            keeps: calm && !stranded && faults().all(Fault::moves_nothing),
            calm: calm && !slow,
            trusts: self.suppresses || (alone && self.client.is_none()),
            conflicts,
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes, {} addresses", self.nodes, self.addresses)?;
        if self.lost > 0 {
            write!(f, ", {} ‰ lost", self.lost)?;
        }
        if self.suppresses {
            f.write_str(", a switch that answers from memory")?;
        }
        match self.client {
            Some(every) if !self.gateway => write!(f, ", no gateway, a client every {every:?}")?,
            None => f.write_str(", no gateway and no client")?,
            Some(_) => {}
        }
        self.faults.iter().try_for_each(|(at, fault)| write!(f, "; {:.1} s: {fault:?}", at.as_secs_f64()))
    }
}
