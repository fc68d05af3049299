//! When and in which form an owner announces its addresses: a plan without input and output.
//!
//! An address that was taken over is announced at once, then in rounds 1.1 s apart, five for ARP and three for NDP, and
//! from then on refreshed every 60 to 120 seconds, so that a lost announcement or a late switch does not matter for
//! long.
//!
//! ```text
//! start ─► ready ──poll──► sent ─► planned for the next round ─┐
//!            ▲                                                 │
//!            └──────────── handle_timeout ◄────────────────────┘
//! ```
//!
//! All announcements on a link share one budget. Where it is not enough, the first frame about an address
//! goes before the rest of its burst, and that before refreshes ([`Kind`]); within a kind, who waited longest goes
//! first. While more addresses are expected to be taken over, only first frames are sent. Everything takes time
//! logarithmic in the number of addresses, and nothing is a frame before it is sent: what is withdrawn needs to be taken
//! out of no queue.

mod budget;
mod rounds;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::jitter;
use crate::link::LinkId;
pub use rounds::{Form, Kind};
use rounds::{Next, Progress};
use segment::{Segment, Ticket};

/// Between the rounds of a burst. RFC 5227 section 1.1 has 2 s for ARP, RFC 4861 section 10 at least 1 s
/// for NDP; Linux takes no update of an entry within a second of the last one (its lock time).
const BURST_INTERVAL: Duration = Duration::from_millis(1100);
/// The shortest time between two refreshes of an address; it may be up to twice as long.
const REFRESH_MIN: Duration = Duration::from_secs(60);
/// Between two refreshes of any addresses on any links: a node sends at most 20 in a second.
const REFRESH_GAP: Duration = Duration::from_millis(50);

/// Decides what is announced next, for all addresses and links of a node.
#[derive(Debug)]
pub struct Announcer {
    seed: u64,
    segments: BTreeMap<LinkId, Segment>,
    entries: HashMap<(LinkId, IpAddr), Entry>,
    /// When the next round of each address that waits for it is due.
    planned: BTreeSet<(Instant, LinkId, IpAddr)>,
    /// From when on the next refresh may be sent.
    refresh_free: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    progress: Progress,
    place: Place,
}

/// Every address that is announced waits in exactly one place.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the segment's queue.
    Ready(Ticket),
    /// For its time.
    Planned(Instant),
}

/// A frame that is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The link.
    pub link: LinkId,
    /// The address.
    pub address: IpAddr,
    /// What it is sent for.
    pub kind: Kind,
    /// What it says.
    pub form: Form,
}

