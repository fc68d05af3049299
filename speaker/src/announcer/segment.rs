//! What waits to be announced on one link.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::budget::Budget;
use super::rounds::Kind;

/// A place in a segment's queue: what is less goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    kind: Kind,
    number: u64,
}

/// One link's queue and budget.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) gateways: Vec<Ipv4Addr>,
    pub(super) budget: Budget,
    ready: BTreeMap<Ticket, IpAddr>,
    next_number: u64,
    /// When the last address was put into the queue.
    enqueued: Option<Instant>,
    /// Until then addresses are expected to come, to whose first frames others leave the budget.
    expecting: Option<Instant>,
}

impl Segment {
    /// Puts an address behind all others of the same kind.
    pub(super) fn enqueue(&mut self, kind: Kind, address: IpAddr, now: Instant) -> Ticket {
        let ticket = Ticket { kind, number: self.next_number };
        self.next_number += 1;
        self.enqueued = self.enqueued.max(Some(now));
        self.ready.insert(ticket, address);
        ticket
    }

    /// Expects addresses until a time.
    pub(super) fn expect(&mut self, until: Instant) {
        self.expecting = self.expecting.max(Some(until));
    }

    pub(super) fn dequeue(&mut self, ticket: Ticket) {
        self.ready.remove(&ticket);
    }

    /// The address that goes first.
    pub(super) fn head(&self) -> Option<(Ticket, IpAddr)> {
        self.ready.first_key_value().map(|(&ticket, &address)| (ticket, address))
    }

    /// From when on the address that goes first may be announced, if there is one. `refresh_free` is when the node may
    /// send its next refresh.
    pub(super) fn free_at(&self, refresh_free: Option<Instant>) -> Option<Instant> {
        let (ticket, _) = self.head()?;
        let refresh_free = refresh_free.filter(|_| ticket.kind == Kind::Refresh);
        let expecting = self.expecting.filter(|_| ticket.kind != Kind::First);
        self.enqueued.max(self.budget.free_at()).max(refresh_free).max(expecting)
    }

    pub(super) fn waiting(&self) -> usize {
        self.ready.len()
    }
}
