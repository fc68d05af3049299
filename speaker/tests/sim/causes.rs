//! Every move has a cause, and the cause is one.

use ferrolb_speaker::ownership::{Change, GainCause, HandOver, LossCause};

use crate::agenda::micros;
use crate::check::{Checks, could_own};
use crate::network::Port;
use crate::node::port_of;
use crate::schedule::PLACED;
use crate::world::World;

/// Frames and watches of others are older than this, in microseconds.
const NEWS: u64 = 1_000_000;

impl Checks {
    /// Judges a change that a node tells of.
    pub(crate) fn judge(&mut self, world: &World, port: Port, address: usize, change: &Change) {
        let fault = match change {
            Change::Announcing { cause, .. } => self.judge_gain(world, port, address, cause),
            Change::Withdrawn(cause) => self.judge_loss(world, port, address, cause),
            Change::Found(_) if !self.may_conflict(world, address) => Some("nobody else has it"),
            Change::Found(_) | Change::Over(_) | Change::Covering { .. } | Change::Uncovered => None,
        };
        if let Some(fault) = fault {
            let address = world.addresses[address];
            self.fail("a move has a cause", || format!("node-{port} {address} {change:?}: {fault}"));
        }
    }

    /// What is wrong with the cause of a gain.
    fn judge_gain(
        &self,
        world: &World,
        port: Port,
        address: usize,
        cause: &GainCause,
    ) -> Option<&'static str> {
        let (now, seen) = (world.now, self.seen(address));
        let from = match cause.from() {
            Some(name) => port_of(name)?,
            None => port,
        };
        let owned = || seen.owners >> from & 1 == 1 || (seen.lost[from] > 0 && now < seen.lost[from] + NEWS);
        // An offer may have waited while its process stood still.
        let wakened = world.nodes[port].speaker.as_ref().is_some_and(|it| it.wakened > now);
        match cause {
            GainCause::NodeSilent(_) if !self.contact.may_be_silent(port, from, now) => {
                Some("the node is there")
            }
            GainCause::NodeSilent(_) if self.contact.is_alone(world, port, from) && !self.promise.trusts => {
                Some("it is this node that hears nobody")
            }
            GainCause::NodeSilent(_) if self.promise.calm && !self.is_first(world, port, address, from) => {
                Some("another node comes first")
            }
            GainCause::LeaseEnded(_) if !world.api.may_have_ended(from, now) => {
                Some("the Lease can't have ended")
            }
            GainCause::OwnerExcluded(_) if !world.api.excludes(from) => Some("the node is not excluded"),
            GainCause::HandedOver(_) if !owned() && !wakened => Some("the node had nothing to hand over"),
            GainCause::HandedOver(_)
                if self.promise.calm
                    && self.struck.is_some()
                    && !self.is_first(world, port, address, from) =>
            {
                Some("another node comes first")
            }
            GainCause::Unclaimed if self.promise.calm && self.is_claimed(world, port, address) => {
                Some("somebody else has it")
            }
            GainCause::Resumed if self.promise.calm && seen.last != Some(port) => {
                Some("it was another node's")
            }
            GainCause::NodeSilent(_)
            | GainCause::LeaseEnded(_)
            | GainCause::OwnerExcluded(_)
            | GainCause::HandedOver(_)
            | GainCause::Unclaimed
            | GainCause::Resumed => None,
        }
    }

    /// What is wrong with the cause of a loss.
    fn judge_loss(
        &self,
        world: &World,
        port: Port,
        address: usize,
        cause: &LossCause,
    ) -> Option<&'static str> {
        let (now, seen) = (world.now, self.seen(address));
        let owned = |name: &str| {
            let other = port_of(name);
            other.is_some_and(|other| {
                seen.owners >> other & 1 == 1 || (seen.lost[other] > 0 && now < seen.lost[other] + NEWS)
            })
        };
        let isolated = world.network.isolated[port];
        let settles = now < micros(PLACED + world.timing.settling) + 3 * NEWS || !self.promise.calm;
        match cause {
            LossCause::Yielded(to) | LossCause::HandedOver { to, .. } if self.promise.calm && !owned(to) => {
                Some("the other node does not have it")
            }
            LossCause::HandedOver { because: HandOver::NoCandidate(_), .. } | LossCause::NoCandidate(_)
                if !world.api.excludes(port) =>
            {
                Some("the node is a candidate")
            }
            LossCause::HandedOver { because: HandOver::Leaving, .. }
                if !world.nodes[port].speaker.as_ref().is_some_and(|it| it.leaves) =>
            {
                Some("the node does not leave")
            }
            LossCause::HandedOver { because: HandOver::BetterCandidate, .. } if !settles => {
                Some("the address was placed long ago")
            }
            LossCause::HandedOver { because: HandOver::Preference, .. } => Some("no node is preferred"),
            LossCause::Outranked(by) if !isolated && self.promise.calm => {
                let by = port_of(by)?;
                self.contact.is_certain(port, by, now).then_some("they hear each other")
            }
            LossCause::NotAdvertised
            | LossCause::InterfaceNotSelected
            | LossCause::SameSegment(_)
            | LossCause::LinkDown => Some("nothing of the kind happened"),
            LossCause::Yielded(_)
            | LossCause::HandedOver { .. }
            | LossCause::NoCandidate(_)
            | LossCause::Outranked(_) => None,
        }
    }

    /// Whether a node comes first of those that may follow an owner.
    fn is_first(&self, world: &World, port: Port, address: usize, owner: Port) -> bool {
        let part = usize::from(world.network.part[port]);
        let may = |other: &&Port| {
            **other != owner && could_own(world, part, **other) && !world.api.excludes(**other)
        };
        world.orders[address].iter().find(may).is_none_or(|first| *first == port)
    }

    /// Whether somebody else has had an address for long, and both hear each other.
    fn is_claimed(&self, world: &World, port: Port, address: usize) -> bool {
        let owners = self.seen(address).owners;
        let long = self.struck.is_some_and(|at| world.now > at + NEWS);
        let there = |other: &Port| {
            owners >> *other & 1 == 1
                && *other != port
                && world.nodes[*other].running().is_some()
                && self.contact.is_certain(port, *other, world.now)
        };
        long && (0..world.nodes.len()).any(|other| there(&other))
    }

    /// Whether a host that is no speaker may have said to have an address: a stranger, a switch that remembers one, or a
    /// node whose Lease was not seen yet.
    fn may_conflict(&self, world: &World, address: usize) -> bool {
        let stranger = world.stranger == Some(address) || world.now < self.conflict_until;
        stranger || !self.promise.calm || self.promise.conflicts
    }
}
