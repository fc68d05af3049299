//! What the engine knows of one Service.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;

use crate::key::ServiceKey;
use crate::request::{Rank, Request};
use crate::verdict::Shown;

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
}

/// What the operator has to do with a Service.
#[derive(Debug)]
pub(super) enum Stance {
    /// It is served.
    Ours(Request),
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
        (self.shown, self.stance) = (shown, stance);
    }

    /// Whether a later version than this one is known. Versions that are no numbers can't be compared: what comes
    /// last then counts as newest.
    pub(super) fn is_newer_than(&self, service: &Service) -> bool {
        let number = |version: &str| version.parse::<u64>().ok();
        let theirs = service.metadata.resource_version.as_deref().and_then(number);
        number(&self.shown.resource_version) > theirs && theirs.is_some()
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
