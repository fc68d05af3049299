//! The wire audit: the first watcher of an owner asks everybody for what that owns, an address at a time, and looks at
//! who answers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::frames;
use super::machine::Machine;
use super::neighbour::{Verdict, Watch};
use super::output::Change;
use super::slot::Audited;
use super::statements::{Named, Statement};
use crate::finding::Finding;
use crate::jitter;
use crate::link::LinkId;

/// Who answers a question does so within this time. What looks wrong then is asked for again at once.
const ANSWERS: Duration = Duration::from_secs(1);
/// So many audits in a row have to find an address wrong before that is told: frames get lost, and addresses move.
const STRIKES: u32 = 3;

/// The audit of an owner.
#[derive(Clone, Debug)]
pub(super) struct Audit {
    pub(super) due: Instant,
    /// The address that was asked for last.
    asked: Option<IpAddr>,
    /// The address of the last one that was taken in turn.
    cursor: Option<IpAddr>,
    strikes: u32,
    /// Addresses that are to be looked at before the next in turn, every other time.
    open: VecDeque<IpAddr>,
    /// The last one was taken in turn.
    in_turn: bool,
}

impl Audit {
    pub(super) fn new(due: Instant) -> Self {
        Self { due, asked: None, cursor: None, strikes: 0, open: VecDeque::new(), in_turn: false }
    }

    /// What was asked has to be asked anew, since answers may have been missed.
    pub(super) fn restart(&mut self) {
        self.strikes = 0;
        if let Some(asked) = self.asked.take() {
            self.keep_open(asked);
        }
    }

    fn keep_open(&mut self, address: IpAddr) {
        if !self.open.contains(&address) {
            self.open.push_back(address);
        }
    }
}

impl Machine {
    /// Begins or ends to audit an owner that this node watches.
    pub(super) fn set_audit(&mut self, link: LinkId, node: NodeId, audits: bool, now: Instant) {
        let (seed, every) = (self.seed, self.timing.audit);
        let Some(watch) = self.watch_mut(link, node) else { return };
        if audits == watch.audit.is_some() {
            return;
        }
        // Who has just begun to own something announces it several times anyway.
        let first = now + every + jitter::spread(seed, node.0.into(), every);
        watch.audit = audits.then(|| Audit::new(first));
        if !audits {
            self.end_audit(link, node);
        }
        self.schedule_neighbour(link, node);
    }

    /// Somebody else audits the owner from now on, if anybody does.
    pub(super) fn end_audit(&mut self, link: LinkId, node: NodeId) {
        for address in self.owners.get(&(link, node)).into_iter().flatten().copied().collect::<Vec<_>>() {
            self.found_right(link, address);
        }
    }

    /// Looks at the answers to the last question of an audit, and asks the next.
    pub(super) fn audit(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let every = self.timing.audit;
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        let fine = neighbour.verdict == Verdict::Fine;
        let Some(Watch { misses, audit: Some(audit), .. }) = &mut neighbour.watch else { return };
        if audit.due > now {
            return;
        }
        audit.due = now + every.saturating_sub(ANSWERS);
        if !fine || *misses > 0 {
            audit.restart();
            return;
        }
        let next = match audit.asked.take() {
            Some(address) => Some(address).filter(|address| self.conclude(link, node, *address)),
            None => self.next_audited(link, node),
        };
        // Without an address of its own its question would be an alarm.
        let asks = |address: &IpAddr| self.link(link).is_some_and(|here| frames::can_ask(*address, here));
        let Some(address) = next.filter(asks) else { return };
        let Some(audit) = self.audit_mut(link, node) else { return };
        (audit.asked, audit.due) = (Some(address), now + ANSWERS);
        if let Some(slot) = self.slots.get_mut(&(link, address)) {
            slot.audited = Some(Box::new(Audited { owner: node, at: now, answers: false, other: None }));
            self.ask_everybody(link, address, now);
        }
    }

