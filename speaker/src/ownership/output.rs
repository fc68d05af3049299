//! What the machine tells its driver.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::desired::ServiceName;
use crate::announcer::Kind;
use crate::link::LinkId;
use crate::wire::{Frame, Mac};

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The link by which it leaves.
    pub link: LinkId,
    /// The address that it speaks for.
    pub address: IpAddr,
    /// What it is.
    pub kind: TransmitKind,
    /// The frame.
    pub frame: Frame,
}

/// What a frame is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransmitKind {
    /// It answers a question.
    Answer,
    /// It announces an address to everybody.
    Announcement(Kind),
}

/// What became of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reception {
    /// It asks for nothing of ours.
    Ignored,
    /// It asks for an address that this node owns, and is answered.
    Answered,
    /// It asks for an address that this node owns, but its sender, or all together, asked too much.
    Throttled,
}

/// A change of state for an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The node owns the address from now on. Where the address is IPv6, its solicited-node group must be
    /// joined before the next frame is sent.
    Announcing {
        /// The address.
        address: IpAddr,
        /// The link.
        link: LinkId,
        /// The link's name.
        interface: String,
        /// The hardware address that is announced.
        mac: Mac,
        /// The Services that have the address.
        services: Arc<[ServiceName]>,
        /// Why.
        cause: GainCause,
    },
    /// The node does not own the address any more, and is silent about it.
    Withdrawn {
        /// The address.
        address: IpAddr,
        /// The link.
        link: LinkId,
        /// The link's name, as it was last known.
        interface: String,
        /// The Services that had the address.
        services: Arc<[ServiceName]>,
        /// Why.
        cause: LossCause,
    },
}

/// Why a node began to announce an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GainCause {
    /// It is the best candidate with a live Lease.
    BestCandidate,
    /// It was that already, and the link came up.
    LinkUp,
    /// It was that already, and the link that answered on this segment does so no more.
    InPlaceOfLink,
}

/// Why a node no longer announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// No Service of ours has the address, or no advertisement selects it.
    NotAdvertised,
    /// Another candidate is better.
    Outranked {
        /// The node that is best now.
        by: Arc<str>,
    },
    /// The node is no candidate any more.
    NoCandidate {
        /// Why not.
        reason: ferrolb_placement::Exclusion,
    },
    /// The advertisements do not name the interface any more.
    InterfaceNotSelected,
    /// Another link of the node is on the same segment, and answers there.
    SameSegment {
        /// The other link's name.
        by: Arc<str>,
    },
    /// The link went down or away.
    LinkDown,
}

impl GainCause {
    /// One CamelCase word, for the API and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            GainCause::BestCandidate => "BestCandidate",
            GainCause::LinkUp => "LinkUp",
            GainCause::InPlaceOfLink => "InPlaceOfLink",
        }
    }
}

impl LossCause {
    /// One CamelCase word, for the API and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            LossCause::NotAdvertised => "NotAdvertised",
            LossCause::Outranked { .. } => "Outranked",
            LossCause::NoCandidate { .. } => "NoCandidate",
            LossCause::InterfaceNotSelected => "InterfaceNotSelected",
            LossCause::SameSegment { .. } => "SameSegment",
            LossCause::LinkDown => "LinkDown",
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossCause::NotAdvertised => f.write_str("nothing advertises the address any more"),
            LossCause::Outranked { by } => write!(f, "{by} is the best candidate now"),
            LossCause::NoCandidate { reason } => write!(f, "{reason}"),
            LossCause::InterfaceNotSelected => f.write_str("no advertisement names the interface any more"),
            LossCause::SameSegment { by } => write!(f, "{by} is on the same segment, and answers there"),
            LossCause::LinkDown => f.write_str("the link went down"),
        }
    }
}
