//! Answering questions for what this node owns or covers.

use std::net::IpAddr;
use std::time::Instant;

use super::frames;
use super::machine::Machine;
use super::output::{Reception, TransmitKind};
use super::slot::State;
use crate::link::LinkId;
use crate::responder::Responder;
use crate::wire::{Frame, Mac, Operation, Packet};

impl Machine {
    /// Answers a question for what this node owns or covers.
    pub(super) fn hear_question(
        &mut self,
        link: LinkId,
        frame: &Frame,
        (address, probe): (IpAddr, bool),
        now: Instant,
    ) -> Reception {
        // Who probes may be about to claim the address, and has to be answered.
        if !probe
            && frame.destination.is_group()
            && self.by_mac.contains_key(&frame.source)
            && self.owns(link, address)
            && self.stopping.is_none()
            && self.is_unsure(link, address, now)
        {
            // Whoever served meanwhile answers the probe, and keeps the address. He would yield to an answer before it.
            if self.is_doubtful(link, now) && self.doubt_is_heard(link, address, now) {
                self.show_doubt(link, address, now);
            }
            return Reception::Ignored;
        }
        let Some(receiver) = self.receiver(link, address, frame.source) else {
            if !probe && frame.destination.is_group() {
                self.hear_client(link, address, frame.source, now);
            }
            return Reception::Ignored;
        };
        let Some(here) = self.links.get(&link) else { return Reception::Ignored };
        let Some(answer) = frames::answer(frame, here, receiver) else { return Reception::Ignored };
        let responder = self.responders.entry(link).or_insert_with(|| Responder::new(self.seed, now));
        if !responder.admit(frame.source, address, now) {
            return Reception::Throttled;
        }
        self.send(link, address, TransmitKind::Answer, answer);
        if frame.destination.is_group() && self.by_mac.contains_key(&frame.source) {
            // A peer asks everybody where it does not know who has the address; so may others on its side.
            self.tell_everybody(link, address, now);
        }
        Reception::Answered
    }

    /// Whoever sends in the name of an address uses it (RFC 5227 section 2.4), whatever he says. Nodes may, as their
    /// kernels have addresses that their proxies serve.
    pub(super) fn hear_sender(&mut self, link: LinkId, frame: &Frame, now: Instant) {
        let Packet::Arp(arp) = &frame.packet else { return };
        let address = IpAddr::from(arp.sender_ip);
        let known = |mac| self.by_mac.contains_key(&mac) || self.own_macs.contains(&mac);
        let is_claim = arp.operation == Operation::Request
            && !arp.is_gratuitous()
            && arp.sender_mac.is_unicast()
            && self.slots.contains_key(&(link, address));
        if is_claim && !known(frame.source) && !known(arp.sender_mac) {
            self.hear_stranger(link, address, arp.sender_mac, now);
        }
    }

    /// The hardware address that this node names when somebody asks for an address, if it answers him.
    pub(super) fn receiver(&self, link: LinkId, address: IpAddr, asker: Mac) -> Option<Mac> {
        match &self.slots.get(&(link, address))?.state {
            State::Owner(_) if self.here.get(&link)?.quiet.is_some() => None,
            State::Owner(_) if self.ignores(asker) => None,
            State::Owner(_) => Some(self.links.get(&link)?.mac),
            State::Covering { .. } if self.ignores(asker) => None,
            State::Covering { owner, .. } => Some(owner.mac),
            State::Backup | State::Waiting(_) | State::Probing(..) | State::Conflict(_) => None,
        }
    }

    /// The hardware address that this node would name if a host that is no speaker asked for an address now.
    pub fn answer_for(&self, link: LinkId, address: IpAddr) -> Option<Mac> {
        self.receiver(link, address, Mac::ZERO)
    }
}