    fn next_audited(&mut self, link: LinkId, node: NodeId) -> Option<IpAddr> {
        let audit = self.audit_mut(link, node)?;
        audit.strikes = 0;
        if std::mem::replace(&mut audit.in_turn, false)
            && let Some(address) = audit.open.pop_front()
        {
            return Some(address);
        }
        let cursor = audit.cursor;
        let address = self.next_of(link, node, cursor)?;
        let audit = self.audit_mut(link, node)?;
        (audit.cursor, audit.in_turn) = (Some(address), true);
        Some(address)
    }

    /// Takes up who answered for an address; says whether it has to be asked for once more.
    fn conclude(&mut self, link: LinkId, node: NodeId, address: IpAddr) -> bool {
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return false };
        let Some(audited) = slot.audited.take() else { return false };
        let owner = slot.owner.map(|owner| owner.node);
        let right = owner != Some(node) || (audited.answers && audited.other.is_none());
        let found = Finding::WrongAnswer { owner: self.name_of(node), mac: audited.other };
        let known = self.slots.get(&(link, address)).and_then(|slot| slot.wrong.as_deref()) == Some(&found);
        let Some(audit) = self.audit_mut(link, node) else { return false };
        audit.strikes = if right { 0 } else { audit.strikes + 1 };
        if right {
            self.found_right(link, address);
            return false;
        }
        if !known && audit.strikes < STRIKES {
            return true;
        }
        audit.strikes = 0;
        audit.keep_open(address);
        if !known {
            self.found_right(link, address);
            if let Some(slot) = self.slots.get_mut(&(link, address)) {
                slot.wrong = Some(found.clone().into());
            }
            self.emit(link, address, Change::Found(found));
        }
        false
    }

    /// Nothing is known to be wrong with the answers for an address any more.
    pub(super) fn found_right(&mut self, link: LinkId, address: IpAddr) {
        let wrong = self.slots.get_mut(&(link, address)).and_then(|slot| slot.wrong.take());
        if let Some(found) = wrong {
            self.emit(link, address, Change::Over(*found));
        }
    }

    /// Takes up an answer that may be one to an audit. An owner that hears a peer ask everybody announces the address:
    /// its answer to this node alone may be one to a question that was not asked of everybody.
    pub(super) fn hear_audited(&mut self, link: LinkId, said: &Statement, named: Named) {
        let slot = self.slots.get_mut(&(link, said.address));
        let Some(audited) = slot.and_then(|slot| slot.audited.as_mut()) else { return };
        match named {
            Named::Peer(node) if node == audited.owner => audited.answers |= said.claim,
            // Of several always the same one is told.
            Named::Peer(_) | Named::Stranger => {
                let other = audited.other.map_or(said.receiver, |other| other.min(said.receiver));
                audited.other = Some(other);
            }
            Named::Us => {}
        }
    }

    /// A peer probes for an address. An owner in doubt does so in place of announcing it, and so has heard the question.
    pub(super) fn hear_audited_owner(&mut self, link: LinkId, address: IpAddr, peer: NodeId) {
        let slot = self.slots.get_mut(&(link, address));
        if let Some(audited) = slot.and_then(|slot| slot.audited.as_mut()) {
            audited.answers |= audited.owner == peer;
        }
    }

    /// Whether an answer is one to an audit, and names a node beside the owner: that changes nothing yet.
    pub(super) fn is_audited(&self, link: LinkId, said: &Statement, node: NodeId, now: Instant) -> bool {
        let audited = self.slots.get(&(link, said.address)).and_then(|slot| slot.audited.as_deref());
        let open = |audited: &Audited| audited.owner != node && now < audited.at + ANSWERS;
        said.to_us && !said.claim && audited.is_some_and(open)
    }

    fn audit_mut(&mut self, link: LinkId, node: NodeId) -> Option<&mut Audit> {
        self.watch_mut(link, node)?.audit.as_mut()
    }
}
