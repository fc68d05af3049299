//! The loop around the [`Machine`]: sockets, groups and the clock.
//!
//! It runs on a thread of its own, so that no work for the API delays an answer: a frame is answered from memory,
//! whatever the API server does.

mod thread;
mod upkeep;
mod wiring;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tracing::{debug, info, trace, warn};

use crate::link::{LinkId, Links};
use crate::metrics::PortMetrics;
use crate::net::{BUFFER_LEN, Groups, Port, Sockets};
use crate::ownership::{Change, Event, Machine, Reception, Stop, Timing, Transmit, TransmitKind};
use crate::wire::Frame;

pub use self::thread::DriverError;
use self::thread::Orders;
pub use self::wiring::{Cluster, Notice, Wiring};

/// Frames sent and events carried out before the rest of the loop has its turn.
const BATCH: usize = 64;
/// How often kernel drops are read, and missing sockets and groups are tried again.
const UPKEEP: Duration = Duration::from_secs(5);

/// Carries out what the machine decides.
pub struct Driver {
    machine: Machine,
    sockets: Sockets<PortMetrics>,
    groups: Groups,
    links: Links,
    /// Links that are up and lost IPv6.
    without_ipv6: BTreeSet<LinkId>,
    wiring: Wiring,
    /// There are events to carry out, or it has to be told that there are none any more.
    unsettled: bool,
    /// What was said of the cluster last.
    known: Option<Cluster>,
    /// It stops, and how.
    stopping: Option<Stop>,
}

