//! Watching peers: whether they are there at all, and whether the owners that this node watches still answer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::cluster::NodeId;
use super::frames;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::neighbour::{Check, Verdict, Watch};
use super::output::TransmitKind;
use crate::jitter;
use crate::link::LinkId;
use crate::wire::Mac;

/// How many watch an owner on a segment.
const WATCHERS: usize = 3;
/// Questions of a check.
const QUESTIONS: u32 = 3;
/// Between two alarms about the same owner.
const ALARM: Duration = Duration::from_millis(500);
/// Alarms closer to each other than this count as one.
const SAME_ALARM: Duration = Duration::from_millis(300);
/// A host that was heard within this time should be heard again when it is asked.
const THIRD_HOST: Duration = Duration::from_secs(30);
/// A link on which somebody was heard within this time works.
const LATELY: Duration = Duration::from_secs(1);
/// Peers that are heard for the first time within this time are taken up together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Peers that are asked whether this node's own link works.
const OTHERS: usize = 3;

/// What of a peer showed that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Kernel,
    Speaker,
}

impl Machine {
    /// Decides anew whom this node watches: each owner has three watchers on a segment, by hash.
    pub(super) fn choose_watches(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        let keys: Vec<(LinkId, NodeId)> = self.neighbours.keys().copied().collect();
        for (link, node) in keys {
            let watches = self.owners.contains_key(&(link, node)) && self.is_watcher(link, node);
            let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { continue };
            if watches != neighbour.watch.is_some() {
                neighbour.watch = watches.then(|| Watch::new(now));
                self.schedule_neighbour(link, node);
            }
        }
    }

