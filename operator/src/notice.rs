//! What is told about a Service, once, when its state changes: an Event.

use crate::ledger::GivenUp;
use crate::refusal::Reason;

/// A transition of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// What happened.
    pub kind: Kind,
    /// The details, for people.
    pub note: String,
}

/// What happened to a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It got an address.
    Allocated,
    /// It does not get what it asks for.
    AllocationFailed(Reason),
    /// It gave an address up.
    Released,
}

impl Kind {
    /// The reason of the Event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "Allocated",
            Self::AllocationFailed(_) => "AllocationFailed",
            Self::Released => "Released",
        }
    }

    /// The stable name of the event in logs.
    pub fn log_name(self) -> &'static str {
        match self {
            Self::Allocated => "addressAllocated",
            Self::AllocationFailed(_) => "allocationFailed",
            Self::Released => "addressReleased",
        }
    }

    /// Whether somebody has to mend something.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::AllocationFailed(_))
    }
}

impl Notice {
    pub(crate) fn allocated(places: &str) -> Self {
        Self { kind: Kind::Allocated, note: format!("assigned {places}") }
    }

    pub(crate) fn refused(reason: Reason, message: &str) -> Self {
        Self { kind: Kind::AllocationFailed(reason), note: format!("{}: {message}", reason.as_str()) }
    }

    pub(crate) fn released(given_up: &GivenUp) -> Self {
        Self { kind: Kind::Released, note: format!("gave up {}: {}", given_up.address, given_up.cause) }
    }

    pub(crate) fn left() -> Self {
        let note = "gave up its addresses: the Service has another type or loadBalancerClass".to_owned();
        Self { kind: Kind::Released, note }
    }
}
