//! What the engine knows of one Service.

use std::time::{Duration, Instant};

use ferrolb_crds::condition::Statement;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;

use super::rivalry::Rivalry;
use crate::key::ServiceKey;
use crate::ledger::Decision;
use crate::request::{Rank, Request};
use crate::verdict::{self, Patch, Shown};

/// Delay after the first failed write; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay after a failed write.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A Service that is ours, or shows something of us.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) uid: String,
    pub(super) shown: Shown,
    pub(super) stance: Stance,
    /// A write is on its way.
    pub(super) busy: bool,
    /// How many writes failed in a row.
    pub(super) failures: u32,
    /// Since when it has been ours without an address.
    pub(super) waiting_since: Option<Instant>,
    rivalry: Rivalry,
    /// Until when nothing is written against a rival.
    pub(super) truce: Option<Instant>,
    /// The truce that the Service was told of.
    told: Option<Instant>,
}

/// What the operator has to do with a Service.
#[derive(Debug)]
pub(super) enum Stance {
    /// It is served.
    Ours(Box<Request>),
    /// It was, and has to be rid of what it shows of us.
    Leaving,
}

impl Tracked {
    pub(super) fn new(uid: &str, shown: &Shown) -> Self {
        Self {
            uid: uid.to_owned(),
            shown: shown.clone(),
            stance: Stance::Leaving,
            busy: false,
            failures: 0,
            waiting_since: None,
            rivalry: Rivalry::default(),
            truce: None,
            told: None,
        }
    }

    /// Takes in a newer version.
    pub(super) fn observe(&mut self, shown: Shown, stance: Stance, now: Instant) {
        let was_ours = matches!(self.stance, Stance::Ours(_));
        self.waiting_since = match &stance {
            Stance::Ours(request) if !was_ours && request.held.is_empty() => Some(now),
            Stance::Ours(_) => self.waiting_since,
            Stance::Leaving => None,
        };
        let wish = |stance: &Stance| match stance {
            Stance::Ours(request) => Some(request.wish.clone()),
            Stance::Leaving => None,
        };
        if wish(&self.stance) != wish(&stance) {
            (self.rivalry, self.truce) = (Rivalry::default(), None);
        }
        (self.shown, self.stance) = (shown, stance);
    }

    /// Whether a later version than this one is known. Versions that are no numbers can't be compared: what comes
    /// last then counts as newest.
    pub(super) fn is_newer_than(&self, service: &Service) -> bool {
        let number = |version: &str| version.parse::<u64>().ok();
        let theirs = service.metadata.resource_version.as_deref().and_then(number);
        number(&self.shown.resource_version) > theirs && theirs.is_some()
    }

    /// What to write so that the Service shows the decision; against somebody who keeps overwriting it, only that.
    pub(super) fn state(
        &mut self,
        decision: &Decision,
        announced: Option<Statement>,
        now: Instant,
        wall: Timestamp,
    ) -> Option<Patch> {
        let Stance::Ours(request) = &self.stance else { return None };
        let patch = verdict::state(&self.shown, request, decision, announced, wall);
        let addresses = patch.as_ref().and_then(|patch| patch.addresses.as_deref());
        self.truce = addresses.and_then(|addresses| self.rivalry.consider(addresses, now));
        match self.truce {
            None => patch,
            // Once is enough: the rival may overwrite that too.
            told if told == self.told => None,
            Some(_) => verdict::protest(&self.shown, decision, wall),
        }
    }

    /// Notes that a write was made.
    pub(super) fn note_written(&mut self, patch: &Patch) {
        match &patch.addresses {
            Some(addresses) => self.rivalry.note_written(addresses),
            None => self.told = self.truce,
        }
    }

    pub(super) fn request(&self) -> Option<&Request> {
        match &self.stance {
            Stance::Ours(request) => Some(request),
            Stance::Leaving => None,
        }
    }

    pub(super) fn rank(&self, key: &ServiceKey) -> Rank {
        self.request().map_or_else(|| Rank::first(key.clone()), Request::rank)
    }

    /// How long to wait after the latest of the failures.
    pub(super) fn delay(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY)
    }
}
