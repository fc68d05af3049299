//! The machine itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::desired::{Desired, DesiredAddress, ServiceName, Standing};
use super::frames;
use super::output::{Event, GainCause, LossCause, Reception, Transmit, TransmitKind};
use super::segments::Segments;
use crate::announcer::Announcer;
use crate::link::{Link, LinkId, Links};
use crate::responder::Responder;
use crate::wire::{Frame, Mac};

/// What the node is for an address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Another node answers, or nobody.
    Backup,
    /// This node answers.
    Owner,
}

/// Decides for all addresses and links of a node. See the [module](super).
#[derive(Debug)]
pub struct Machine {
    /// Makes the timing of this node differ from that of others.
    seed: u64,
    links: Links,
    own_macs: HashSet<Mac>,
    desired: Arc<Desired>,
    /// What this node owns; whatever is not in here is backed up. Frames are looked up in here, so it is hashed,
    /// and never walked through.
    owned: HashMap<(LinkId, IpAddr), Ownership>,
    announcer: Announcer,
    segments: Segments,
    /// Of links by which questions came.
    responders: BTreeMap<LinkId, Responder>,
    answers: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Ownership {
    services: Arc<[ServiceName]>,
    since: Instant,
}

impl Machine {
    /// A machine that knows no links and owns nothing.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            links: Links::new(),
            own_macs: HashSet::new(),
            desired: Arc::default(),
            owned: HashMap::new(),
            announcer: Announcer::new(seed),
            segments: Segments::default(),
            responders: BTreeMap::new(),
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes up a received frame, and says what becomes of it. A frame that asks for nothing of ours costs one look-up.
    pub fn handle_frame(&mut self, link: LinkId, frame: &Frame, now: Instant) -> Reception {
        let Some(address) = frames::asked_for(&frame.packet) else {
            self.hear(link, frame, now);
            return Reception::Ignored;
        };
        if !self.owned.contains_key(&(link, address)) {
            return Reception::Ignored;
        }
        let Some(here) = self.links.get(&link) else { return Reception::Ignored };
        if !frame.destination.is_group() && frame.destination != here.mac {
            return Reception::Ignored;
        }
        // Our own frames come back where two links of the node are on one segment.
        if self.own_macs.contains(&frame.source) {
            return Reception::Ignored;
        }
        let Some(answer) = frames::answer(frame, here) else { return Reception::Ignored };
        let responder = self.responders.entry(link).or_insert_with(|| Responder::new(self.seed, now));
        if !responder.admit(frame.source, address, now) {
            return Reception::Throttled;
        }
        self.answers.push_back(Transmit { link, address, kind: TransmitKind::Answer, frame: answer });
        Reception::Answered
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.announcer.handle_timeout(now);
        for link in self.segments.handle_timeout(now) {
            self.settle_all(link, now);
        }
    }

    /// Takes up what the node is to announce from now on.
    pub fn set_desired(&mut self, desired: Arc<Desired>, now: Instant) {
        let previous = std::mem::replace(&mut self.desired, Arc::clone(&desired));
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for &address in previous.keys().filter(|address| !desired.contains_key(*address)) {
            for &link in &links {
                self.settle(link, address, GainCause::BestCandidate, now);
            }
        }
        for (&address, wanted) in desired.iter() {
            if previous.get(&address) != Some(wanted) {
                for &link in &links {
                    self.settle(link, address, GainCause::BestCandidate, now);
                }
            }
        }
    }

    /// Takes up the node's links as they are now.
    pub fn set_links(&mut self, links: Links, now: Instant) {
        let previous = std::mem::replace(&mut self.links, links);
        self.own_macs = self.links.values().flat_map(Link::macs).collect();
        for (&id, link) in &self.links {
            self.announcer.set_link(id, link.gateways.clone());
        }
        let desired = Arc::clone(&self.desired);
        let all = previous.keys().chain(self.links.keys()).copied().collect::<BTreeSet<_>>();
        let mut beside = BTreeSet::new();
        for link in all {
            let (before, after) = (previous.get(&link), self.links.get(&link).cloned());
            if before == after.as_ref() {
                continue;
            }
            beside.extend(self.segments.beside(link));
            if after.as_ref().is_none_or(|after| !after.up) {
                self.segments.forget(link);
            }
            let moved = before.map(|before| before.mac) != after.as_ref().map(|after| after.mac);
            for &address in desired.keys() {
                let was = self.state(link, address);
                let is = self.settle_as(link, before, address, GainCause::LinkUp, now);
                if moved && (was, is) == (State::Owner, State::Owner) {
                    self.announcer.start(link, address, now);
                }
            }
            if after.is_none() {
                self.announcer.remove_link(link);
                self.responders.remove(&link);
            }
        }
        for link in beside {
            self.settle_all(link, now);
        }
    }

