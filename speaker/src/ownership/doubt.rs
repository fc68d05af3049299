//! Whether this node can be sure of what it owns: watchers ask for it, and it could always run.

use std::net::IpAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::frames;
use super::here::of;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::output::TransmitKind;
use super::slot::State;
use crate::link::LinkId;

/// A question to the owner alone and the probe that tells others of its silence are no further apart.
const WATCHED: Duration = Duration::from_millis(200);
/// Whoever hears a probe has taken it up after this time.
const HEARD: Duration = Duration::from_millis(200);
/// Between questions to the gateways of a link on which nobody was heard yet.
const GATEWAYS: Duration = Duration::from_millis(500);
/// Questions of a sweep that leave together, and the time until the next.
const SWEEP: (usize, Duration) = (10, Duration::from_millis(10));

impl Machine {
    /// A process that did not run for a while can't know who answers now: what it owns may be another's.
    pub(super) fn notice_pause(&mut self, now: Instant) {
        let late = self.timers.next().is_some_and(|due| now >= due + self.timing.pause);
        if !late || self.breaks(Mutation::PauseDoubt) {
            return;
        }
        self.woke = Some(now);
        for neighbour in self.neighbours.values_mut() {
            // What was not answered was not heard either.
            neighbour.check = None;
            if let Some(watch) = &mut neighbour.watch {
                (watch.asked, watch.misses, watch.node_misses, watch.due) = (None, 0, 0, now);
                watch.silent_since = None;
                if let Some(audit) = &mut watch.audit {
                    audit.restart();
                }
            }
            neighbour.presence_due = now;
        }
        for slot in self.slots.values_mut() {
            slot.asked = None;
        }
        for (link, address) in self.covered().collect::<Vec<_>>() {
            // Somebody else may do so since.
            self.uncover(link, address);
            self.plan(link, address, now);
        }
        let probing = self.slots.iter().filter(|(_, slot)| matches!(slot.state, State::Probing(..)));
        let probing: Vec<(LinkId, IpAddr)> = probing.map(|(key, _)| *key).collect();
        for (link, address) in probing {
            self.timers.set(Timer::Slot(link, address), Some(now + self.timing.probe));
        }
        for link in self.here.keys().copied().collect::<Vec<_>>() {
            for node in self.neighbours_on(link).map(|(node, _)| node).collect::<Vec<_>>() {
                self.schedule_neighbour(link, node);
            }
            if self.hears_peers(link) && self.owned.range(of(link)).next().is_some() {
                self.doubt_all(link, now);
            }
        }
        // Whatever else was due is late, and not late because of another pause.
        while let Some(due) = self.timers.next()
            && now >= due + self.timing.pause
        {
            self.timers.postpone(now);
        }
    }

    /// Whether frames that come now may have waited while the process was paused.
    pub(super) fn is_behind(&self, now: Instant) -> bool {
        self.behind_until().is_some_and(|until| now < until)
    }

    /// Until when frames came that may have waited while the process was paused last.
    pub(super) fn behind_until(&self) -> Option<Instant> {
        Some(self.woke? + self.timing.doubtful_question)
    }

    fn doubt_all(&mut self, link: LinkId, now: Instant) {
        self.fill_sweep(link);
        let Some(here) = self.here.get_mut(&link) else { return };
        here.sweep_again = Some(now + self.timing.reprobe);
        here.quiet = Some(now + self.timing.doubtful_question);
        (here.asked, here.doubt_due) = (now, now + self.timing.reprobe);
        let first = here.sweep.pop_front();
        if let Some(address) = first {
            self.show_doubt(link, address, now);
        }
        self.schedule_link(link, now);
    }

    /// Whether there are peers that the wire could decide with.
    pub(super) fn hears_peers(&self, link: LinkId) -> bool {
        self.neighbours_on(link).any(|(node, neighbour)| {
            neighbour.heard.is_some() && self.peer(node).is_some_and(|peer| peer.live)
        })
    }

    pub(super) fn show_doubt(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        self.send_probe(link, address, now);
        if let Some(ownership) = self.ownership_mut(link, address) {
            ownership.dispute_mut().shown = Some(now);
        }
    }

    /// Whether others were told that this node is not sure of an address.
    pub(super) fn shows_doubt(&self, link: LinkId, address: IpAddr, now: Instant) -> bool {
        let shown = self.dispute(link, address).and_then(|dispute| dispute.shown);
        shown.is_some_and(|at| now < at + self.timing.unasked)
    }

    /// Whether this node is not sure of an address, or was not when it last told so.
    pub(super) fn is_unsure(&self, link: LinkId, address: IpAddr, now: Instant) -> bool {
        self.is_doubtful(link, now) || self.shows_doubt(link, address, now)
    }

    /// Whether others have heard what this node showed last, if anything.
    pub(super) fn doubt_is_heard(&self, link: LinkId, address: IpAddr, now: Instant) -> bool {
        let shown = self.dispute(link, address).and_then(|dispute| dispute.shown);
        shown.is_none_or(|at| now >= at + HEARD)
    }

    /// Whether this node can't be sure of what it owns on a link.
    pub(super) fn is_doubtful(&self, link: LinkId, now: Instant) -> bool {
        let here = self.here.get(&link);
        here.is_some_and(|here| here.quiet.is_some() || here.is_unasked(&self.timing, now))
            && self.has_live_peers(link)
    }

