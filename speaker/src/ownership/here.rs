//! One link that is up: who was heard, and how sure this node is of what it owns there.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::hosts::Hosts;
use super::machine::{Machine, Timer};
use super::neighbour::Neighbour;
use super::output::LossCause;
use super::strangers::Proxies;
use super::timing::Timing;
use crate::link::LinkId;

/// Between the questions of a node that has many to ask: a thousand a second.
const PACE: Duration = Duration::from_millis(1);
/// So many may leave at once.
const AT_ONCE: u32 = 50;

/// A link that is up.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) hosts: Hosts,
    pub(super) up_since: Instant,
    /// When a watcher last asked for one of our addresses, or we began to own one.
    pub(super) asked: Instant,
    /// When the next probe of an owner in doubt is due.
    pub(super) doubt_due: Instant,
    /// The address that was probed last in doubt.
    pub(super) cursor: Option<IpAddr>,
    /// Owned addresses that are to be asked for.
    pub(super) sweep: VecDeque<IpAddr>,
    /// When all of them are asked for once more, as frames get lost.
    pub(super) sweep_again: Option<Instant>,
    /// After a pause nothing is answered until then.
    pub(super) quiet: Option<Instant>,
    /// When others were asked for a sign of life.
    pub(super) others_asked: Option<Instant>,
    pub(super) proxies: Proxies,
    /// What waits for a first host, or for there to be none, was not told to go on yet.
    pub(super) deaf: bool,
    /// When gateways are asked next, while nobody was heard yet.
    pub(super) gateways_due: Instant,
    /// When the next of many questions may be asked.
    free: Instant,
}

impl Here {
    fn new(now: Instant) -> Self {
        Self {
            hosts: Hosts::default(),
            up_since: now,
            asked: now,
            doubt_due: now,
            cursor: None,
            sweep: VecDeque::new(),
            sweep_again: None,
            quiet: None,
            others_asked: None,
            proxies: Proxies::default(),
            deaf: true,
            gateways_due: now,
            free: now,
        }
    }

    /// When the next of many questions may be asked; it is held to be asked then.
    pub(super) fn pace(&mut self, now: Instant) -> Instant {
        let earliest = now.checked_sub(PACE * AT_ONCE).unwrap_or(now);
        let turn = self.free.max(earliest);
        self.free = turn + PACE;
        turn.max(now)
    }

    /// Whether no watcher asked for anything that this node owns, for too long.
    pub(super) fn is_unasked(&self, timing: &Timing, now: Instant) -> bool {
        now >= self.asked + timing.unasked
    }
}

/// All addresses of a link.
pub(super) fn of(link: LinkId) -> RangeInclusive<(LinkId, IpAddr)> {
    (link, Ipv4Addr::UNSPECIFIED.into())..=(link, Ipv6Addr::from([0xff; 16]).into())
}

impl Machine {
    pub(super) fn link_up(&mut self, link: LinkId, now: Instant) {
        self.here.insert(link, Here::new(now));
        for node in self.peers.keys().copied().filter(|node| *node != NodeId::OWN).collect::<Vec<_>>() {
            self.meet(link, node, now);
        }
        self.settle_link(link, now);
    }

    pub(super) fn link_down(&mut self, link: LinkId, name: &str, now: Instant) {
        if self.here.remove(&link).is_none() {
            return;
        }
        self.segments.forget(link);
        self.timers.set(Timer::Link(link), None);
        self.timers.set(Timer::Settle(link), None);
        let addresses: Vec<IpAddr> = self.desired.keys().copied().collect();
        let before = self.events.len();
        for address in addresses {
            self.remove_slot(link, address, LossCause::LinkDown, now);
        }
        // The link may be gone, and its name with it.
        for event in self.events.iter_mut().skip(before) {
            event.interface = name.into();
        }
        let nodes: Vec<NodeId> = self.neighbours_on(link).map(|(node, _)| node).collect();
        for node in nodes {
            self.neighbours.remove(&(link, node));
            self.timers.set(Timer::Neighbour(link, node), None);
            self.owners.remove(&(link, node));
        }
    }

    /// Makes a peer known on a link.
    pub(super) fn meet(&mut self, link: LinkId, node: NodeId, now: Instant) {
        if self.neighbours.contains_key(&(link, node)) {
            return;
        }
        self.neighbours.insert((link, node), Neighbour::new(now));
        self.timers.set(Timer::Neighbour(link, node), Some(now));
        self.timers.hasten(Timer::Settle(link), now + self.timing.unheard);
    }

    /// The peers that are known on a link.
    pub(super) fn neighbours_on(&self, link: LinkId) -> impl Iterator<Item = (NodeId, &Neighbour)> {
        let all = self.neighbours.range((link, NodeId(0))..=(link, NodeId(u32::MAX)));
        all.map(|(&(_, node), neighbour)| (node, neighbour))
    }

    /// Looks at all addresses of a link.
    pub(super) fn settle_link(&mut self, link: LinkId, now: Instant) {
        let addresses: Vec<IpAddr> = self.desired.keys().copied().collect();
        for address in addresses {
            self.settle(link, address, now);
        }
        let unheard = self.timing.unheard;
        let next = self
            .neighbours_on(link)
            .filter(|(_, neighbour)| neighbour.heard.is_none())
            .map(|(_, neighbour)| neighbour.appeared + unheard)
            .filter(|due| *due > now)
            .min();
        self.timers.set(Timer::Settle(link), next);
    }

    /// Has all addresses of a link looked at soon.
    pub(super) fn settle_soon(&mut self, link: LinkId, now: Instant) {
        self.timers.set(Timer::Settle(link), Some(now));
    }
}
