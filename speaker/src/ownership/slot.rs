//! What the node is for one address on one link.

use std::sync::Arc;
use std::time::Instant;

use super::cluster::{Candidate, NodeId, ServiceName};
use super::output::{GainCause, HandOver};
use crate::finding::Finding;
use crate::wire::Mac;

/// One address on one link. There are many: what is seldom there is kept apart.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Whose node receives the address's traffic, as far as it is known.
    pub(super) owner: Option<Known>,
    /// It has to be confirmed: it is only what the API told at the start, or it answers for others and not for this one.
    pub(super) hinted: bool,
    /// The first question to the owner that it did not answer since.
    pub(super) asked: Option<Instant>,
    /// The host that is no speaker and answered last, while that is told as a conflict.
    pub(super) conflict: Option<Stranger>,
    /// What was told of the answers to questions to everybody, where another node owns the address.
    pub(super) wrong: Option<Box<Finding>>,
    /// Such a question that was just asked.
    pub(super) audited: Option<Box<Audited>>,
}

/// A host that is no speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    pub(super) mac: Mac,
    /// It answers for other hosts' addresses as well.
    pub(super) proxy: bool,
}

/// A question to everybody for what another node owns, and who answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audited {
    pub(super) owner: NodeId,
    /// When it was asked.
    pub(super) at: Instant,
    /// The owner did.
    pub(super) answers: bool,
    /// Somebody named another hardware address.
    pub(super) other: Option<Mac>,
}

/// An owner, and the hardware address that answers name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) node: NodeId,
    pub(super) mac: Mac,
}

#[derive(Debug, Default)]
pub(super) enum State {
    /// Somebody else answers, or nobody, and this node has nothing to do.
    #[default]
    Backup,
    /// As [`State::Backup`], but it will probe when its timer is due.
    Waiting(Purpose),
    /// It has probed, and waits for answers; so many probes are left after this one.
    Probing(Purpose, u8),
    /// It answers.
    Owner(Box<Ownership>),
    /// It answers in the name of an owner whose speaker does not. While it probes, as it does every second, its timer
    /// is that of the probe.
    Covering { owner: Known, probing: bool, services: Arc<[ServiceName]> },
    /// A host that is no speaker answers.
    Conflict(Mac),
}

/// What a node probes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A question to whoever is said to own the address: a probe follows if it does not answer.
    Confirm,
    /// To own the address.
    Own(GainCause),
    /// To cover for its owner.
    Cover,
}

#[derive(Debug)]
pub(super) struct Ownership {
    pub(super) services: Arc<[ServiceName]>,
    pub(super) since: Instant,
    /// When nobody had had the address before, and who might have had it then.
    pub(super) placed: Option<Arc<[Candidate]>>,
    pub(super) offer: Option<Box<Offer>>,
    /// Who offered it to this node.
    pub(super) offered_by: Option<NodeId>,
    /// Somebody was heard to cover for this node.
    pub(super) covered: bool,
    /// Set once there is anything in it.
    pub(super) dispute: Option<Box<Dispute>>,
}

/// Doubts of what a node owns, its own and others', and what it said to them.
#[derive(Debug, Default)]
pub(super) struct Dispute {
    /// When a stranger was last answered by an announcement.
    pub(super) defended: Option<Instant>,
    /// When another owner was last answered by an announcement.
    pub(super) insisted: Option<Instant>,
    /// When a peer that asked everybody was last answered by an announcement.
    pub(super) told: Option<Instant>,
    /// Peers that owned the address before, or own it too.
    pub(super) rivals: Vec<NodeId>,
    /// When this node's probe last showed others that it is not sure of the address.
    pub(super) shown: Option<Instant>,
    /// A rival that showed the same, and until when that counts.
    pub(super) doubted: Option<(NodeId, Instant)>,
}

/// An address that is being handed over.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) to: Vec<NodeId>,
    /// The successor that is being asked.
    pub(super) at: usize,
    /// How many times it was.
    pub(super) sent: u8,
    pub(super) because: HandOver,
}

impl Ownership {
    pub(super) fn dispute_mut(&mut self) -> &mut Dispute {
        self.dispute.get_or_insert_default()
    }

    /// When a stranger was last answered by an announcement.
    pub(super) fn defended(&self) -> Option<Instant> {
        self.dispute.as_ref()?.defended
    }
}

impl Slot {
    pub(super) fn ownership(&self) -> Option<&Ownership> {
        if let State::Owner(ownership) = &self.state { Some(ownership) } else { None }
    }

    pub(super) fn ownership_mut(&mut self) -> Option<&mut Ownership> {
        if let State::Owner(ownership) = &mut self.state { Some(ownership) } else { None }
    }

    pub(super) fn is_owner(&self) -> bool {
        self.ownership().is_some()
    }

    pub(super) fn is_covering(&self) -> bool {
        matches!(self.state, State::Covering { .. })
    }
}