    /// Whether there are peers that could watch what this node owns.
    fn has_live_peers(&self, link: LinkId) -> bool {
        self.neighbours_on(link)
            .any(|(node, it)| it.takes_part() && self.peer(node).is_some_and(|peer| peer.live))
    }

    /// What is due for what this node owns on a link.
    pub(super) fn link_due(&mut self, link: LinkId, now: Instant) {
        let Some(here) = self.here.get_mut(&link) else { return };
        if here.quiet.is_some_and(|until| until <= now) {
            here.quiet = None;
        }
        if here.sweep.is_empty() && here.sweep_again.is_some_and(|at| at <= now) {
            here.sweep_again = None;
            self.fill_sweep(link);
        }
        let Some(here) = self.here.get_mut(&link) else { return };
        let batch: Vec<IpAddr> = here.sweep.drain(..here.sweep.len().min(SWEEP.0)).collect();
        let doubts = here.is_unasked(&self.timing, now) && now >= here.doubt_due;
        for address in batch {
            self.sweep_one(link, address, now);
        }
        self.proxies_due(link, now);
        if !self.is_deaf(link, now) {
            if self.here.get(&link).is_some_and(|here| here.deaf) {
                self.end_deafness(link, now);
            }
        } else if let Some(here) = self.here.get_mut(&link).filter(|here| here.gateways_due <= now) {
            here.gateways_due = now + GATEWAYS;
            self.ask_gateways(link, now);
        }
        if doubts && self.has_live_peers(link) {
            let next = self.next_owned(link);
            if let Some(address) = next {
                self.show_doubt(link, address, now);
            }
            if let Some(here) = self.here.get_mut(&link) {
                here.cursor = next;
                here.doubt_due = now + self.timing.reprobe;
            }
        }
        self.schedule_link(link, now);
    }

    /// The owned address that comes after the one that was probed last in doubt.
    fn next_owned(&self, link: LinkId) -> Option<IpAddr> {
        let (first, last) = of(link).into_inner();
        let after = self.here.get(&link)?.cursor.and_then(|cursor| {
            self.owned.range((Bound::Excluded((link, cursor)), Bound::Included(last))).next()
        });
        after.or_else(|| self.owned.range(first..=last).next()).map(|&(_, address)| address)
    }

    /// Asks for an address that this node owns: another owner answers.
    pub(super) fn sweep_one(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        if !self.owns(link, address) {
            return;
        }
        if self.is_doubtful(link, now) {
            self.show_doubt(link, address, now);
        } else {
            self.ask_everybody(link, address, now);
        }
    }

    /// Asks everybody who has an address, without a doubt.
    pub(super) fn ask_everybody(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(here) = self.link(link) else { return };
        let frame = frames::question(address, here);
        self.send_to_all(link, address, TransmitKind::Probe, frame, now);
    }

    /// Asks for all that this node owns on a link, as somebody who was away may own some of it too.
    pub(super) fn sweep(&mut self, link: LinkId, now: Instant) {
        let again = now + self.timing.reprobe;
        let Some(here) = self.here.get_mut(&link) else { return };
        here.sweep_again = Some(again);
        if here.sweep.is_empty() {
            self.fill_sweep(link);
        }
        self.schedule_link(link, now);
    }

    fn fill_sweep(&mut self, link: LinkId) {
        let all = self.owned.range(of(link)).map(|&(_, address)| address).collect();
        if let Some(here) = self.here.get_mut(&link) {
            here.sweep = all;
        }
    }

    pub(super) fn schedule_link(&mut self, link: LinkId, now: Instant) {
        let owns = self.owned.range(of(link)).next().is_some();
        let Some(here) = self.here.get(&link) else { return };
        let doubt = (owns && self.has_live_peers(link))
            .then(|| (here.asked + self.timing.unasked).max(here.doubt_due));
        let sweep = if here.sweep.is_empty() { here.sweep_again } else { Some(now + SWEEP.1) };
        let deaf = (here.deaf && !self.desired.is_empty())
            .then(|| self.deaf_until(link, now).map_or(now, |until| until.min(here.gateways_due)));
        let due = [doubt, sweep, deaf, here.quiet, here.proxies.due].into_iter().flatten().min();
        self.timers.set(Timer::Link(link), due.map(|due| due.max(now)));
    }

    /// A peer probes for an address that both own: it is not sure. Who takes an address over probes for it too.
    pub(super) fn hear_doubt(&mut self, link: LinkId, peer: NodeId, address: IpAddr, now: Instant) {
        let until = now + self.timing.unasked;
        let asked = self.neighbours.get(&(link, peer)).and_then(|neighbour| neighbour.asked);
        // A watcher asks the owner, and everybody at the same time when that does not answer.
        let watches = asked.is_some_and(|(asked, at)| asked == address && now < at + WATCHED);
        // What waited while this process was paused shows what was then.
        if watches || self.is_behind(now) {
            return;
        }
        if let Some(dispute) = self.dispute_mut(link, address)
            && dispute.rivals.contains(&peer)
        {
            dispute.doubted = Some((peer, until));
        }
    }

    /// A peer asks this node alone for an address that this node owns: it does not own it, and its probe was none of
    /// doubt.
    pub(super) fn hear_watcher(&mut self, link: LinkId, peer: NodeId, address: IpAddr, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&(link, peer)) else { return };
        neighbour.asked = Some((address, now));
        if let Some(dispute) = self.dispute_mut(link, address) {
            dispute.doubted = dispute.doubted.filter(|(by, _)| *by != peer);
        }
    }
}
