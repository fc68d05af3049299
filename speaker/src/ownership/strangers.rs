//! Hosts that are no speakers and say that they have an address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::{Machine, Timer};
use super::output::Change;
use super::slot::{Purpose, State, Stranger};
use super::statements::Statement;
use crate::finding::Finding;
use crate::link::LinkId;
use crate::wire::Mac;

/// Between the questions that tell a proxy from another host, where several addresses give a reason to ask.
const ASK: Duration = Duration::from_secs(1);

/// The proxies on a link: hosts that answer for other hosts' addresses in their own name (RFC 1027).
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// When each was last seen to answer for a peer's node.
    known: BTreeMap<Mac, Instant>,
    /// A peer's address that everybody was asked for, and when: who answers beside the peer is a proxy.
    asked: Option<(IpAddr, Instant)>,
    /// When that is asked next, to learn whether the known ones still do.
    pub(super) due: Option<Instant>,
}

impl Machine {
    /// A host that is no speaker says that it has the address.
    pub(super) fn hear_stranger(&mut self, link: LinkId, address: IpAddr, mac: Mac, now: Instant) {
        let conflict = self.timing.conflict;
        if self.is_proxy(link, mac) {
            self.note_proxied(link, address, mac);
            return;
        }
        let takes_over = matches!(self.purpose(link, address, now), Some(Purpose::Own(_)));
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        match &mut slot.state {
            State::Owner(ownership) => {
                // RFC 5227 section 2.4: defend, but not without end.
                if ownership.defended.is_some_and(|at| now < at + conflict) {
                    return;
                }
                ownership.defended = Some(now);
                self.announce_now(link, address, now);
                if self.timers.get(Timer::Slot(link, address)).is_none() {
                    self.timers.set(Timer::Slot(link, address), Some(now + conflict * 3));
                }
            }
            State::Probing(Purpose::Own(_), _) => self.leave_to(link, address, mac, now),
            State::Covering { probing: true, .. } if takes_over => {
                self.uncover(link, address);
                self.leave_to(link, address, mac, now);
            }
            State::Backup
            | State::Waiting(_)
            | State::Probing(..)
            | State::Covering { .. }
            | State::Conflict(_) => return,
        }
        self.set_conflict(link, address, Stranger { mac, proxy: false });
        self.look_for_proxies(link, address, now);
    }

    fn leave_to(&mut self, link: LinkId, address: IpAddr, mac: Mac, now: Instant) {
        self.set_owner(link, address, None, now);
        if let Some(slot) = self.slots.get_mut(&(link, address)) {
            slot.state = State::Conflict(mac);
        }
        self.timers.set(Timer::Slot(link, address), Some(now + self.timing.conflict));
    }

    /// No stranger answers for an address any more, or not in this node's place.
    pub(super) fn conflict_over(&mut self, link: LinkId, address: IpAddr) {
        let conflict = self.slots.get_mut(&(link, address)).and_then(|slot| slot.conflict.take());
        if let Some(stranger) = conflict {
            self.emit(link, address, Change::Over(stranger.finding()));
        }
    }

    fn set_conflict(&mut self, link: LinkId, address: IpAddr, stranger: Stranger) {
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        let before = slot.conflict.replace(stranger);
        if before == Some(stranger) {
            return;
        }
        if let Some(before) = before {
            self.emit(link, address, Change::Over(before.finding()));
        }
        self.emit(link, address, Change::Found(stranger.finding()));
    }

    /// A proxy takes no address: it answers for every one. That is told, and changes nothing.
    fn note_proxied(&mut self, link: LinkId, address: IpAddr, mac: Mac) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        if matches!(slot.state, State::Owner(_) | State::Probing(Purpose::Own(_), _) | State::Conflict(_)) {
            self.set_conflict(link, address, Stranger { mac, proxy: true });
        }
    }

    fn is_proxy(&self, link: LinkId, mac: Mac) -> bool {
        self.here.get(&link).is_some_and(|here| here.proxies.known.contains_key(&mac))
    }

    /// Asks everybody for a peer's own address, of the family of one that a stranger answers for.
    fn look_for_proxies(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let neighbours = self.neighbours_on(link).filter(|(_, neighbour)| neighbour.heard.is_some());
        let links = neighbours.filter_map(|(node, _)| self.peer(node)).flat_map(|peer| &peer.links);
        let of_family = |own: &IpAddr| own.is_ipv4() == address.is_ipv4();
        let Some(of_peer) = links.flat_map(super::PeerLink::addresses).find(of_family) else { return };
        let Some(here) = self.here.get_mut(&link) else { return };
        if here.proxies.asked.is_none_or(|(asked, at)| asked != of_peer || now >= at + ASK) {
            here.proxies.asked = Some((of_peer, now));
            self.ask_everybody(link, of_peer, now);
        }
    }

    /// A host that is no speaker says who has an address: one that names itself for a peer's is a proxy.
    pub(super) fn hear_proxy(&mut self, link: LinkId, said: &Statement, now: Instant) {
        let again = now + self.timing.conflict;
        let Some(here) = self.here.get_mut(&link) else { return };
        let asked = here.proxies.asked.is_some_and(|(asked, _)| asked == said.address);
        if !asked || !said.to_us || said.by != said.receiver {
            return;
        }
        here.proxies.due.get_or_insert(again);
        if here.proxies.known.insert(said.receiver, now).is_some() {
            return;
        }
        for address in self.contested(link, said.receiver) {
            self.note_proxied(link, address, said.receiver);
            let slot = self.slots.get(&(link, address));
            if slot.is_some_and(|slot| matches!(slot.state, State::Conflict(_))) {
                self.back_up(link, address);
                self.plan(link, address, now);
            }
        }
        self.schedule_link(link, now);
    }

    /// Looks whether the known proxies still answer.
    pub(super) fn proxies_due(&mut self, link: LinkId, now: Instant) {
        let conflict = self.timing.conflict;
        let Some(proxies) = self.here.get_mut(&link).map(|here| &mut here.proxies) else { return };
        if proxies.due.is_none_or(|due| due > now) {
            return;
        }
        let mut gone = Vec::new();
        proxies.known.retain(|mac, heard| {
            let stays = now < *heard + conflict * 3;
            if !stays {
                gone.push(*mac);
            }
            stays
        });
        proxies.due = (!proxies.known.is_empty()).then_some(now + conflict);
        let again = proxies.asked.filter(|_| proxies.due.is_some());
        for mac in gone {
            for address in self.contested(link, mac) {
                self.conflict_over(link, address);
            }
        }
        if let Some((address, _)) = again {
            self.ask_everybody(link, address, now);
        }
    }

    /// The addresses that a stranger answers for.
    fn contested(&self, link: LinkId, mac: Mac) -> Vec<IpAddr> {
        let by_it = self.slots.iter().filter(|((on, _), slot)| {
            *on == link && slot.conflict.is_some_and(|stranger| stranger.mac == mac)
        });
        by_it.map(|((_, address), _)| *address).collect()
    }
}

impl Stranger {
    fn finding(self) -> Finding {
        let Self { mac, proxy } = self;
        if proxy { Finding::ProxyArp { mac } } else { Finding::AddressConflict { mac } }
    }
}
