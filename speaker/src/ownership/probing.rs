//! Looking whether somebody answers for an address, before it is claimed or covered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::frames;
use super::machine::{Machine, Timer};
use super::mutation::Mutation;
use super::output::{GainCause, TransmitKind};
use super::slot::{Purpose, Slot, State};
use crate::link::LinkId;

/// Questions to a supposed owner: it may be busy, and what is somebody's is not to be taken.
const CONFIRMATIONS: u8 = 3;

impl Machine {
    /// An address's timer is due.
    pub(super) fn slot_due(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(slot) = self.slots.get(&(link, address)) else { return };
        match &slot.state {
            State::Backup => {}
            State::Waiting(purpose) => {
                let purpose = purpose.clone();
                if self.purpose(link, address, now).as_ref() == Some(&purpose) {
                    self.begin_probing(link, address, purpose, now);
                } else {
                    self.back_up(link, address);
                    self.plan(link, address, now);
                }
            }
            State::Probing(purpose, left) => {
                let (purpose, left) = (purpose.clone(), *left);
                self.unanswered(link, address, purpose, left, now);
            }
            State::Owner(_) => self.owner_due(link, address, now),
            State::Covering { probing, .. } => {
                let probing = *probing;
                match self.purpose(link, address, now) {
                    Some(Purpose::Own(cause)) if probing => self.begin(link, address, cause, now),
                    Some(Purpose::Own(_) | Purpose::Cover) => {
                        self.keep_covering(link, address, probing, now);
                    }
                    Some(Purpose::Confirm) | None => self.settle(link, address, now),
                }
            }
            State::Conflict(_) if self.stopping.is_some() => {
                self.back_up(link, address);
                self.conflict_over(link, address);
            }
            State::Conflict(_) => {
                let purpose = Purpose::Own(GainCause::Unclaimed);
                self.begin_probing(link, address, purpose, now);
            }
        }
    }

    pub(super) fn begin_probing(&mut self, link: LinkId, address: IpAddr, purpose: Purpose, now: Instant) {
        let left = match &purpose {
            Purpose::Own(GainCause::Unclaimed) => self.timing.placement_probes.saturating_sub(1),
            Purpose::Confirm => CONFIRMATIONS - 1,
            Purpose::Own(_) | Purpose::Cover => 0,
        };
        if purpose == Purpose::Cover && self.breaks(Mutation::CoveringCheck) {
            self.begin_covering(link, address, now);
            return;
        }
        if matches!(purpose, Purpose::Own(_)) && self.is_cut_off(link, now) {
            self.ask_whoever_is_there(link, now);
        }
        self.probe_for(link, address, purpose, left, now);
    }

    /// Asks whoever has to be asked, and waits for answers; so many questions are left after this one.
    fn probe_for(&mut self, link: LinkId, address: IpAddr, purpose: Purpose, left: u8, now: Instant) {
        let wait = if purpose == Purpose::Confirm {
            self.ask_supposed_owner(link, address);
            self.timing.question
        } else {
            self.send_probe(link, address, now);
            self.timing.probe
        };
        if let Some(slot) = self.slots.get_mut(&(link, address)) {
            slot.state = State::Probing(purpose, left);
        }
        self.timers.set(Timer::Slot(link, address), Some(now + wait));
    }

    fn ask_supposed_owner(&mut self, link: LinkId, address: IpAddr) {
        let owner = self.slots.get(&(link, address)).and_then(|slot| slot.owner);
        if let (Some(owner), Some(here)) = (owner, self.link(link)) {
            let frame = frames::ask(address, here, owner.mac);
            self.send(link, address, TransmitKind::Question, frame);
        }
    }

    pub(super) fn send_probe(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        let Some(here) = self.link(link) else { return };
        let frame = frames::probe(address, here);
        self.send_to_all(link, address, TransmitKind::Probe, frame, now);
    }

    /// Nobody answered in time.
    pub(super) fn unanswered(
        &mut self,
        link: LinkId,
        address: IpAddr,
        purpose: Purpose,
        left: u8,
        now: Instant,
    ) {
        if left > 0 {
            self.probe_for(link, address, purpose, left - 1, now);
            return;
        }
        match purpose {
            Purpose::Confirm => {
                self.set_owner(link, address, None, now);
                self.back_up(link, address);
                self.plan(link, address, now);
                self.ask_all_presence(link, now);
            }
            Purpose::Cover => self.begin_covering(link, address, now),
            Purpose::Own(cause) => {
                let deaf = self.is_deaf(link, now);
                if !deaf && !self.is_cut_off(link, now) {
                    self.begin(link, address, cause, now);
                    return;
                }
                // The probe may have been heard by nobody.
                if let Some(slot) = self.slots.get_mut(&(link, address)) {
                    slot.state = State::Waiting(Purpose::Own(cause));
                }
                if deaf {
                    self.timers.set(Timer::Slot(link, address), None);
                    self.schedule_link(link, now);
                } else {
                    self.ask_whoever_is_there(link, now);
                    self.wait(link, address, self.timing.question, now);
                }
            }
        }
    }

    /// Whether nothing is claimed here yet, as nobody was heard.
    pub(super) fn is_deaf(&self, link: LinkId, now: Instant) -> bool {
        self.deaf_until(link, now).is_some()
    }

    /// Until when nothing is claimed, as nobody was heard yet: this link may not be connected to anything.
    pub(super) fn deaf_until(&self, link: LinkId, now: Instant) -> Option<Instant> {
        let here = self.here.get(&link)?;
        let until = here.up_since + self.timing.deaf;
        (!here.hosts.any() && now < until).then_some(until)
    }

    /// Some other host was heard for the first time since the link came up, or there seems to be none: what waits for that
    /// goes on.
    pub(super) fn end_deafness(&mut self, link: LinkId, now: Instant) {
        if let Some(here) = self.here.get_mut(&link) {
            here.deaf = false;
        }
        let waits =
            |(_, slot): &(&(LinkId, IpAddr), &Slot)| matches!(slot.state, State::Waiting(Purpose::Own(_)));
        let waiting = self.slots.iter().filter(|((on, _), _)| *on == link).filter(waits);
        for address in waiting.map(|((_, address), _)| *address).collect::<Vec<_>>() {
            self.wait(link, address, Duration::ZERO, now);
        }
        self.schedule_link(link, now);
    }
}
