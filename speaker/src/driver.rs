//! The loop around the [`Machine`]: sockets, groups and the clock.
//!
//! It runs on a thread of its own, so that no work for the API delays an answer: a frame is answered from memory,
//! whatever the API server does.

mod thread;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferrolb_runtime::readiness::Gate;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, trace, warn};

use crate::link::Links;
use crate::metrics::{Metrics, PortMetrics};
use crate::net::exclusion::Patterns;
use crate::net::{Groups, Opened, Port, Protocol, Sockets};
use crate::ownership::{Desired, Event, Machine, Reception, Transmit, TransmitKind};
use crate::wire::Frame;

pub use self::thread::DriverError;

/// Longer frames are cut off, and then refused: no question that we answer comes near.
const BUFFER_LEN: usize = 2048;
/// Frames sent and events carried out before the rest of the loop has its turn.
const BATCH: usize = 64;
/// How often kernel drops are read, and missing sockets and groups are tried again.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the driver tells the control loop.
#[derive(Debug)]
pub enum Notice {
    /// The machine changed state, at this time.
    Event(Event, Timestamp),
    /// Nothing more comes of what was taken up last; so it is too after the first wishes, even if they are empty.
    Settled,
}

/// What the driver is connected to.
pub struct Wiring {
    /// The links, once they are known.
    pub links: watch::Receiver<Option<Links>>,
    /// Interfaces whose card is to pass on everything.
    pub promiscuous: Patterns,
    /// What to announce, once it is known.
    pub desired: watch::Receiver<Option<Arc<Desired>>>,
    /// Takes notices.
    pub notices: mpsc::UnboundedSender<Notice>,
    /// Opened once every socket is.
    pub gate: Gate,
    /// Counts.
    pub metrics: Metrics,
}

/// Carries out what the machine decides.
pub struct Driver {
    machine: Machine,
    sockets: Sockets<PortMetrics>,
    groups: Groups,
    links: Links,
    wiring: Wiring,
    /// There are events to carry out, or it has to be told that there are none any more.
    unsettled: bool,
}

/// A part that a loop depends on is gone.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended")]
pub struct SourceEnded(pub(crate) &'static str);

impl Driver {
    /// A driver that knows nothing yet. `seed` makes its timing differ from other nodes'.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn new(seed: u64, wiring: Wiring) -> io::Result<Self> {
        Ok(Self {
            machine: Machine::new(seed),
            sockets: Sockets::new()?,
            groups: Groups::default(),
            links: Links::new(),
            wiring,
            unsettled: false,
        })
    }

    fn take_turns(mut self, stopped: &AtomicBool) -> Result<(), DriverError> {
        let mut buffer = [0; BUFFER_LEN];
        let mut upkeep = now();
        // What was told before the first wait did not ring.
        let mut rung = true;
        loop {
            if stopped.load(Ordering::Acquire) {
                return Ok(());
            }
            if rung {
                self.take_news()?;
            }
            while let Some((port, received)) = self.sockets.receive(&mut buffer) {
                self.received(port, received, &buffer);
            }
            let now = now();
            if self.due().is_some_and(|due| due <= now) {
                self.machine.handle_timeout(now);
            }
            if upkeep <= now {
                upkeep = now + UPKEEP;
                self.maintain();
            }
            self.settle();
            self.send_up_to(BATCH);
            let next = if self.unsettled { now } else { self.due().map_or(upkeep, |due| due.min(upkeep)) };
            rung = self.sockets.wait(Some(next.saturating_duration_since(now))).map_err(DriverError::Wait)?;
        }
    }

    /// When the machine has something to do next.
    fn due(&self) -> Option<Instant> {
        self.machine.poll_timeout().filter(|_| !self.unsettled)
    }

    fn take_news(&mut self) -> Result<(), SourceEnded> {
        if self.wiring.links.has_changed().map_err(|_| SourceEnded("the watch of links"))? {
            self.take_links();
        }
        if self.wiring.desired.has_changed().map_err(|_| SourceEnded("the control loop"))? {
            self.take_desired();
        }
        Ok(())
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
                let reception = self.machine.handle_frame(link, &frame, now());
                trace!(%link, ?frame, ?reception, "received");
                self.count(reception, (link, protocol));
                if reception == Reception::Answered {
                    self.send_up_to(1);
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
        self.links.clone_from(&links);
        self.open_sockets();
        self.retry_groups();
        self.machine.set_links(links, now());
        self.show_waiting();
    }

    fn take_desired(&mut self) {
        let Some(desired) = self.wiring.desired.borrow_and_update().clone() else { return };
        debug!(addresses = desired.len(), "new wishes");
        self.machine.set_desired(desired, now());
        self.unsettled = true;
    }

    fn open_sockets(&mut self) {
        let name = |port: Port| self.links.get(&port.0).map_or("", |link| link.name.as_str());
        let metrics = &self.wiring.metrics;
        let opened =
            self.sockets.sync(&self.links, &self.wiring.promiscuous, |port| metrics.port(name(port), port.1));
        let mut complete = true;
        for (port, result) in opened {
            let (interface, protocol) = (name(port), port.1);
            match (result, protocol) {
                (Opened::Yes, Protocol::Arp) => {
                    info!(event = "createARPResponder", interface, "answering ARP")
                }
                (Opened::Yes, Protocol::Ndp) => {
                    info!(event = "createNDPResponder", interface, "answering NDP")
                }
                (Opened::No(error), _) => {
                    complete = false;
                    let protocol = protocol.name();
                    warn!(event = "socketFailed", interface, protocol, %error, "can't open a packet socket (it needs the capability NET_RAW); retrying");
                }
            }
        }
        self.wiring.gate.set(complete);
    }

    fn maintain(&mut self) {
        for (port, socket, metrics) in self.sockets.iter_mut() {
            match socket.drops() {
                Ok(drops) => {
                    let new = drops.saturating_sub(metrics.kernel_drops.get());
                    metrics.kernel_drops.inc_by(new);
                    if new > 0
                        && let Err(error) = socket.shuffle()
                    {
                        debug!(link = %port.0, %error, "can't divide the receive queues anew");
                    }
                }
                Err(error) => debug!(link = %port.0, %error, "can't read the kernel's drops"),
            }
        }
        if !self.links.is_empty() {
            self.open_sockets();
        }
        self.retry_groups();
        self.show_waiting();
    }

    fn show_waiting(&self) {
        let waiting = self.machine.waiting();
        let named = waiting.filter_map(|(link, count)| Some((self.links.get(&link)?.name.as_str(), count)));
        self.wiring.metrics.set_waiting(named);
    }

    fn retry_groups(&mut self) {
        for (link, address) in self.groups.retry() {
            let interface = self.links.get(&link).map_or("", |link| link.name.as_str());
            info!(event = "groupJoined", %address, interface, "joined the address's solicited-node group at last");
        }
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

    fn send_up_to(&mut self, most: usize) {
        let now = now();
        for _ in 0..most {
            let Some(transmit) = self.machine.poll_transmit(now) else { return };
            self.send(&transmit);
        }
    }

    fn join_or_leave(&mut self, event: &Event) {
        match *event {
            Event::Announcing { address: IpAddr::V6(address), link, ref interface, .. } => {
                if let Err(error) = self.groups.join(link, address) {
                    warn!(event = "groupNotJoined", %address, interface, %error, "can't join the address's solicited-node group: switches may not deliver questions for it; retrying");
                }
            }
            Event::Withdrawn { address: IpAddr::V6(address), link, .. } => self.groups.leave(link, address),
            Event::Announcing { .. } | Event::Withdrawn { .. } => {}
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
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
