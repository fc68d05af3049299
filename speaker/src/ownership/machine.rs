//! The machine itself: what it knows, and what goes in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::cluster::{Desired, DesiredAddress, NodeId, Peer, Peers};
use super::frames::{self, Speech};
use super::here::Here;
use super::neighbour::Neighbour;
use super::output::{Event, Reception, Transmit};
use super::segments::Segments;
use super::slot::{Dispute, Ownership, Slot};
use super::standing::Usability;
use super::stopping::{Stop, Stopping};
use super::timers::Timers;
use super::timing::Timing;
use crate::announcer::Announcer;
use crate::link::{Link, LinkId, Links};
use crate::responder::Responder;
use crate::wire::{Frame, Mac};

/// Hashes what frames name for look-ups among what the cluster's objects name. No frame puts anything in, so nobody can
/// fill a table with what has the same hash, and less than SipHash will do.
type Hasher = foldhash::fast::RandomState;

/// Decides for all addresses and links of a node. See the [module](super).
#[derive(Debug)]
pub struct Machine {
    pub(super) timing: Timing,
    /// Makes the timing of this node differ from that of others.
    pub(super) seed: u64,
    pub(super) links: Links,
    pub(super) own_macs: HashSet<Mac, Hasher>,
    pub(super) desired: Arc<Desired>,
    pub(super) peers: Arc<Peers>,
    pub(super) by_mac: HashMap<Mac, NodeId, Hasher>,
    pub(super) usability: BTreeMap<NodeId, Usability>,
    /// Who is said to own what, from before the start.
    pub(super) hints: HashMap<IpAddr, NodeId>,
    /// Every desired address on every link that is up. Frames are looked up in here.
    pub(super) slots: HashMap<(LinkId, IpAddr), Slot, Hasher>,
    /// What this node owns.
    pub(super) owned: BTreeSet<(LinkId, IpAddr)>,
    /// What each peer is known to own.
    pub(super) owners: BTreeMap<(LinkId, NodeId), BTreeSet<IpAddr>>,
    /// The links that are up.
    pub(super) here: BTreeMap<LinkId, Here>,
    pub(super) neighbours: BTreeMap<(LinkId, NodeId), Neighbour>,
    pub(super) timers: Timers<Timer>,
    pub(super) announcer: Announcer,
    pub(super) segments: Segments,
    pub(super) responders: BTreeMap<LinkId, Responder>,
    pub(super) out: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    /// Questions to watched owners that were not answered before the next, of IPv4 (`true`) and IPv6.
    pub(super) missed: BTreeMap<(LinkId, bool), u64>,
    pub(super) stopping: Option<Stopping>,
    /// When the process went on after a pause.
    pub(super) woke: Option<Instant>,
    #[cfg(feature = "mutations")]
    pub(super) mutation: Option<super::Mutation>,
}

/// What a deadline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Slot(LinkId, IpAddr),
    Neighbour(LinkId, NodeId),
    Link(LinkId),
    /// All addresses of a link have to be looked at.
    Settle(LinkId),
    /// Who watches whom has to be decided anew.
    Watches,
    Stop,
}

