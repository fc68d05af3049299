//! Whether peers are there: asked seldom where they are known to be, often where they are not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::frames;
use super::machine::{Machine, Timer};
use super::neighbour::Verdict;
use super::output::TransmitKind;
use super::watching::Life;
use crate::jitter;
use crate::link::LinkId;
use crate::wire::Mac;

/// Peers that are heard for the first time within this time are taken up together.
const TOGETHER: Duration = Duration::from_millis(50);

impl Machine {
    /// A peer answered us.
    pub(super) fn answered(&mut self, link: LinkId, node: NodeId, life: Life, mac: Mac, now: Instant) {
        let (unheard, presence) = (self.timing.unheard, self.timing.presence);
        let seed = self.seed.wrapping_add(u64::from(node.0));
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        let (first, silent) = (neighbour.heard.is_none(), neighbour.is_silent());
        let late = now >= neighbour.appeared + unheard;
        neighbour.heard = Some(mac);
        neighbour.presence_misses = 0;
        let index = u128::from(now.saturating_duration_since(neighbour.appeared).as_secs());
        neighbour.presence_due = now + presence * 9 / 10 + jitter::spread(seed, index, presence / 5);
        match life {
            Life::Kernel => {
                neighbour.kernel = Some(now);
                neighbour.kernel_heard = true;
            }
            Life::Speaker => (neighbour.speaker, neighbour.shirks) = (Some(now), false),
        }
        if life == Life::Speaker || neighbour.verdict == Verdict::Dead {
            self.clear(link, node, now);
        }
        if first {
            // Where many come at once they are taken up together.
            self.timers.hasten(Timer::Settle(link), now + TOGETHER);
            self.timers.hasten(Timer::Watches, now + TOGETHER);
            self.schedule_link(link, now);
        }
        if silent && (!first || late) {
            self.sweep(link, now);
        }
        self.schedule_neighbour(link, node);
    }

    /// A peer announced an address.
    pub(super) fn claimed(&mut self, link: LinkId, node: NodeId, now: Instant) {
        if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
            (neighbour.speaker, neighbour.shirks) = (Some(now), false);
            self.clear(link, node, now);
        }
    }

    /// Forgets that a peer was found silent.
    pub(super) fn clear(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        neighbour.alarms = 0;
        neighbour.alarmed = None;
        if neighbour.verdict == Verdict::Fine {
            return;
        }
        let was_sure = !self.is_doubtful(link, now);
        if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
            (neighbour.verdict, neighbour.found) = (Verdict::Fine, Some(now));
        }
        if was_sure && let Some(here) = self.here.get_mut(&link) {
            // Who is back needs a moment to watch.
            here.asked = now;
        }
        self.schedule_link(link, now);
        self.timers.set(Timer::Watches, Some(now));
        self.settle_owner(link, node, now);
    }

    /// Looks at all that a peer owns.
    pub(super) fn settle_owner(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let addresses: Vec<IpAddr> = self.owners.get(&(link, node)).into_iter().flatten().copied().collect();
        for address in addresses {
            self.settle(link, address, now);
        }
    }

    /// Looks at all that a peer may have covered, as it was found silent.
    pub(super) fn settle_covered(&mut self, link: LinkId, coverer: NodeId, now: Instant) {
        let silent = self.neighbours_on(link).filter(|(_, it)| it.verdict == Verdict::SpeakerSilent);
        let owned = silent.flat_map(|(owner, _)| {
            self.owners.get(&(link, owner)).into_iter().flatten().map(move |address| (owner, *address))
        });
        let covered = owned.filter(|&(owner, address)| {
            owner != coverer
                && self
                    .wanted(address)
                    .is_some_and(|wanted| self.cover_turn(coverer, link, wanted, owner) == 0)
        });
        for (_, address) in covered.collect::<Vec<_>>() {
            self.settle(link, address, now);
        }
    }

    pub(super) fn schedule_neighbour(&mut self, link: LinkId, node: NodeId) {
        let live = self.peer(node).is_some_and(|peer| peer.live);
        let Some(neighbour) = self.neighbours.get(&(link, node)) else { return };
        // A speaker without a Lease takes no part, and is only asked about what it still owns.
        let idle = !live && neighbour.watch.is_none() && neighbour.check.is_none();
        let due = (!idle).then(|| neighbour.due());
        self.timers.set(Timer::Neighbour(link, node), due);
    }

    /// Asks a peer that was not heard for a while whether it is there; more often until it answers.
    pub(super) fn ask_presence(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let (silent, forgotten) = (self.timing.presence_silent, self.timing.presence);
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        if neighbour.presence_due > now {
            return;
        }
        neighbour.presence_misses = neighbour.presence_misses.saturating_add(1);
        // Nobody asks a speaker that owns nothing whether it answers again: its Lease would have ended by now.
        if neighbour.verdict == Verdict::SpeakerSilent
            && neighbour.found.is_some_and(|at| now >= at + forgotten)
            && !self.owners.contains_key(&(link, node))
        {
            neighbour.verdict = Verdict::Fine;
            self.timers.set(Timer::Watches, Some(now));
            self.settle_soon(link, now);
        }
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        let young = now < neighbour.appeared + silent;
        neighbour.presence_due = now + if young { silent / 5 } else { silent };
        self.ask_node(link, node);
    }

    /// Asks for the addresses of a peer's node, which its kernel answers for.
    pub(super) fn ask_node(&mut self, link: LinkId, node: NodeId) {
        let (Some(here), Some(peer)) = (self.link(link), self.peer(node)) else { return };
        let heard = self.neighbours.get(&(link, node)).and_then(|neighbour| neighbour.heard);
        // It may have another card now.
        let heard = heard.filter(|mac| peer.links.iter().any(|link| link.macs.contains(mac)));
        let mut frames = Vec::new();
        for there in &peer.links {
            let mac = heard.filter(|mac| there.macs.contains(mac)).or(there.macs.first().copied());
            if heard.is_some_and(|mac| !there.macs.contains(&mac)) {
                continue;
            }
            let addresses = there.ipv4.first().map(|it| IpAddr::from(*it)).into_iter();
            let addresses = addresses.chain(there.link_local.map(IpAddr::from));
            frames.extend(
                addresses
                    .zip(std::iter::repeat(mac))
                    .filter_map(|(address, mac)| Some((address, frames::ask(address, here, mac?)))),
            );
        }
        for (address, frame) in frames {
            self.send(link, address, TransmitKind::Question, frame);
        }
    }

    /// The segment may have split: asks all peers soon, so that none comes back unnoticed.
    pub(super) fn ask_all_presence(&mut self, link: LinkId, now: Instant) {
        let (seed, silent) = (self.seed, self.timing.presence_silent);
        for node in self.neighbours_on(link).map(|(node, _)| node).collect::<Vec<_>>() {
            if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
                let due = now + jitter::spread(seed, node.0.into(), silent);
                neighbour.presence_due = neighbour.presence_due.min(due);
            }
            self.schedule_neighbour(link, node);
        }
    }
}
