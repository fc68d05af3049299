//! What has to hold, whatever happens.

use std::fmt;

use ferrolb_speaker::ownership::{Change, Event};
use ferrolb_speaker::wire::Mac;

use crate::agenda::micros;
use crate::contact::Contact;
use crate::fault::Fault;
use crate::network::{Port, mac};
use crate::node::ETH0;
use crate::schedule::{Promise, SETTLED};
use crate::world::World;

/// An invariant that did not hold.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// How long two may cover for one owner, or one beside it, in microseconds.
const COVERED_TWICE: u64 = 2_500_000;
/// An address that a stranger had is probed again within this time, in microseconds.
const REPROBED: u64 = 12_000_000;
/// Parts that a segment can fall into.
const PARTS: usize = 2;

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) promise: Promise,
    pub(crate) contact: Contact,
    /// What each node says of each address, and who owns it and covers for it: a bit for each address.
    rows: Vec<Row>,
    addresses: Vec<Seen>,
    healed: Option<u64>,
    /// Until when addresses that a stranger had may go unanswered.
    pub(crate) conflict_until: u64,
    pub(crate) struck: Option<u64>,
    broken: Option<Broken>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    answers: Vec<Option<Mac>>,
    owns: u32,
    covers: u32,
}

/// What was seen of an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    silent: [Option<u64>; PARTS],
    quarrel: [Option<u64>; PARTS],
    doubly: Option<u64>,
    /// A bit for each node that owned it before the first fault.
    stays: u32,
    /// A bit for each node that owns it.
    pub(crate) owners: u32,
    /// When each node owned it last, if it does not now.
    pub(crate) lost: Vec<u64>,
    /// Who began last to own it.
    pub(crate) last: Option<Port>,
}

impl Checks {
    pub(crate) fn new(addresses: usize, nodes: usize, promise: Promise) -> Self {
        Self {
            promise,
            contact: Contact::new(nodes),
            rows: vec![Row { answers: vec![None; addresses], ..Row::default() }; nodes],
            addresses: vec![Seen { lost: vec![0; nodes], ..Seen::default() }; addresses],
            ..Self::default()
        }
    }