impl Announcer {
    /// An announcer that knows no links. `seed` makes its timing differ from other nodes'.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            segments: BTreeMap::new(),
            entries: HashMap::new(),
            planned: BTreeSet::new(),
            refresh_free: None,
        }
    }

    /// Takes up a link, and the gateways of its segment: each is asked a question by every address that is taken over,
    /// which it has to remember the asker of. What was sent on a link that is known already still counts.
    pub fn set_link(&mut self, link: LinkId, gateways: Vec<Ipv4Addr>) {
        self.segments.entry(link).or_default().gateways = gateways;
    }

    /// Forgets a link. Its addresses must have been stopped.
    pub fn remove_link(&mut self, link: LinkId) {
        self.segments.remove(&link);
    }

    /// Announces an address from now on, beginning with a burst; one that is announced already begins again.
    pub fn start(&mut self, link: LinkId, address: IpAddr, now: Instant) {
        self.stop(link, address);
        let Some(segment) = self.segments.get_mut(&link) else { return };
        let progress = Progress::default();
        let place = Place::Ready(segment.enqueue(progress.kind(address), address, now));
        self.entries.insert((link, address), Entry { progress, place });
    }

    /// Leaves the budget of a link to addresses that are likely to be taken over until a time.
    pub fn expect(&mut self, link: LinkId, until: Instant) {
        if let Some(segment) = self.segments.get_mut(&link) {
            segment.expect(until);
        }
    }

    /// Announces an address no more.
    pub fn stop(&mut self, link: LinkId, address: IpAddr) {
        let Some(entry) = self.entries.remove(&(link, address)) else { return };
        match entry.place {
            Place::Planned(due) => {
                self.planned.remove(&(due, link, address));
            }
            Place::Ready(ticket) => {
                if let Some(segment) = self.segments.get_mut(&link) {
                    segment.dequeue(ticket);
                }
            }
        }
    }

    /// Makes ready what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, link, address)) = self.planned.first()
            && due <= now
        {
            self.planned.pop_first();
            if let Some(entry) = self.entries.get_mut(&(link, address))
                && let Some(segment) = self.segments.get_mut(&link)
            {
                entry.place = Place::Ready(segment.enqueue(entry.progress.kind(address), address, now));
            }
        }
    }

    /// The next frame, if one may be sent now. It is held to be sent.
    pub fn poll(&mut self, now: Instant) -> Option<Announcement> {
        while let Some(link) = self.ready(now) {
            let segment = self.segments.get_mut(&link)?;
            let (ticket, address) = segment.head()?;
            let entry = self.entries.get_mut(&(link, address))?;
            let (kind, form) =
                (entry.progress.kind(address), entry.progress.form(address, &segment.gateways));
            match entry.progress.advance(address, segment.gateways.len()) {
                Next::Step if entry.progress.kind(address) == kind => {}
                Next::Step => {
                    segment.dequeue(ticket);
                    entry.place = Place::Ready(segment.enqueue(entry.progress.kind(address), address, now));
                }
                Next::Round => {
                    segment.dequeue(ticket);
                    let round = entry.progress.round();
                    let due = now + self.delay(link, address, round);
                    self.plan(link, address, due);
                }
            }
            // Nothing is left of a round whose gateways went meanwhile.
            let Some(form) = form else { continue };
            self.spend(link, kind, now);
            return Some(Announcement { link, address, kind, form });
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`poll`](Self::poll) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let planned = self.planned.first().map(|&(due, _, _)| due);
        let ready = self.segments.values().filter_map(|segment| segment.free_at(self.refresh_free));
        ready.chain(planned).min()
    }

    /// How many addresses of each link have a frame ready that was not sent yet.
    pub fn waiting(&self) -> impl Iterator<Item = (LinkId, usize)> {
        self.segments.iter().map(|(&link, segment)| (link, segment.waiting()))
    }

    /// A link that may send now. None keeps another from it for long, as each has a budget of its own and all refreshes
    /// together are fewer than they may be.
    fn ready(&self, now: Instant) -> Option<LinkId> {
        let free = |segment: &Segment| segment.free_at(self.refresh_free).is_some_and(|free| free <= now);
        self.segments.iter().find(|(_, segment)| free(segment)).map(|(&link, _)| link)
    }

    fn spend(&mut self, link: LinkId, kind: Kind, now: Instant) {
        if kind == Kind::Refresh {
            self.refresh_free = Some(now + REFRESH_GAP);
        }
        if let Some(segment) = self.segments.get_mut(&link) {
            segment.budget.spend(now);
        }
    }

    fn plan(&mut self, link: LinkId, address: IpAddr, due: Instant) {
        if let Some(entry) = self.entries.get_mut(&(link, address)) {
            entry.place = Place::Planned(due);
            self.planned.insert((due, link, address));
        }
    }

    /// How long before the next round. Refreshes of many addresses spread over time, the same way in every run, and
    /// are as far apart as their number needs.
    fn delay(&self, link: LinkId, address: IpAddr, round: u32) -> Duration {
        if !rounds::is_refresh(address, round) {
            return BURST_INTERVAL;
        }
        let all = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let shortest = REFRESH_MIN.max(REFRESH_GAP.saturating_mul(all));
        let index = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let seed = self.seed.wrapping_add(u64::from(round)).wrapping_add(u64::from(link.0) << 32);
        shortest + jitter::spread(seed, index, shortest)
    }
}
