//! What has to hold, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ferrolb_speaker::ownership::{Change, Event};
use ferrolb_speaker::wire::Mac;

use crate::fault::{Fault, Schedule};
use crate::network::{Port, mac};
use crate::node::ETH0;
use crate::world::World;

/// An invariant that did not hold.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From when on everything has to be placed, in microseconds.
const PLACED: u64 = 9_000_000;
const MS: u64 = 1000;

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Checks {
    addresses: Vec<IpAddr>,
    /// How long an address may go unanswered, and how long two may answer, in microseconds.
    silence: u64,
    quarrel: u64,
    silent_since: BTreeMap<(u8, IpAddr), u64>,
    quarrel_since: BTreeMap<(u8, IpAddr), u64>,
    healed: Option<u64>,
    /// Who had each address before the first fault.
    stays: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// Nothing that happens is a cause to move.
    keeps: bool,
    struck: bool,
    pub(crate) longest_silence: u64,
}

impl Checks {
    pub(crate) fn new(addresses: &[IpAddr], schedule: &Schedule) -> Self {
        let faults = || schedule.faults.iter().map(|(_, fault)| fault);
        let moves_nothing = |fault: &Fault| {
            matches!(
                fault,
                Fault::Kill(..) | Fault::Restart(..) | Fault::Freeze(..) | Fault::Outage(_) | Fault::Join
            )
        };
        // One side of a split may have no watcher of an owner on the other; who was never heard is judged by its Lease.
        let slow = faults().any(|fault| matches!(fault, Fault::Split(..) | Fault::Isolate));
        let only_one =
            schedule.lost == 0 && faults().filter(|fault| !matches!(fault, Fault::Outage(_))).count() <= 1;
        let (silence, quarrel) = match (slow, only_one) {
            (true, _) => (45_000 * MS, 4_000 * MS),
            (false, true) => (1_000 * MS, 500 * MS),
            (false, false) => (45_000 * MS, 4_000 * MS),
        };
        Self {
            addresses: addresses.to_vec(),
            silence,
            quarrel,
            keeps: schedule.lost == 0
                && faults().filter(|fault| !matches!(fault, Fault::Outage(_))).count() <= 1
                && faults().all(moves_nothing),
            ..Self::default()
        }
    }

    pub(crate) fn struck(&mut self, fault: Fault, _now: u64) {
        self.struck |= !matches!(fault, Fault::Isolate);
    }

    pub(crate) fn healed(&mut self, now: u64) {
        self.healed = Some(now);
    }

    pub(crate) fn told(&mut self, port: Port, event: &Event, _now: u64) {
        let _ = (port, event.link);
        if let Change::Withdrawn(cause) = &event.change {
            debug_assert!(!cause.reason().is_empty());
        }
    }

    pub(crate) fn look(&mut self, world: &World) -> Result<(), Broken> {
        if world.now < PLACED {
            return Ok(());
        }
        if !self.struck {
            self.stays = self.addresses.iter().map(|address| (*address, owners(world, *address))).collect();
        }
        for address in self.addresses.clone() {
            for part in [0, 1] {
                self.look_at(world, part, address)?;
            }
            let (now, before) = (owners(world, address), &self.stays[&address]);
            if self.keeps && self.struck && !now.is_subset(before) {
                return Err(Broken(format!("{address} moved from {before:?} to {now:?} for no cause")));
            }
        }
        Ok(())
    }

    fn look_at(&mut self, world: &World, part: u8, address: IpAddr) -> Result<(), Broken> {
        let answers = answers(world, part, address);
        let good = answers.iter().any(|answer| {
            (0..world.nodes.len()).any(|port| mac(port) == *answer && connected(world, part, port))
        });
        let somebody = (0..world.nodes.len()).any(|port| could_own(world, part, port));
        let now = world.now;
        if good || !somebody {
            self.silent_since.remove(&(part, address));
        } else {
            let since = *self.silent_since.entry((part, address)).or_insert(now);
            self.longest_silence = self.longest_silence.max(now - since);
            if now - since > self.silence {
                return Err(Broken(format!(
                    "nobody answers for {address} since {:.3} s with a live node's address (answers: {answers:?})",
                    since as f64 / 1e6
                )));
            }
        }
        let after_heal = self.healed.is_some_and(|healed| now < healed + 2_500 * MS);
        if answers.len() < 2 {
            self.quarrel_since.remove(&(part, address));
        } else if !after_heal {
            let since = *self.quarrel_since.entry((part, address)).or_insert(now);
            if now - since > self.quarrel {
                return Err(Broken(format!(
                    "{address} is answered with {answers:?} since {:.3} s",
                    since as f64 / 1e6
                )));
            }
        }
        Ok(())
    }

    /// What has to hold at the end, when nothing has happened for long.
    pub(crate) fn end(&mut self, world: &World) -> Result<(), Broken> {
        for &address in &self.addresses {
            let owners = owners(world, address);
            if owners.len() > 1 && !world.network.isolated[0] {
                return Err(Broken(format!("{address} is owned by {owners:?} at the end")));
            }
        }
        Ok(())
    }
}

/// A node whose frames reach this part of the segment.
fn connected(world: &World, part: u8, port: Port) -> bool {
    world.nodes[port].up && !world.network.cut[port] && world.network.part[port] == part
}

/// A node that runs a speaker which may own an address.
fn could_own(world: &World, part: u8, port: Port) -> bool {
    let speaker = &world.nodes[port].speaker;
    connected(world, part, port)
        && speaker.as_ref().is_some_and(|speaker| {
            speaker.frozen.is_none() && !speaker.excluded.get(port).is_some_and(|it| *it)
        })
}

/// The hardware addresses that a client hears when it asks.
fn answers(world: &World, part: u8, address: IpAddr) -> BTreeSet<Mac> {
    let speakers = world.nodes.iter().filter(|node| connected(world, part, node.port));
    let speakers = speakers.filter_map(|node| node.speaker.as_ref()).filter(|it| it.frozen.is_none());
    speakers.filter_map(|speaker| speaker.machine.answer_for(ETH0, address)).collect()
}

/// The nodes that own an address, whether they are heard or not.
fn owners(world: &World, address: IpAddr) -> BTreeSet<Mac> {
    let owns = |speaker: &crate::node::Speaker| speaker.machine.owns(ETH0, address);
    let owning = world.nodes.iter().filter(|node| node.speaker.as_ref().is_some_and(owns));
    owning.map(|node| mac(node.port)).collect()
}