    pub(crate) fn fail(&mut self, invariant: &'static str, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(Broken { invariant, what: what() });
        }
    }

    /// What was found to be broken first.
    pub(crate) fn verdict(&mut self) -> Result<(), Broken> {
        self.broken.take().map_or(Ok(()), Err)
    }

    pub(crate) fn seen(&self, address: usize) -> &Seen {
        &self.addresses[address]
    }

    /// A fault is about to strike.
    pub(crate) fn struck(&mut self, world: &World, fault: Fault) {
        if world.now == 0 || matches!(fault, Fault::Outage(_)) {
            return;
        }
        if self.struck.is_none() {
            for seen in &mut self.addresses {
                seen.stays = seen.owners;
            }
        }
        self.struck = Some(world.now);
    }

    pub(crate) fn healed(&mut self, world: &World) {
        self.healed = Some(world.now);
    }

    pub(crate) fn stranger_gone(&mut self, world: &World) {
        self.conflict_until = world.now + REPROBED;
    }

    /// Who is connected, or runs, changed.
    pub(crate) fn changed(&mut self, world: &World) {
        self.contact.update(world);
        for port in 0..self.rows.len() {
            self.rows[port] = self.row(world, port);
        }
        (0..self.addresses.len()).for_each(|address| self.evaluate(world, address));
    }

    /// A node did something.
    pub(crate) fn refresh(&mut self, world: &World, port: Port) {
        let row = self.row(world, port);
        if row != self.rows[port] {
            self.rows[port] = row;
            (0..self.addresses.len()).for_each(|address| self.evaluate(world, address));
        }
    }

    /// A node told of a change.
    pub(crate) fn told(&mut self, world: &World, port: Port, event: &Event) {
        let Some(address) = world.addresses.iter().position(|it| *it == event.address) else { return };
        self.judge(world, port, address, &event.change);
        let seen = &mut self.addresses[address];
        match event.change {
            Change::Announcing { .. } => {
                (seen.owners, seen.last) = (seen.owners | 1 << port, Some(port));
            }
            Change::Withdrawn(_) => {
                seen.owners &= !(1 << port);
                seen.lost[port] = world.now;
            }
            Change::Covering { .. } | Change::Uncovered | Change::Found(_) | Change::Over(_) => {}
        }
    }

    fn row(&self, world: &World, port: Port) -> Row {
        let mut row = Row { answers: vec![None; world.addresses.len()], owns: 0, covers: 0 };
        let Some(speaker) = &world.nodes[port].speaker else { return row };
        let runs = world.nodes[port].running().is_some();
        for (place, &address) in world.addresses.iter().enumerate() {
            row.answers[place] = speaker.machine.answer_for(ETH0, address).filter(|_| runs);
            row.owns |= u32::from(speaker.machine.owns(ETH0, address)) << place;
            row.covers |= u32::from(runs && speaker.machine.covers(ETH0, address)) << place;
        }
        row
    }

    fn evaluate(&mut self, world: &World, address: usize) {
        let now = world.now;
        let bit = |row: &Row| row.owns >> address & 1;
        let owners = self.rows.iter().enumerate().fold(0, |owners, (port, row)| owners | bit(row) << port);
        let seen = &mut self.addresses[address];
        // A speaker that ended withdraws nothing.
        for port in (0..self.rows.len()).filter(|port| (seen.owners & !owners) >> port & 1 == 1) {
            seen.lost[port] = now;
        }
        seen.owners = owners;
        if now < micros(SETTLED) {
            return;
        }
        for part in 0..PARTS {
            let said = self.answers(world, part, address);
            let good = said
                .iter()
                .any(|said| (0..world.nodes.len()).any(|it| mac(it) == *said && connected(world, part, it)));
            let silent = !good && (0..world.nodes.len()).any(|port| could_own(world, part, port));
            self.note_silence(world, part, address, silent);
            self.note_quarrel(world, part, address, said.iter().any(|it| *it != said[0]));
        }
        let coverers = self.coverers(world, address);
        let seen = &mut self.addresses[address];
        seen.doubly = coverers.then(|| seen.doubly.unwrap_or(now));
        let (owners, stays) = (seen.owners, seen.stays);
        if self.promise.keeps && self.struck.is_some() && owners & !stays != 0 {
            let (all, address) = (|bits| ports(bits), world.addresses[address]);
            self.fail("an address stays", || {
                format!("{address} moved from {:?} to {:?}", all(stays), all(owners))
            });
        }
    }

    /// The hardware addresses that a client hears when it asks.
    fn answers(&self, world: &World, part: usize, address: usize) -> Vec<Mac> {
        let there = (0..self.rows.len()).filter(|port| connected(world, part, *port));
        there.filter_map(|port| self.rows[port].answers[address]).collect()
    }

    /// Whether two cover who hear each other, or one who hears the owner answer.
    fn coverers(&self, world: &World, address: usize) -> bool {
        let covers = |port: &Port| self.rows[*port].covers >> address & 1 == 1;
        let answers = |port: &Port| self.rows[*port].answers[address].is_some();
        (0..self.rows.len()).filter(covers).any(|one| {
            let named = self.rows[one].answers[address];
            (0..self.rows.len())
                .filter(answers)
                .any(|other| world.network.hears(one, other) && self.rows[other].answers[address] == named)
        })
    }

    fn note_silence(&mut self, world: &World, part: usize, address: usize, silent: bool) {
        let before = self.addresses[address].silent[part];
        let excused = self.promise.conflicts && (world.stranger.is_some() || world.now < self.conflict_until);
        let limit = self.promise.silence;
        if let Some(since) = before.filter(|since| world.now > since + limit && !excused) {
            let address = world.addresses[address];
            let long = (world.now - since) as f64 / 1e6;
            self.fail("somebody answers", || {
                format!("nobody answers for {address} with a live node's address for {long:.3} s")
            });
        }
        self.addresses[address].silent[part] = (silent && !excused).then(|| before.unwrap_or(world.now));
    }

    fn note_quarrel(&mut self, world: &World, part: usize, address: usize, quarrel: bool) {
        let before = self.addresses[address].quarrel[part];
        let healed = self.healed.map_or(0, |healed| healed + self.promise.heals);
        let limit = self.promise.quarrel;
        if let Some(since) = before.filter(|since| world.now > (since + limit).max(healed)) {
            let said = self.answers(world, part, address);
            let address = world.addresses[address];
            let long = (world.now - since) as f64 / 1e6;
            self.fail("one answers", || format!("{address} is answered with {said:?} for {long:.3} s"));
        }
        self.addresses[address].quarrel[part] = quarrel.then(|| before.unwrap_or(world.now));
    }

    /// Looks at how long something lasts.
    pub(crate) fn look(&mut self, world: &World) {
        for address in 0..self.addresses.len() {
            for part in 0..PARTS {
                let seen = &self.addresses[address];
                let (silent, quarrel) = (seen.silent[part].is_some(), seen.quarrel[part].is_some());
                if silent || self.conflict_until > 0 {
                    self.evaluate(world, address);
                }
                if quarrel {
                    self.note_quarrel(world, part, address, true);
                }
            }
            let since = self.addresses[address].doubly;
            if self.promise.calm && since.is_some_and(|since| world.now > since + COVERED_TWICE) {
                let address = world.addresses[address];
                self.fail("one covers", || format!("{address} is covered beside others for too long"));
            }
        }
    }

    /// What has to hold at the end, when nothing has happened for long.
    pub(crate) fn end(&mut self, world: &World) {
        for (place, address) in world.addresses.iter().enumerate() {
            let owners = self.addresses[place].owners;
            if owners.count_ones() > 1 && !world.network.isolated[0] {
                self.fail("one owns", || format!("{address} is owned by {:?} at the end", ports(owners)));
            }
        }
    }
}

/// A node whose frames reach this part of the segment.
fn connected(world: &World, part: usize, port: Port) -> bool {
    world.nodes[port].runs() && !world.network.cut[port] && usize::from(world.network.part[port]) == part
}

/// A node that runs a speaker which may own an address.
pub(crate) fn could_own(world: &World, part: usize, port: Port) -> bool {
    let may =
        |speaker: &crate::node::Speaker| speaker.has_listed() && !speaker.excludes(port) && !speaker.leaves;
    connected(world, part, port) && world.nodes[port].running().is_some_and(may)
}

/// The names of nodes, each of which is a bit.
fn ports(bits: u32) -> Vec<String> {
    (0..u32::BITS as usize).filter(|port| bits >> port & 1 == 1).map(crate::node::name).collect()
}
