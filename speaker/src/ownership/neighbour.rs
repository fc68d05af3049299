//! A peer on one link: whether it was heard, and what is known of its speaker and its kernel.

use std::net::IpAddr;
use std::time::Instant;

use super::audit::Audit;
use super::timing::Timing;
use crate::wire::Mac;

/// A peer on one link.
#[derive(Debug)]
pub(super) struct Neighbour {
    /// When it was first known, or our carrier came up.
    pub(super) appeared: Instant,
    /// The hardware address by which it answered us here, since our carrier came up.
    pub(super) heard: Option<Mac>,
    /// Its kernel answered us here at least once.
    pub(super) kernel_heard: bool,
    pub(super) kernel: Option<Instant>,
    pub(super) speaker: Option<Instant>,
    pub(super) verdict: Verdict,
    /// When that was found.
    pub(super) found: Option<Instant>,
    /// Of that silence the first question which was not answered.
    pub(super) silent_since: Option<Instant>,
    /// What it asked this node alone for last, of what this node owns: it holds this node to be the owner.
    pub(super) asked: Option<(IpAddr, Instant)>,
    /// When it is asked next whether it is there.
    pub(super) presence_due: Instant,
    /// Unanswered questions whether it is there.
    pub(super) presence_misses: u32,
    pub(super) watch: Option<Watch>,
    pub(super) check: Option<Check>,
    /// A host that is no speaker, and that asked everybody for an address of this one, and when.
    pub(super) client: Option<(Mac, IpAddr, Instant)>,
    /// It came before this node to cover for an owner, and did not; its speaker was not heard since.
    pub(super) shirks: bool,
    /// How often it was said to be silent since its speaker was last heard, and when.
    pub(super) alarms: u32,
    pub(super) alarmed: Option<Instant>,
}

/// What was found the last time that the peer was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answers, or nothing else is known.
    #[default]
    Fine,
    /// Its kernel answers, and its speaker does not.
    SpeakerSilent,
    /// Neither answers.
    Dead,
}

/// This node is one of the peer's watchers.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) due: Instant,
    /// When the last question was asked, if one was.
    pub(super) asked: Option<Instant>,
    /// Whether the node itself was asked then.
    pub(super) asked_node: bool,
    /// The address that was asked for last.
    pub(super) cursor: Option<IpAddr>,
    pub(super) misses: u32,
    pub(super) node_misses: u32,
    /// Since when it does not answer.
    pub(super) silent_since: Option<Instant>,
    /// When others may be told again.
    pub(super) alarm_due: Option<Instant>,
    /// Of its watchers this node is the one that audits it.
    pub(super) audit: Option<Audit>,
}

/// The peer is being checked: three questions, 50 ms apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) since: Instant,
    pub(super) due: Instant,
    pub(super) sent: u32,
    /// The address that its speaker is asked for.
    pub(super) about: IpAddr,
}

impl Neighbour {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            appeared: now,
            heard: None,
            kernel_heard: false,
            kernel: None,
            speaker: None,
            verdict: Verdict::Fine,
            found: None,
            silent_since: None,
            asked: None,
            presence_due: now,
            presence_misses: 0,
            watch: None,
            check: None,
            client: None,
            shirks: false,
            alarms: 0,
            alarmed: None,
        }
    }

    /// When something is due about it.
    pub(super) fn due(&self) -> Instant {
        let watch = self.watch.as_ref().map(|watch| watch.due);
        let audit = self.watch.as_ref().and_then(|watch| Some(watch.audit.as_ref()?.due));
        let check = self.check.map(|check| check.due);
        [watch, audit, check].into_iter().flatten().fold(self.presence_due, Instant::min)
    }

    /// Whether it should have answered and did not.
    pub(super) fn is_silent(&self) -> bool {
        self.heard.is_none() || self.verdict == Verdict::Dead || self.presence_misses > 1
    }

    /// Whether it can be expected to take something over.
    pub(super) fn takes_part(&self) -> bool {
        self.heard.is_some() && self.verdict == Verdict::Fine
    }

    /// Whether it was given time to be heard, and was not.
    pub(super) fn stays_unheard(&self, timing: &Timing, now: Instant) -> bool {
        self.heard.is_none() && now >= self.appeared + timing.unheard
    }
}
