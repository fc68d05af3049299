//! The machine itself.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::announcements;
use super::desired::{Desired, DesiredAddress, ServiceName, Standing};
use super::output::{Event, GainCause, LossCause, Transmit, TransmitKind};
use crate::link::{Link, LinkId, Links};
use crate::wire::{Frame, Mac, Operation, Packet};

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
    /// When the next announcement of each owned address is due.
    schedule: BTreeSet<(Instant, LinkId, IpAddr)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Ownership {
    services: Arc<[ServiceName]>,
    /// The next round of announcements, and when it is due.
    round: u32,
    due: Instant,
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
            schedule: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes up a received frame, and says whether it asks for an address that this node owns.
    pub fn handle_frame(&mut self, link: LinkId, frame: &Frame) -> bool {
        // Our own frames come back where two links of the node are on one segment.
        if self.own_macs.contains(&frame.source) {
            return false;
        }
        let Some(here) = self.links.get(&link) else { return false };
        if !frame.destination.is_group() && frame.destination != here.mac {
            return false;
        }
        let Some(address) = asked_for(&frame.packet) else { return false };
        if !self.owned.contains_key(&(link, address)) {
            return false;
        }
        let frame = match &frame.packet {
            Packet::Arp(arp) => arp.reply_from(here.mac),
            Packet::Solicitation(solicitation) => {
                solicitation.answer_from(here.mac, here.router, frame.source)
            }
            Packet::Advertisement(_) => return false,
        };
        self.transmits.push_back(Transmit { link, address, kind: TransmitKind::Answer, frame });
        true
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|due| due <= now) {
            if let Some((_, link, address)) = self.schedule.pop_first() {
                self.announce(link, address, now);
            }
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
        self.own_macs = self.links.values().map(|link| link.mac).collect();
        let desired = Arc::clone(&self.desired);
        let changed = previous.keys().chain(self.links.keys()).copied().collect::<BTreeSet<_>>();
        for link in changed {
            let (before, after) = (previous.get(&link), self.links.get(&link).cloned());
            if before == after.as_ref() {
                continue;
            }
            let moved = before.map(|before| before.mac) != after.as_ref().map(|after| after.mac);
            for &address in desired.keys() {
                let was = self.state(link, address);
                let is = self.settle_as(link, before, address, GainCause::LinkUp, now);
                if moved && (was, is) == (State::Owner, State::Owner) {
                    self.restart_burst(link, address, now);
                }
            }
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next change to report. Events must be taken before frames.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.schedule.first().map(|&(due, _, _)| due)
    }

    /// What the node is for an address on a link.
    pub fn state(&self, link: LinkId, address: IpAddr) -> State {
        if self.owned.contains_key(&(link, address)) { State::Owner } else { State::Backup }
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
        let verdict = may_own(self.desired.get(&address), self.links.get(&link));
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
        self.owned.insert((link, address), Ownership { services, round: 0, due: now });
        self.schedule.insert((now, link, address));
        self.announce(link, address, now);
    }

    fn end(&mut self, link: LinkId, address: IpAddr, interface: String, cause: LossCause) {
        let Some(ownership) = self.owned.remove(&(link, address)) else { return };
        self.schedule.remove(&(ownership.due, link, address));
        self.transmits.retain(|transmit| (transmit.link, transmit.address) != (link, address));
        let services = ownership.services;
        self.events.push_back(Event::Withdrawn { address, link, interface, services, cause });
    }

    fn restart_burst(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(ownership) = self.owned.get_mut(&(link, address)) else { return };
        ownership.round = 0;
        self.announce(link, address, now);
    }

    /// Sends the round that is due and plans the next.
    fn announce(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let (Some(ownership), Some(here)) = (self.owned.get_mut(&(link, address)), self.links.get(&link))
        else {
            return;
        };
        self.schedule.remove(&(ownership.due, link, address));
        let kind = TransmitKind::Announcement;
        for frame in announcements::frames(address, here, ownership.round) {
            self.transmits.push_back(Transmit { link, address, kind, frame });
        }
        ownership.due = now + announcements::delay(address, ownership.round, self.seed);
        ownership.round = ownership.round.saturating_add(1);
        self.schedule.insert((ownership.due, link, address));
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

/// The address that a packet asks for, if it is a question that can be answered. Announcements ask nothing, and
/// an answer to a group address would go to everybody.
fn asked_for(packet: &Packet) -> Option<IpAddr> {
    match packet {
        Packet::Arp(arp) => {
            let question =
                arp.operation == Operation::Request && !arp.is_gratuitous() && arp.sender_mac.is_unicast();
            question.then_some(arp.target_ip.into())
        }
        Packet::Solicitation(solicitation) => {
            let question = solicitation.source_link_layer.is_none_or(Mac::is_unicast);
            question.then_some(solicitation.target.into())
        }
        Packet::Advertisement(_) => None,
    }
}
