//! Hosts that are no speakers and say that they have an address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::{Machine, Timer};
use super::output::Change;
use super::slot::{Purpose, Slot, State, Stranger};
use super::statements::Statement;
use crate::finding::Finding;
use crate::link::LinkId;
use crate::wire::Mac;

/// Whoever is asked answers within this time.
const ASK: Duration = Duration::from_secs(1);
/// So many proxies are known at a time on a link.
const MOST: usize = 8;

/// The proxies on a link: hosts that answer for other hosts' addresses in their own name (RFC 1027). Each family is looked at
/// by itself.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// When each was last seen to answer for a peer's node.
    known: BTreeMap<(Mac, Family), Instant>,
    /// A peer's address that everybody was asked for, and when: who answers beside the peer is a proxy.
    asked: BTreeMap<Family, (IpAddr, Instant)>,
    /// When that is asked next, to learn whether the known ones still do.
    pub(super) due: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }
}

impl Machine {
    /// A host that is no speaker says that it has the address.
    pub(super) fn hear_stranger(&mut self, link: LinkId, address: IpAddr, mac: Mac, now: Instant) {
        let conflict = self.timing.conflict;
        if self.is_proxy(link, address, mac) {
            self.note_proxied(link, address, mac);
            return;
        }
        let reprobes = |slot: &Slot| matches!(slot.state, State::Covering { probing: true, .. });
        let takes_over = self.slots.get(&(link, address)).is_some_and(reprobes)
            && matches!(self.purpose(link, address, now), Some(Purpose::Own(_)));
        let Some(slot) = self.slots.get_mut(&(link, address)) else { return };
        match &mut slot.state {
            State::Owner(ownership) => {
                // RFC 5227 section 2.4: defend, but not without end.
                if ownership.defended().is_some_and(|at| now < at + conflict) {
                    return;
                }
                ownership.dispute_mut().defended = Some(now);
                self.announce_now(link, address, now);
                self.timers.hasten(Timer::Slot(link, address), now + conflict * 3);
            }
            State::Probing(Purpose::Own(_), _) => self.leave_to(link, address, mac, now),
            State::Covering { .. } if takes_over => {
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
        let told_of_another = slot.conflict.is_some_and(|stranger| stranger.mac != mac);
        let tells =
            matches!(slot.state, State::Owner(_) | State::Probing(Purpose::Own(_), _) | State::Conflict(_));
        if tells && !told_of_another {
            self.set_conflict(link, address, Stranger { mac, proxy: true });
        }
    }

    fn is_proxy(&self, link: LinkId, address: IpAddr, mac: Mac) -> bool {
        let key = (mac, Family::of(address));
        self.here.get(&link).is_some_and(|here| here.proxies.known.contains_key(&key))
    }

    /// Asks everybody for a peer's own address, of the family of one that a stranger answers for.
    fn look_for_proxies(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let family = Family::of(address);
        let Some(here) = self.here.get(&link) else { return };
        if here.proxies.asked.get(&family).is_some_and(|(_, at)| now < *at + ASK) {
            return;
        }
        // Of a link on another segment a router answers rightly.
        let of_peer = self.neighbours_on(link).find_map(|(node, neighbour)| {
            let heard = neighbour.heard?;
            let there = self.peer(node)?.links.iter().find(|link| link.macs.contains(&heard))?;
            there.addresses().find(|own| Family::of(*own) == family)
        });
        let Some(of_peer) = of_peer else { return };
        if let Some(here) = self.here.get_mut(&link) {
            here.proxies.asked.insert(family, (of_peer, now));
        }
        self.ask_everybody(link, of_peer, now);
    }

    /// A host that is no speaker says who has an address: one that names itself for a peer's is a proxy.
    pub(super) fn hear_proxy(&mut self, link: LinkId, said: &Statement, now: Instant) {
        let again = now + self.timing.conflict;
        let Some(here) = self.here.get_mut(&link) else { return };
        let (proxies, family) = (&mut here.proxies, Family::of(said.address));
        let asked =
            proxies.asked.get(&family).is_some_and(|(asked, at)| *asked == said.address && now < *at + ASK);
        if !asked || !said.to_us || said.by != said.receiver {
            return;
        }
        let key = (said.receiver, family);
        if proxies.known.len() >= MOST && !proxies.known.contains_key(&key) {
            return;
        }
        proxies.due.get_or_insert(again);
        if proxies.known.insert(key, now).is_some() {
            return;
        }
        for address in self.contested(link, said.receiver, family) {
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
        let (gone, known): (BTreeMap<_, _>, _) =
            std::mem::take(&mut proxies.known).into_iter().partition(|(_, at)| now >= *at + conflict * 3);
        proxies.known = known;
        proxies.due = (!proxies.known.is_empty()).then_some(now + conflict);
        let known = &proxies.known;
        proxies.asked.retain(|family, _| known.keys().any(|(_, of)| of == family));
        for (_, at) in proxies.asked.values_mut() {
            *at = now;
        }
        let again: Vec<IpAddr> = proxies.asked.values().map(|(address, _)| *address).collect();
        for ((mac, family), _) in gone {
            for address in self.contested(link, mac, family) {
                self.conflict_over(link, address);
            }
        }
        for address in again {
            self.ask_everybody(link, address, now);
        }
    }

    /// The addresses that a stranger answers for.
    fn contested(&self, link: LinkId, mac: Mac, family: Family) -> Vec<IpAddr> {
        let by_it = self.slots.iter().filter(|((on, address), slot)| {
            *on == link
                && Family::of(*address) == family
                && slot.conflict.is_some_and(|stranger| stranger.mac == mac)
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
