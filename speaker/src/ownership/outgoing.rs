//! What goes out: frames, and events.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::cluster::ServiceName;
use super::frames;
use super::machine::Machine;
use super::output::{Change, Event, Transmit, TransmitKind};
use super::stopping::Stop;
use crate::link::LinkId;
use crate::wire::Frame;

impl Machine {
    /// The next frame to send now: announcements last.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        while let Some(transmit) = self.out.pop_front() {
            if self.still_holds(&transmit) {
                return Some(transmit);
            }
        }
        if self.stops(Stop::Restart) {
            // Whoever hears an announcement takes its sender for one that lives on.
            return None;
        }
        // After a pause nothing is claimed before it is clear that it is still ours; a burst has other rounds.
        let quiet = |link| self.here.get(&link).is_some_and(|here| here.quiet.is_some());
        let mut announcements = std::iter::from_fn(|| self.announcer.poll(now));
        let announcement = announcements.find(|announcement| !quiet(announcement.link))?;
        let here = self.links.get(&announcement.link)?;
        let (link, address) = (announcement.link, announcement.address);
        let frame = frames::announcement(address, announcement.form, here)?;
        self.expect_elsewhere(link, frame, now);
        Some(Transmit { link, address, kind: TransmitKind::Announcement(announcement.kind), frame })
    }

    /// The next change to report. An address is not announced before its event was taken, so that its group can be
    /// joined first.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Change::Announcing { .. } = event.change
            && let Some(ownership) = self.ownership(event.link, event.address)
        {
            self.announcer.start(event.link, event.address, ownership.since);
        }
        Some(event)
    }

    /// Whether a frame that waits to be sent is still right.
    fn still_holds(&self, transmit: &Transmit) -> bool {
        let sends = self.links.get(&transmit.link).is_some_and(|link| link.mac == transmit.frame.source);
        let answers = || {
            self.slots
                .get(&(transmit.link, transmit.address))
                .is_some_and(|slot| slot.is_owner() || slot.is_covering())
        };
        match transmit.kind {
            TransmitKind::Answer | TransmitKind::Announcement(_) => sends && answers(),
            TransmitKind::Question | TransmitKind::Probe | TransmitKind::Offer => sends,
        }
    }

    pub(super) fn send(&mut self, link: LinkId, address: IpAddr, kind: TransmitKind, frame: Frame) {
        self.out.push_back(Transmit { link, address, kind, frame });
    }

    /// Sends to everybody, and notes it, since another link of this node may be on the same segment.
    pub(super) fn send_to_all(
        &mut self,
        link: LinkId,
        address: IpAddr,
        kind: TransmitKind,
        frame: Frame,
        now: Instant,
    ) {
        self.expect_elsewhere(link, frame, now);
        self.send(link, address, kind, frame);
    }

    pub(super) fn emit(&mut self, link: LinkId, address: IpAddr, change: Change) {
        let services = self.desired.get(&address).map(|wanted| Arc::clone(&wanted.services));
        self.emit_for(link, address, services.unwrap_or_default(), change);
    }

    pub(super) fn emit_for(
        &mut self,
        link: LinkId,
        address: IpAddr,
        services: Arc<[ServiceName]>,
        change: Change,
    ) {
        let interface = self.links.get(&link).map(|link| link.name.as_str()).unwrap_or_default().into();
        self.events.push_back(Event { address, link, interface, services, change });
    }
}