impl Machine {
    /// A machine that knows no links and owns nothing. `seed` makes its timing differ from that of other nodes.
    pub fn new(seed: u64, timing: Timing) -> Self {
        Self {
            timing,
            seed,
            links: Links::new(),
            own_macs: HashSet::default(),
            desired: Arc::default(),
            peers: Arc::default(),
            by_mac: HashMap::default(),
            usability: BTreeMap::new(),
            hints: HashMap::new(),
            slots: HashMap::default(),
            owned: BTreeSet::new(),
            owners: BTreeMap::new(),
            here: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            timers: Timers::default(),
            announcer: Announcer::new(seed),
            segments: Segments::default(),
            responders: BTreeMap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            missed: BTreeMap::new(),
            stopping: None,
            woke: None,
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Takes up a received frame, and says what becomes of it. A frame of a host that is no speaker, and that asks for
    /// nothing of ours, costs a few look-ups, however much there is to look up in.
    pub fn handle_frame(&mut self, link: LinkId, frame: &Frame, now: Instant) -> Reception {
        self.notice_pause(now);
        let Some(here) = self.here.get_mut(&link) else { return Reception::Ignored };
        if self.own_macs.contains(&frame.source) {
            self.hear_own(link, frame, now);
            return Reception::Ignored;
        }
        let first = !here.hosts.any();
        here.hosts.heard(frame.source, now);
        if first {
            self.end_deafness(link, now);
        }
        let to_us = self.links.get(&link).is_some_and(|link| link.macs().any(|mac| mac == frame.destination));
        if !to_us && !frame.destination.is_group() {
            return Reception::Ignored;
        }
        self.hear_sender(link, frame, now);
        match frames::speech(&frame.packet) {
            Speech::Question { address, probe } => {
                if let Some(&peer) = self.by_mac.get(&frame.source)
                    && self.hear_peer_ask(link, address, peer, (frame.source, to_us, probe), now)
                {
                    return Reception::Answered;
                }
                self.hear_question(link, frame, (address, probe), now)
            }
            Speech::Statement { address, receiver, claim } => {
                let said = super::statements::Statement { address, receiver, claim, to_us, by: frame.source };
                self.hear_statement(link, &said, now);
                Reception::Ignored
            }
            Speech::Nothing => Reception::Ignored,
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.notice_pause(now);
        self.announcer.handle_timeout(now);
        for link in self.segments.handle_timeout(now) {
            self.settle_link(link, now);
        }
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Slot(link, address) => self.slot_due(link, address, now),
                Timer::Neighbour(link, node) => self.neighbour_due(link, node, now),
                Timer::Link(link) => self.link_due(link, now),
                Timer::Settle(link) => self.settle_link(link, now),
                Timer::Watches => self.choose_watches(now),
                Timer::Stop => self.stop_due(now),
            }
        }
    }

    /// Says who owned what before this process began, as far as the API tells. To be called before the first wishes.
    pub fn set_hints(&mut self, hints: HashMap<IpAddr, NodeId>) {
        self.hints = hints;
    }

    /// Takes up which addresses there are, and who may announce them.
    pub fn set_desired(&mut self, desired: Arc<Desired>, now: Instant) {
        self.notice_pause(now);
        let previous = std::mem::replace(&mut self.desired, Arc::clone(&desired));
        let links: Vec<LinkId> = self.here.keys().copied().collect();
        for &address in previous.keys().filter(|address| !desired.contains_key(*address)) {
            self.hints.remove(&address);
            for &link in &links {
                self.settle(link, address, now);
            }
        }
        for (&address, wanted) in desired.iter() {
            if previous.get(&address) != Some(wanted) {
                for &link in &links {
                    self.settle(link, address, now);
                }
            }
        }
    }

    /// Takes up the node's links as they are now.
    pub fn set_links(&mut self, links: Links, now: Instant) {
        self.notice_pause(now);
        let previous = std::mem::replace(&mut self.links, links);
        self.own_macs = self.links.values().flat_map(Link::macs).collect();
        for (&id, link) in &self.links {
            self.announcer.set_link(id, link.gateways.clone());
        }
        let all = previous.keys().chain(self.links.keys()).copied().collect::<BTreeSet<_>>();
        let mut beside = BTreeSet::new();
        for id in all {
            let (before, after) = (previous.get(&id), self.links.get(&id));
            if before == after {
                continue;
            }
            beside.extend(self.segments.beside(id));
            let moved = before.map(|link| link.mac) != after.map(|link| link.mac);
            match after.filter(|link| link.up) {
                Some(_) if !self.here.contains_key(&id) => self.link_up(id, now),
                Some(_) => {
                    self.settle_link(id, now);
                    if moved {
                        self.announce_all(id, now);
                    }
                }
                None => self.link_down(id, before.map(|link| link.name.as_str()).unwrap_or_default(), now),
            }
            if !self.links.contains_key(&id) {
                self.announcer.remove_link(id);
                self.responders.remove(&id);
            }
        }
        for link in beside {
            self.settle_link(link, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) and then [`poll_transmit`](Self::poll_transmit) have something to
    /// do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let announcer = self.announcer.poll_timeout().filter(|_| !self.stops(Stop::Restart));
        [announcer, self.segments.poll_timeout(), self.timers.next()].into_iter().flatten().min()
    }

    /// How many addresses of each link wait to be announced.
    pub fn waiting(&self) -> impl Iterator<Item = (LinkId, usize)> {
        self.announcer.waiting()
    }

    /// How many questions to watched owners were not answered before the next, since this was asked last: for each link, and
    /// of IPv4 (`true`) and IPv6.
    pub fn take_missed(&mut self) -> BTreeMap<(LinkId, bool), u64> {
        std::mem::take(&mut self.missed)
    }

    /// How many addresses the node owns, those on several links counted for each.
    pub fn owned_count(&self) -> usize {
        self.owned.len()
    }

    /// Whether the node owns an address on a link.
    pub fn owns(&self, link: LinkId, address: IpAddr) -> bool {
        self.owned.contains(&(link, address))
    }

    /// What this node owns an address by, if it does.
    pub(super) fn ownership(&self, link: LinkId, address: IpAddr) -> Option<&Ownership> {
        self.slots.get(&(link, address))?.ownership()
    }

    pub(super) fn ownership_mut(&mut self, link: LinkId, address: IpAddr) -> Option<&mut Ownership> {
        self.slots.get_mut(&(link, address))?.ownership_mut()
    }

    /// What was said for and against this node's owning an address, if it owns it, and anything was.
    pub(super) fn dispute(&self, link: LinkId, address: IpAddr) -> Option<&Dispute> {
        self.ownership(link, address)?.dispute.as_deref()
    }

    pub(super) fn dispute_mut(&mut self, link: LinkId, address: IpAddr) -> Option<&mut Dispute> {
        self.ownership_mut(link, address)?.dispute.as_deref_mut()
    }

    pub(super) fn name_of(&self, node: NodeId) -> Arc<str> {
        self.peers.get(&node).map_or_else(|| "?".into(), |peer| Arc::clone(&peer.name))
    }

    pub(super) fn peer(&self, node: NodeId) -> Option<&Peer> {
        self.peers.get(&node)
    }

    pub(super) fn wanted(&self, address: IpAddr) -> Option<&DesiredAddress> {
        self.desired.get(&address)
    }

    pub(super) fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    fn announce_all(&mut self, link: LinkId, now: Instant) {
        let all = self.owned.range(super::here::of(link)).map(|&(_, address)| address).collect::<Vec<_>>();
        for address in all {
            self.announcer.start(link, address, now);
        }
    }
}