    /// The next frame to send now: answers first.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        while let Some(answer) = self.answers.pop_front() {
            // It may have become wrong since.
            let mac = self.links.get(&answer.link).map(|link| link.mac);
            if mac == Some(answer.frame.source) && self.owned.contains_key(&(answer.link, answer.address)) {
                return Some(answer);
            }
        }
        let announcement = self.announcer.poll(now)?;
        let here = self.links.get(&announcement.link)?;
        let (link, address) = (announcement.link, announcement.address);
        let frame = frames::announcement(address, announcement.form, here)?;
        if self.links.len() > 1 {
            self.segments.sent(link, frame, now);
        }
        Some(Transmit { link, address, kind: TransmitKind::Announcement(announcement.kind), frame })
    }

    /// The next change to report. An address is not announced before its event was taken, so that its group can be
    /// joined first.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Announcing { address, link, .. } = event
            && let Some(ownership) = self.owned.get(&(link, address))
        {
            self.announcer.start(link, address, ownership.since);
        }
        Some(event)
    }

    /// When [`handle_timeout`](Self::handle_timeout) and then [`poll_transmit`](Self::poll_transmit) have something to
    /// do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.announcer.poll_timeout(), self.segments.poll_timeout()].into_iter().flatten().min()
    }

    /// How many addresses of each link wait to be announced.
    pub fn waiting(&self) -> impl Iterator<Item = (LinkId, usize)> {
        self.announcer.waiting()
    }

    /// What the node is for an address on a link.
    pub fn state(&self, link: LinkId, address: IpAddr) -> State {
        if self.owned.contains_key(&(link, address)) { State::Owner } else { State::Backup }
    }

    /// Takes up a frame that asks nothing: it may be one of ours, and then shows that two links are on one segment.
    fn hear(&mut self, link: LinkId, frame: &Frame, now: Instant) {
        if self.own_macs.contains(&frame.source)
            && let Some(other) = self.segments.hear(link, frame, now)
        {
            self.settle_all(link.max(other), now);
        }
    }

    /// Whether a link before this one is on its segment and answers for an address there.
    fn leaves_to(&self, link: LinkId, wanted: &DesiredAddress) -> Option<&Link> {
        let before = self.segments.beside(link).filter(|other| *other < link);
        before
            .filter_map(|other| self.links.get(&other))
            .find(|other| may_own(Some(wanted), Some(other)).is_ok())
    }

    /// Settles a link when who else is on its segment has changed.
    fn settle_all(&mut self, link: LinkId, now: Instant) {
        for &address in Arc::clone(&self.desired).keys() {
            self.settle(link, address, GainCause::InPlaceOfLink, now);
        }
    }

    fn settle(&mut self, link: LinkId, address: IpAddr, cause: GainCause, now: Instant) -> State {
        self.settle_as(link, None, address, cause, now)
    }

    /// Makes the state what it has to be, and says which that is. `before` is the link as it was, for its name.
    fn settle_as(
        &mut self,
        link: LinkId,
        before: Option<&Link>,
        address: IpAddr,
        cause: GainCause,
        now: Instant,
    ) -> State {
        let verdict = may_own(self.desired.get(&address), self.links.get(&link)).and_then(|wanted| {
            let other = self.leaves_to(link, wanted);
            other.map_or(Ok(wanted), |other| Err(LossCause::SameSegment { by: other.name.as_str().into() }))
        });
        match (verdict, self.owned.get_mut(&(link, address))) {
            (Ok(wanted), Some(ownership)) => {
                ownership.services = Arc::clone(&wanted.services);
                State::Owner
            }
            (Ok(wanted), None) => {
                let services = Arc::clone(&wanted.services);
                self.begin(link, address, services, cause, now);
                State::Owner
            }
            (Err(cause), Some(_)) => {
                let interface = self.links.get(&link).or(before).map(|link| link.name.clone());
                self.end(link, address, interface.unwrap_or_default(), cause);
                State::Backup
            }
            (Err(_), None) => State::Backup,
        }
    }

    fn begin(
        &mut self,
        link: LinkId,
        address: IpAddr,
        services: Arc<[ServiceName]>,
        cause: GainCause,
        now: Instant,
    ) {
        let Some(here) = self.links.get(&link) else { return };
        self.events.push_back(Event::Announcing {
            address,
            link,
            interface: here.name.clone(),
            mac: here.mac,
            services: Arc::clone(&services),
            cause,
        });
        self.owned.insert((link, address), Ownership { services, since: now });
    }

    fn end(&mut self, link: LinkId, address: IpAddr, interface: String, cause: LossCause) {
        let Some(ownership) = self.owned.remove(&(link, address)) else { return };
        self.announcer.stop(link, address);
        let services = ownership.services;
        self.events.push_back(Event::Withdrawn { address, link, interface, services, cause });
    }
}

/// Whether the node is to own an address on a link, or why not.
fn may_own<'a>(
    wanted: Option<&'a DesiredAddress>,
    link: Option<&Link>,
) -> Result<&'a DesiredAddress, LossCause> {
    let wanted = wanted.ok_or(LossCause::NotAdvertised)?;
    let link = link.filter(|link| link.up).ok_or(LossCause::LinkDown)?;
    match &wanted.standing {
        Standing::Behind { first } => Err(LossCause::Outranked { by: Arc::clone(first) }),
        Standing::Excluded { reason } => Err(LossCause::NoCandidate { reason: *reason }),
        Standing::First if !wanted.interfaces.matches(&link.name) => Err(LossCause::InterfaceNotSelected),
        Standing::First => Ok(wanted),
    }
}