/// A part that a loop depends on is gone.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended")]
pub struct SourceEnded(pub(crate) &'static str);

impl Driver {
    /// A driver that knows nothing yet. `seed` makes when it does something differ from other nodes'.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn new(seed: u64, timing: Timing, wiring: Wiring) -> io::Result<Self> {
        Ok(Self {
            machine: Machine::new(seed, timing),
            sockets: Sockets::new()?,
            groups: Groups::default(),
            links: Links::new(),
            without_ipv6: BTreeSet::new(),
            wiring,
            unsettled: false,
            known: None,
            stopping: None,
        })
    }

    /// Takes turns until it is asked to stop and others have taken up what is theirs then, or nobody waits for that any
    /// more.
    fn take_turns(mut self, orders: &Orders) -> Result<(), DriverError> {
        let mut buffer = [0; BUFFER_LEN];
        let mut upkeep = clock();
        // What was told before the first wait did not ring.
        let mut rung = true;
        while !self.is_stopped() && !orders.is_abandoned() {
            if std::mem::take(&mut rung) && self.stopping.is_none() {
                if orders.is_stopping() {
                    self.begin_to_stop();
                } else {
                    self.take_news();
                }
            }
            self.receive(&mut buffer);
            let mut now = clock();
            if self.due().is_some_and(|due| due <= now) {
                // What was said in time must not be overlooked because this thread was late.
                rung = self.drain(&mut buffer)?;
                now = clock();
                self.machine.handle_timeout(now);
            }
            if upkeep <= now {
                upkeep = now + UPKEEP;
                self.maintain();
            }
            self.settle();
            let unsent = self.send_up_to(BATCH, now);
            let next = self.due().map_or(upkeep, |due| due.min(upkeep));
            let pending = rung || unsent || self.unsettled;
            let waited = if pending { self.sockets.look() } else { self.sockets.wait(next, clock()) };
            rung |= waited.map_err(DriverError::Wait)?;
        }
        self.wiring.stopped.send_replace(self.stopping);
        Ok(())
    }

    fn begin_to_stop(&mut self) {
        let going = self.known.as_ref().is_some_and(|cluster| cluster.going);
        let why = if going { Stop::Leave } else { Stop::Restart };
        info!(
            event = "stopping",
            addresses = self.machine.owned_count(),
            ?why,
            "others take up what this speaker does"
        );
        self.machine.stop(why, clock());
        self.stopping = Some(why);
    }

    fn is_stopped(&self) -> bool {
        self.stopping.is_some() && self.machine.is_stopped(clock())
    }

    /// When the machine has something to do next.
    fn due(&self) -> Option<Instant> {
        self.machine.poll_timeout().filter(|_| !self.unsettled)
    }

    /// Takes up what is new. Whether there is anybody left to tell news is not looked at here.
    fn take_news(&mut self) {
        if self.wiring.links.has_changed().unwrap_or(false) {
            self.take_links();
        }
        if self.wiring.cluster.has_changed().unwrap_or(false) {
            self.take_cluster();
        }
    }

    /// Takes up the frames that were waited for.
    fn receive(&mut self, buffer: &mut [u8]) {
        while let Some((port, received)) = self.sockets.receive(buffer) {
            self.received(port, received, buffer);
        }
    }

    /// Takes up what is there already, up to a bound; says whether somebody rang.
    fn drain(&mut self, buffer: &mut [u8]) -> Result<bool, DriverError> {
        let mut rung = false;
        for _ in 0..BATCH {
            rung |= self.sockets.look().map_err(DriverError::Wait)?;
            if !self.sockets.has_frames() {
                break;
            }
            self.receive(buffer);
        }
        Ok(rung)
    }

    fn received(&mut self, (link, protocol): Port, received: io::Result<usize>, buffer: &[u8]) {
        let bytes = match received {
            Ok(length) => &buffer[..length.min(buffer.len())],
            Err(error) => {
                // The link went down or away; that is told by netlink too.
                debug!(%link, protocol = protocol.name(), %error, "can't receive");
                return;
            }
        };
        match Frame::parse(bytes) {
            Ok(frame) => {
                let now = clock();
                let reception = self.machine.handle_frame(link, &frame, now);
                trace!(%link, ?frame, ?reception, "received");
                self.count(reception, (link, protocol));
                if reception == Reception::Answered {
                    // Where the answer takes an address over, its group is joined first.
                    self.settle();
                    self.send_up_to(1, now);
                }
            }
            Err(error) => {
                trace!(%link, %error, ?bytes, "malformed");
                self.wiring.metrics.count_malformed(error.reason());
            }
        }
    }

    fn count(&self, reception: Reception, port: Port) {
        if reception == Reception::Ignored {
            return;
        }
        let Some(metrics) = self.sockets.value(port) else { return };
        metrics.questions.inc();
        if reception == Reception::Throttled {
            metrics.throttled.inc();
        }
    }

    fn take_links(&mut self) {
        let Some(links) = self.wiring.links.borrow_and_update().clone() else { return };
        self.notice_ipv6(&links);
        self.links.clone_from(&links);
        self.open_sockets();
        self.retry_groups();
        self.machine.set_links(links, clock());
        self.show_waiting();
    }

    fn take_cluster(&mut self) {
        let Some(cluster) = self.wiring.cluster.borrow_and_update().clone() else { return };
        let now = clock();
        let known = self.known.replace(cluster.clone());
        if known.is_none() {
            self.machine.set_hints((*cluster.hints).clone());
        }
        if known.as_ref().is_none_or(|known| !Arc::ptr_eq(&known.peers, &cluster.peers)) {
            debug!(speakers = cluster.peers.len(), "speakers changed");
            self.machine.set_peers(cluster.peers, now);
        }
        if known.is_none_or(|known| !Arc::ptr_eq(&known.desired, &cluster.desired)) {
            debug!(addresses = cluster.desired.len(), "new wishes");
            self.machine.set_desired(cluster.desired, now);
        }
        self.unsettled = true;
    }

    /// Carries out events, up to a batch. A notice that nobody takes means that the process is about to end.
    fn settle(&mut self) {
        for _ in 0..BATCH {
            let Some(event) = self.machine.poll_event() else {
                if std::mem::take(&mut self.unsettled) {
                    _ = self.wiring.notices.send(Notice::Settled);
                }
                return;
            };
            self.unsettled = true;
            self.join_or_leave(&event);
            _ = self.wiring.notices.send(Notice::Event(event, wall_clock()));
        }
    }

    /// Sends so many frames at most; says whether there may be more.
    fn send_up_to(&mut self, most: usize, now: Instant) -> bool {
        for _ in 0..most {
            let Some(transmit) = self.machine.poll_transmit(now) else { return false };
            self.send(&transmit);
        }
        true
    }

    fn join_or_leave(&mut self, event: &Event) {
        let IpAddr::V6(address) = event.address else { return };
        match event.change {
            Change::Announcing { .. } | Change::Covering { .. } => {
                if let Err(error) = self.groups.join(event.link, address) {
                    let interface = &*event.interface;
                    warn!(event = "groupNotJoined", %address, interface, %error, "can't join the address's solicited-node group: switches may not deliver questions for it; retrying");
                }
            }
            Change::Withdrawn(_) | Change::Uncovered => self.groups.leave(event.link, address),
            Change::Found(_) | Change::Over(_) => {}
        }
    }

    fn send(&self, transmit: &Transmit) {
        let Some((socket, metrics)) = self.sockets.get(transmit.link, &transmit.frame.packet) else { return };
        match socket.send(&transmit.frame.emit()) {
            Ok(()) => {
                trace!(link = %transmit.link, frame = ?transmit.frame, "sent");
                match transmit.kind {
                    TransmitKind::Answer => metrics.answers.inc(),
                    TransmitKind::Announcement(kind) => metrics.announcements(kind).inc(),
                    TransmitKind::Question => metrics.watching.inc(),
                    TransmitKind::Probe => metrics.probes.inc(),
                    TransmitKind::Offer => metrics.offers.inc(),
                };
            }
            // Nothing to mend here: a question is asked again, an announcement repeated, a link told by netlink.
            Err(error) => {
                debug!(link = %transmit.link, %error, "can't send");
                metrics.send_errors.inc();
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