    fn is_watcher(&self, link: LinkId, owner: NodeId) -> bool {
        let Some(neighbour) = self.neighbours.get(&(link, owner)) else { return false };
        if neighbour.heard.is_none() {
            return false;
        }
        let hash = |node: NodeId| {
            let names = [self.name_of(node), self.name_of(owner)];
            xxh3_64(&[names[0].as_bytes(), &[0], names[1].as_bytes()].concat())
        };
        let own = hash(NodeId::OWN);
        let before = self.neighbours_on(link).filter(|(node, neighbour)| {
            *node != owner
                && neighbour.takes_part()
                && self.peer(*node).is_some_and(|peer| peer.live)
                && hash(*node) > own
        });
        before.take(WATCHERS).count() < WATCHERS
    }

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
            Life::Speaker => neighbour.speaker = Some(now),
        }
        if life == Life::Speaker || neighbour.verdict == Verdict::Dead {
            self.clear(link, node, now);
        }
        if first {
            // Where many come at once they are taken up together.
            self.settle_within(link, TOGETHER, now);
            let watches = self.timers.get(Timer::Watches).filter(|due| *due <= now + TOGETHER);
            self.timers.set(Timer::Watches, Some(watches.unwrap_or(now + TOGETHER)));
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
            neighbour.speaker = Some(now);
            self.clear(link, node, now);
        }
    }

    /// Forgets that a peer was found silent.
    fn clear(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        neighbour.alarms = 0;
        neighbour.alarmed = None;
        if neighbour.verdict == Verdict::Fine {
            return;
        }
        let was_sure = !self.is_doubtful(link, now);
        if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
            neighbour.verdict = Verdict::Fine;
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
    fn settle_owner(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let addresses: Vec<IpAddr> = self.owners.get(&(link, node)).into_iter().flatten().copied().collect();
        for address in addresses {
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

    pub(super) fn neighbour_due(&mut self, link: LinkId, node: NodeId, now: Instant) {
        self.ask_presence(link, node, now);
        self.watch(link, node, now);
        self.check(link, node, now);
        self.schedule_neighbour(link, node);
    }

    /// Asks a peer that was not heard for a while whether it is there; more often until it answers.
    fn ask_presence(&mut self, link: LinkId, node: NodeId, now: Instant) {
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
    fn ask_node(&mut self, link: LinkId, node: NodeId) {
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

    /// Asks an owner for one of its addresses.
    fn ask_owner(&mut self, link: LinkId, node: NodeId, address: IpAddr, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&(link, address)) {
            slot.asked.get_or_insert(now);
        }
        let mac = self.slots.get(&(link, address)).and_then(|slot| slot.owner).map(|owner| owner.mac);
        let heard = self.neighbours.get(&(link, node)).and_then(|neighbour| neighbour.heard);
        if let (Some(mac), Some(here)) = (heard.or(mac), self.link(link)) {
            let frame = frames::ask(address, here, mac);
            self.send(link, address, TransmitKind::Question, frame);
        }
    }

    /// The address of an owner that comes after another one in turn.
    fn next_of(&self, link: LinkId, node: NodeId, cursor: Option<IpAddr>) -> Option<IpAddr> {
        let addresses = self.owners.get(&(link, node))?;
        let after = cursor.and_then(|cursor| {
            addresses.range((std::ops::Bound::Excluded(cursor), std::ops::Bound::Unbounded)).next()
        });
        after.or_else(|| addresses.first()).copied()
    }

    fn watch(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let timing = self.timing.clone();
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        let (speaker, kernel) = (neighbour.speaker, neighbour.kernel);
        if !self.owners.contains_key(&(link, node)) {
            neighbour.watch = None;
            return;
        }
        let Some(watch) = neighbour.watch.as_mut().filter(|watch| watch.due <= now) else { return };
        if let Some(asked) = watch.asked {
            if speaker.is_some_and(|at| at >= asked) {
                (watch.misses, watch.node_misses, watch.silent_since, watch.alarm_due) = (0, 0, None, None);
            } else {
                watch.misses = watch.misses.saturating_add(1);
                watch.silent_since.get_or_insert(asked);
                let node_missed = watch.asked_node && kernel.is_none_or(|at| at < asked);
                watch.node_misses = if node_missed { watch.node_misses.saturating_add(1) } else { 0 };
            }
        }
        let (misses, node_misses) = (watch.misses, watch.node_misses);
        let soon = (1..timing.misses).contains(&misses) || (1..timing.misses).contains(&node_misses);
        watch.due = now + if soon { timing.doubtful_question } else { timing.question };
        (watch.asked, watch.asked_node) = (Some(now), misses > 0);
        let (cursor, since) = (watch.cursor, watch.silent_since);
        let alarm = misses >= timing.misses
            && (watch.alarm_due.is_none_or(|due| due <= now) || node_misses == timing.misses);
        let Some(address) = self.next_of(link, node, cursor) else { return };
        if let Some(watch) = self.watch_mut(link, node) {
            watch.cursor = Some(address);
        }
        if misses == 0 && self.is_unanswered(link, address, timing.question * timing.misses, now) {
            // Those that may have it learn of it too.
            self.send_probe(link, address, now);
            self.hear_alarm(link, node, address, now);
            self.doubt_owner(link, address, now);
        }
        self.ask_owner(link, node, address, now);
        if misses > 0 {
            self.ask_node(link, node);
        }
        let since = since.unwrap_or(now);
        // Where its kernel answers, the link works.
        let kernel_answers = kernel.is_some_and(|at| at >= since);
        // Whoever stops leaves it to others, and those would give way to it.
        let tells = alarm && self.stopping.is_none();
        if tells && (kernel_answers || self.link_works(link, node, since, now)) {
            if let Some(watch) = self.watch_mut(link, node) {
                watch.alarm_due = Some(now + ALARM);
            }
            self.send_probe(link, address, now);
            self.hear_alarm(link, node, address, now);
        }
    }

    /// Whether a question for an address was not answered by its owner for so long.
    fn is_unanswered(&self, link: LinkId, address: IpAddr, time: Duration, now: Instant) -> bool {
        let asked = self.slots.get(&(link, address)).and_then(|slot| slot.asked);
        asked.is_some_and(|at| now >= at + time)
    }

    fn watch_mut(&mut self, link: LinkId, node: NodeId) -> Option<&mut Watch> {
        self.neighbours.get_mut(&(link, node))?.watch.as_mut()
    }

    /// Somebody asks everybody for an address, since its owner does not answer him: those that come first look for
    /// themselves, and the more often it is asked the more of them.
    pub(super) fn hear_alarm(&mut self, link: LinkId, owner: NodeId, address: IpAddr, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&(link, owner)) else { return };
        if neighbour.alarmed.is_none_or(|at| now >= at + SAME_ALARM) {
            neighbour.alarmed = Some(now);
            neighbour.alarms = neighbour.alarms.saturating_add(1);
        }
        let (alarms, found) = (neighbour.alarms, neighbour.verdict);
        if neighbour.heard.is_none() || neighbour.check.is_some() {
            return;
        }
        if found == Verdict::SpeakerSilent {
            self.settle(link, address, now);
        }
        let most = alarms.saturating_mul(QUESTIONS);
        let goes_first = |address: IpAddr| {
            self.wanted(address)
                .is_some_and(|wanted| self.cover_rank(NodeId::OWN, link, wanted, owner) < most)
        };
        let mut others = self.owners.get(&(link, owner)).into_iter().flatten();
        if !goes_first(address) && !others.any(|address| goes_first(*address)) {
            return;
        }
        if let Some(neighbour) = self.neighbours.get_mut(&(link, owner)) {
            neighbour.check = Some(Check { since: now, due: now, sent: 0, about: address });
            self.check(link, owner, now);
            self.schedule_neighbour(link, owner);
        }
    }

    fn check(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        let Some(check) = neighbour.check.filter(|check| check.due <= now) else { return };
        let answers = |at: Option<Instant>| at.is_some_and(|at| at >= check.since);
        let lives = answers(neighbour.speaker);
        let open = check.sent == 0 || self.is_unanswered(link, check.about, Duration::ZERO, now);
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        if lives && (!open || check.sent >= QUESTIONS) {
            neighbour.check = None;
            if open {
                self.doubt_owner(link, check.about, now);
            }
            return;
        }
        if check.sent < QUESTIONS {
            let due = now + self.timing.doubtful_question;
            neighbour.check = Some(Check { due, sent: check.sent + 1, ..check });
            self.ask_owner(link, node, check.about, now);
            // It may live, and have given this one up.
            if let Some(other) = self.next_of(link, node, Some(check.about)).filter(|it| *it != check.about) {
                self.ask_owner(link, node, other, now);
            }
            self.ask_node(link, node);
            return;
        }
        let verdict = if answers(neighbour.kernel) { Verdict::SpeakerSilent } else { Verdict::Dead };
        let kernel_heard = neighbour.kernel_heard;
        if verdict == Verdict::Dead && !self.link_works(link, node, check.since, now) {
            if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
                neighbour.check = Some(Check { due: now + self.timing.doubtful_question, ..check });
            }
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        neighbour.check = None;
        // Where its kernel never answered, its silence means nothing.
        if kernel_heard && neighbour.verdict != verdict {
            neighbour.verdict = verdict;
            neighbour.found = Some(now);
            neighbour.presence_due = now;
            self.timers.set(Timer::Watches, Some(now));
            self.settle_owner(link, node, now);
            if verdict == Verdict::Dead {
                self.ask_all_presence(link, now);
            }
        }
    }

    /// The segment may have split: asks all peers soon, so that none comes back unnoticed.
    fn ask_all_presence(&mut self, link: LinkId, now: Instant) {
        let (seed, silent) = (self.seed, self.timing.presence_silent);
        for node in self.neighbours_on(link).map(|(node, _)| node).collect::<Vec<_>>() {
            if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
                let due = now + jitter::spread(seed, node.0.into(), silent);
                neighbour.presence_due = neighbour.presence_due.min(due);
            }
            self.schedule_neighbour(link, node);
        }
    }

    /// Whether some other host was heard since a peer fell silent, so that the silence is not this node's own. If not,
    /// others are asked; where there were none lately the silence counts.
    fn link_works(&mut self, link: LinkId, node: NodeId, since: Instant, now: Instant) -> bool {
        let (Some(here), Some(peer)) = (self.here.get(&link), self.peer(node)) else { return false };
        if self.breaks(Mutation::OwnLink) {
            return true;
        }
        let of_peer = |mac: Mac| peer.links.iter().any(|link| link.macs.contains(&mac));
        // The link may have failed just after the first question: what was heard then shows nothing.
        let meanwhile = since + self.timing.doubtful_question;
        match here.hosts.last_other_than(of_peer) {
            Some(at) if at >= meanwhile => true,
            Some(at) if at + THIRD_HOST >= since => {
                self.ask_others(link, node, now);
                false
            }
            Some(_) | None => true,
        }
    }

    /// Asks the hosts that are sure to be there.
    pub(super) fn ask_gateways(&mut self, link: LinkId, now: Instant) {
        let Some(here) = self.link(link) else { return };
        let gateways: Vec<_> = here
            .gateways
            .iter()
            .map(|it| (IpAddr::from(*it), frames::question((*it).into(), here)))
            .collect();
        for (gateway, frame) in gateways {
            self.send_to_all(link, gateway, TransmitKind::Question, frame, now);
        }
    }

    /// Whether this node may be cut off: others were heard a while ago, and nobody lately.
    pub(super) fn is_cut_off(&self, link: LinkId, now: Instant) -> bool {
        if self.breaks(Mutation::OwnLink) {
            return false;
        }
        let dead = |mac: Mac| {
            let node = self.by_mac.get(&mac);
            node.is_some_and(|node| self.verdict(link, *node) == Verdict::Dead)
        };
        let last = self.here.get(&link).and_then(|here| here.hosts.last_other_than(dead));
        last.is_some_and(|at| now >= at + LATELY && now < at + THIRD_HOST)
    }

    /// Asks some hosts for a sign of life, unless that was done just now.
    pub(super) fn ask_whoever_is_there(&mut self, link: LinkId, now: Instant) {
        let again = self.timing.question;
        let Some(here) = self.here.get_mut(&link) else { return };
        if here.others_asked.is_none_or(|at| now >= at + again) {
            here.others_asked = Some(now);
            self.ask_others(link, NodeId::OWN, now);
        }
    }

    fn ask_others(&mut self, link: LinkId, except: NodeId, now: Instant) {
        self.ask_gateways(link, now);
        let others = self.neighbours_on(link).filter(|(node, it)| *node != except && it.takes_part());
        for node in others.map(|(node, _)| node).take(OTHERS).collect::<Vec<_>>() {
            self.ask_node(link, node);
        }
    }
}

impl Watch {
    fn new(now: Instant) -> Self {
        Self {
            due: now,
            asked: None,
            asked_node: false,
            cursor: None,
            misses: 0,
            node_misses: 0,
            silent_since: None,
            alarm_due: None,
        }
    }
}
