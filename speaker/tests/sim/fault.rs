//! What happens in a schedule.

use std::fmt;
use std::time::Duration;

use crate::network::Port;
use crate::random::Random;

/// One thing that goes wrong, or is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The node loses power.
    PowerOff(Port),
    /// The node's frames get lost both ways, though its carrier is there; later they don't.
    Cut(Port, Duration),
    /// The speaker is killed; the next process starts after a while.
    Kill(Port, Duration),
    /// The speaker is told to stop and started again, as in an upgrade.
    Restart(Port, Duration),
    /// The speaker's process stands still for a while.
    Freeze(Port, Duration),
    /// The node is labelled: it takes part in load balancing no more.
    Exclude(Port),
    /// The segment falls into two parts for a while; nodes from this one on are in the other.
    Split(Port, Duration),
    /// The API server is away for a while.
    Outage(Duration),
    /// Nodes can't hear each other from now on, but the client hears them.
    Isolate,
    /// Another node joins.
    Join,
}

/// A cluster and what happens to it.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) nodes: usize,
    pub(crate) addresses: usize,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) suppresses: bool,
    /// When, from the start.
    pub(crate) faults: Vec<(Duration, Fault)>,
    pub(crate) end: Duration,
}

/// When the first fault happens: everything is placed by then, and nobody settles any more.
const QUIET: Duration = Duration::from_secs(40);

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = random.within(2, 7) as usize;
        let many = random.chance(300);
        let lossy = random.chance(200);
        let mut faults = Vec::new();
        let count = if many { random.within(2, 5) } else { 1 };
        let mut at = QUIET;
        for _ in 0..count {
            let ms = |ms: u64| Duration::from_millis(ms);
            let node = random.within(0, nodes as u64) as Port;
            let long = ms(random.within(100, 12_000));
            let fault = match random.within(0, 12) {
                0 | 1 => Fault::PowerOff(node),
                2 => Fault::Cut(node, long),
                3 | 4 => Fault::Kill(node, long),
                5 | 6 => Fault::Restart(node, ms(random.within(100, 5_000))),
                7 => Fault::Freeze(node, ms(random.within(200, 8_000))),
                8 => Fault::Exclude(node),
                9 => Fault::Split(random.within(1, nodes as u64) as Port, long),
                10 => Fault::Outage(ms(random.within(1_000, 30_000))),
                _ => Fault::Join,
            };
            faults.push((at, fault));
            at += ms(random.within(0, 4_000));
        }
        let outage = random.chance(200);
        if outage {
            faults.insert(0, (QUIET - Duration::from_secs(1), Fault::Outage(Duration::from_secs(60))));
        }
        let isolated = !many && random.chance(50);
        if isolated {
            faults.insert(0, (Duration::ZERO, Fault::Isolate));
        }
        Self {
            nodes,
            addresses: random.within(1, 5) as usize,
            lost: if lossy { random.within(1, 30) } else { 0 },
            doubled: if lossy { random.within(0, 20) } else { 0 },
            suppresses: random.chance(100),
            faults,
            end: at + Duration::from_secs(20),
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
        self.faults.iter().try_for_each(|(at, fault)| write!(f, "; {:.1} s: {fault:?}", at.as_secs_f64()))
    }
}
