//! What the machine tells its driver.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::ServiceName;
use crate::announcer::Kind;
use crate::finding::Finding;
use crate::link::LinkId;
use crate::wire::{Frame, Mac};

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The link by which it leaves.
    pub link: LinkId,
    /// The address that it speaks for, or asks about.
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
    /// It asks a peer whether it still answers.
    Question,
    /// It asks everybody who has an address.
    Probe,
    /// It offers an address to a successor.
    Offer,
}

/// What became of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reception {
    /// It asks for nothing of ours.
    Ignored,
    /// It asks for an address that this node owns or covers, and is answered.
    Answered,
    /// It asks for such an address, but its sender, or all together, asked too much.
    Throttled,
}

/// What changed for an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The address.
    pub address: IpAddr,
    /// The link.
    pub link: LinkId,
    /// The link's name, as it was last known.
    pub interface: Arc<str>,
    /// The Services that have the address.
    pub services: Arc<[ServiceName]>,
    /// What changed.
    pub change: Change,
}

/// A change of what the node does for an address.
///
/// Where the address is IPv6, its solicited-node group must be joined before the next frame is sent when the node begins
/// to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node owns the address from now on.
    Announcing {
        /// The hardware address that is announced.
        mac: Mac,
        /// Why.
        cause: GainCause,
        /// Where the node of the last owner was found silent: how long ago this node first asked it in vain.
        silence: Option<Duration>,
    },
    /// The node does not own the address any more, and is silent about it.
    Withdrawn(LossCause),
    /// The node answers for the owner, whose speaker does not; traffic still goes to the owner.
    Covering {
        /// The owner.
        owner: Arc<str>,
    },
    /// The node does not answer for the owner any more.
    Uncovered,
    /// Something is wrong with who answers.
    Found(Finding),
    /// It is not any more, or somebody else looks.
    Over(Finding),
}

/// Why a node began to announce an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GainCause {
    /// Nobody answered for it.
    Unclaimed,
    /// Its node is silent on the wire.
    NodeSilent(Arc<str>),
    /// The Lease of its owner expired or was released.
    LeaseEnded(Arc<str>),
    /// Its owner's speaker is silent, and its node is no candidate any more.
    OwnerExcluded(Arc<str>),
    /// Its owner offered it.
    HandedOver(Arc<str>),
    /// It was this node's when its last process ended, and nobody else's since.
    Resumed,
}

/// Why a node no longer announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// No Service of ours has the address, or no advertisement selects it.
    NotAdvertised,
    /// A better candidate has a live Lease, and can't be heard.
    Outranked(Arc<str>),
    /// The node is no candidate any more, and no other one is.
    NoCandidate(ferrolb_placement::Exclusion),
    /// The advertisements do not name the interface any more.
    InterfaceNotSelected,
    /// Another link of the node is on the same segment, and answers there.
    SameSegment(Arc<str>),
    /// The link went down or away.
    LinkDown,
    /// Another node took it, as it was asked to.
    HandedOver {
        /// The other node.
        to: Arc<str>,
        /// Why it was asked.
        because: HandOver,
    },
    /// Another node owned the address too.
    Yielded(Arc<str>),
}

/// Why an owner hands an address over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// It is no candidate any more.
    NoCandidate(ferrolb_placement::Exclusion),
    /// Another node is preferred.
    Preference,
    /// The address was placed a moment ago, and a better candidate has come.
    BetterCandidate,
    /// The node is going.
    Leaving,
}

impl GainCause {
    /// One CamelCase word, for the API and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            GainCause::Unclaimed => "Unclaimed",
            GainCause::NodeSilent(_) => "NodeSilent",
            GainCause::LeaseEnded(_) => "LeaseEnded",
            GainCause::OwnerExcluded(_) => "OwnerExcluded",
            GainCause::HandedOver(_) => "HandedOver",
            GainCause::Resumed => "Resumed",
        }
    }

    /// The node that had the address, where one had.
    pub fn from(&self) -> Option<&str> {
        match self {
            GainCause::NodeSilent(node)
            | GainCause::LeaseEnded(node)
            | GainCause::OwnerExcluded(node)
            | GainCause::HandedOver(node) => Some(node),
            GainCause::Unclaimed | GainCause::Resumed => None,
        }
    }
}

impl LossCause {
    /// One CamelCase word, for the API and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            LossCause::NotAdvertised => "NotAdvertised",
            LossCause::Outranked(_) => "Outranked",
            LossCause::NoCandidate(_) => "NoCandidate",
            LossCause::InterfaceNotSelected => "InterfaceNotSelected",
            LossCause::SameSegment(_) => "SameSegment",
            LossCause::LinkDown => "LinkDown",
            LossCause::HandedOver { .. } => "HandedOver",
            LossCause::Yielded(_) => "Yielded",
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossCause::NotAdvertised => f.write_str("nothing advertises the address any more"),
            LossCause::Outranked(by) => write!(f, "{by} comes first, and can't be heard here"),
            LossCause::NoCandidate(reason) => write!(f, "{reason}"),
            LossCause::InterfaceNotSelected => f.write_str("no advertisement names the interface any more"),
            LossCause::SameSegment(by) => write!(f, "{by} is on the same segment, and answers there"),
            LossCause::LinkDown => f.write_str("the link went down"),
            LossCause::HandedOver { to, because } => write!(f, "{to} took over: {because}"),
            LossCause::Yielded(to) => write!(f, "{to} announced it too, and keeps it"),
        }
    }
}

impl fmt::Display for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandOver::NoCandidate(reason) => write!(f, "{reason}"),
            HandOver::Preference => f.write_str("it is preferred"),
            HandOver::BetterCandidate => f.write_str("it came just after the address was placed"),
            HandOver::Leaving => f.write_str("this node is going"),
        }
    }
}
