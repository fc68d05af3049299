//! Watching peers: whether they are there at all, and whether the owners that this node watches still answer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::cluster::NodeId;
use super::frames;
use super::machine::{Machine, Timer};
use super::neighbour::{Check, Verdict, Watch};
use super::output::TransmitKind;
use super::timing::Timing;
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

/// A host that asks everybody again sooner lost no patience: Linux does so after a second.
const PATIENCE: Duration = Duration::from_millis(900);
/// A host that asks again later may have forgotten an answer.
const FORGOTTEN: Duration = Duration::from_secs(5);

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
            let owns = self.owners.contains_key(&(link, node));
            let place = if owns { self.watcher_place(link, node) } else { None };
            self.set_audit(link, node, place == Some(0), now);
            let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { continue };
            if place.is_some() != neighbour.watch.is_some() {
                neighbour.watch = place.is_some().then(|| Watch::new(now));
                self.set_audit(link, node, place == Some(0), now);
                self.schedule_neighbour(link, node);
            }
        }
    }

    /// This node's place among the watchers of an owner, from 0, if it is one.
    fn watcher_place(&self, link: LinkId, owner: NodeId) -> Option<usize> {
        self.neighbours.get(&(link, owner))?.heard?;
        let hash = |node: NodeId| watcher_hash(&self.name_of(node), &self.name_of(owner));
        let own = hash(NodeId::OWN);
        let before = self.neighbours_on(link).filter(|(node, neighbour)| {
            *node != owner
                && neighbour.takes_part()
                && self.peer(*node).is_some_and(|peer| peer.live)
                && hash(*node) > own
        });
        Some(before.take(WATCHERS).count()).filter(|place| *place < WATCHERS)
    }

    pub(super) fn neighbour_due(&mut self, link: LinkId, node: NodeId, now: Instant) {
        self.ask_presence(link, node, now);
        self.watch(link, node, now);
        self.audit(link, node, now);
        self.check(link, node, now);
        self.schedule_neighbour(link, node);
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
    pub(super) fn next_of(&self, link: LinkId, node: NodeId, cursor: Option<IpAddr>) -> Option<IpAddr> {
        let addresses = self.owners.get(&(link, node))?;
        let after = cursor.and_then(|cursor| {
            addresses.range((std::ops::Bound::Excluded(cursor), std::ops::Bound::Unbounded)).next()
        });
        after.or_else(|| addresses.first()).copied()
    }

    fn watch(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let Timing { question, doubtful_question, misses: most, .. } = self.timing;
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        let (speaker, kernel) = (neighbour.speaker, neighbour.kernel);
        let Some(watch) = neighbour.watch.as_mut().filter(|watch| watch.due <= now) else { return };
        if let Some(asked) = watch.asked {
            if speaker.is_some_and(|at| at >= asked) {
                (watch.misses, watch.node_misses, watch.silent_since, watch.alarm_due) = (0, 0, None, None);
            } else {
                watch.misses = watch.misses.saturating_add(1);
                if let Some(address) = watch.cursor {
                    *self.missed.entry((link, address.is_ipv4())).or_default() += 1;
                }
                watch.silent_since.get_or_insert(asked);
                let node_missed = watch.asked_node && kernel.is_none_or(|at| at < asked);
                watch.node_misses = if node_missed { watch.node_misses.saturating_add(1) } else { 0 };
            }
        }
        let (misses, node_misses) = (watch.misses, watch.node_misses);
        let soon = (1..most).contains(&misses) || (1..most).contains(&node_misses);
        watch.due = now + if soon { doubtful_question } else { question };
        (watch.asked, watch.asked_node) = (Some(now), misses > 0);
        let (cursor, since) = (watch.cursor, watch.silent_since);
        let alarm = misses >= most && (watch.alarm_due.is_none_or(|due| due <= now) || node_misses == most);
        let Some(address) = self.next_of(link, node, cursor) else { return };
        if let Some(watch) = self.watch_mut(link, node) {
            watch.cursor = Some(address);
        }
        if misses == 0 && self.is_unanswered(link, address, question * most, now) {
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
        // The link may have failed just after the first question.
        let meanwhile = since + doubtful_question;
        if tells && (kernel_answers || self.link_works(link, node, meanwhile, now)) {
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

    pub(super) fn watch_mut(&mut self, link: LinkId, node: NodeId) -> Option<&mut Watch> {
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

    /// A host that is no speaker asks everybody for an address. If it does so again, its owner may not answer, and none of
    /// those that watch it be left.
    pub(super) fn hear_client(&mut self, link: LinkId, address: IpAddr, client: Mac, now: Instant) {
        let owner = self.slots.get(&(link, address)).and_then(|slot| slot.owner).map(|owner| owner.node);
        let Some(owner) = owner.filter(|_| !self.by_mac.contains_key(&client)) else { return };
        let Some(neighbour) = self.neighbours.get_mut(&(link, owner)) else { return };
        let before = neighbour.client.filter(|(_, _, at)| now < *at + FORGOTTEN);
        match before {
            Some((asker, about, at)) if (asker, about) == (client, address) && now >= at + PATIENCE => {
                neighbour.client = Some((client, address, now));
                self.hear_alarm(link, owner, address, now);
            }
            Some(_) => {}
            None => neighbour.client = Some((client, address, now)),
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
            if check.sent == 1 {
                // So that another host has answered when this check ends.
                let (_, meanwhile) = self.silence(link, node, check);
                self.link_works(link, node, meanwhile, now);
            }
            return;
        }
        let verdict = if answers(neighbour.kernel) { Verdict::SpeakerSilent } else { Verdict::Dead };
        let kernel_heard = neighbour.kernel_heard;
        let (silent_since, meanwhile) = self.silence(link, node, check);
        if verdict == Verdict::Dead && !self.link_works(link, node, meanwhile, now) {
            if let Some(neighbour) = self.neighbours.get_mut(&(link, node)) {
                neighbour.check = Some(Check { due: now + self.timing.doubtful_question, ..check });
            }
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(&(link, node)) else { return };
        neighbour.check = None;
        // Where its kernel never answered, its silence means nothing.
        if kernel_heard && neighbour.verdict != verdict {
            neighbour.silent_since = Some(silent_since);
            neighbour.verdict = verdict;
            neighbour.found = Some(now);
            neighbour.presence_due = now;
            self.timers.set(Timer::Watches, Some(now));
            self.settle_owner(link, node, now);
            self.settle_covered(link, node, now);
            if verdict == Verdict::Dead {
                self.ask_all_presence(link, now);
            }
        }
    }

    /// Since when a peer is silent that is being checked, and from when on to hear somebody else shows that this node's
    /// own link works.
    fn silence(&self, link: LinkId, node: NodeId, check: Check) -> (Instant, Instant) {
        let Timing { question, doubtful_question, misses, .. } = self.timing;
        let neighbour = self.neighbours.get(&(link, node));
        // Of a kernel that falls silent later than its speaker the watch tells nothing.
        let watched = neighbour.filter(|it| it.verdict == Verdict::Fine).and_then(|it| it.watch.as_ref());
        let watched = watched.and_then(|watch| watch.silent_since);
        let since = watched.map_or(check.since, |since| since.min(check.since));
        let kernel = neighbour.and_then(|it| it.kernel).map_or(since, |at| at.max(since));
        // The link may have failed after a question or two that just got lost.
        let missed = question + doubtful_question * misses.saturating_sub(1);
        (since, (kernel + missed).min(check.since + doubtful_question))
    }
}

/// What decides who watches an owner: XXH3-64, seed 0.
fn watcher_hash(watcher: &str, owner: &str) -> u64 {
    xxh3_64(&[watcher.as_bytes(), &[0], owner.as_bytes()].concat())
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
            audit: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of docs/ownership.md: whoever implements the hash elsewhere can check it with these.
    #[test]
    fn the_hash_of_watchers_is_that_of_the_test_vectors() {
        for (watcher, expected) in [
            ("node-2", 0x4595_8798_262d_a5aa),
            ("node-3", 0xc564_ec41_a857_71e7),
            ("node-4", 0x15f9_4e83_9a0a_da99),
            ("node-5", 0xbda1_3b66_d66e_9701),
        ] {
            assert_eq!(watcher_hash(watcher, "node-1"), expected, "{watcher}");
        }
    }
}
