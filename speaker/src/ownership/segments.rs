//! Which links of the node are on one segment: an address is answered by one of them.
//!
//! Two links are on one segment when one receives an announcement that was just sent on the other. A frame that only
//! bears the address of another link proves nothing: anybody can send it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::machine::Machine;
use crate::link::LinkId;
use crate::wire::Frame;

/// How long links count as one segment since it last showed. Owners send a refresh within two minutes.
const MEMORY: Duration = Duration::from_secs(300);
/// How long an announcement is expected on other links.
const FLIGHT: Duration = Duration::from_secs(1);
/// Announcements that are expected.
const EXPECTED: usize = 256;

/// What has shown which links are on one segment.
#[derive(Debug, Default)]
pub(super) struct Segments {
    sent: VecDeque<(Instant, LinkId, Frame)>,
    /// Pairs of links, the lower index first, and until when they count as one segment.
    joined: BTreeMap<(LinkId, LinkId), Instant>,
}

impl Segments {
    /// Notes an announcement.
    pub(super) fn sent(&mut self, link: LinkId, frame: Frame, now: Instant) {
        if self.sent.len() == EXPECTED {
            self.sent.pop_front();
        }
        self.sent.push_back((now, link, frame));
    }

    /// Takes up a frame that bears the hardware address of one of our links. Returns the other link of its segment if
    /// that is news.
    pub(super) fn hear(&mut self, link: LinkId, frame: &Frame, now: Instant) -> Option<LinkId> {
        let expected = |&&(at, from, sent): &&(Instant, LinkId, Frame)| {
            from != link && sent == *frame && now.saturating_duration_since(at) < FLIGHT
        };
        let (_, from, _) = *self.sent.iter().rev().find(expected)?;
        let pair = (link.min(from), link.max(from));
        self.joined.insert(pair, now + MEMORY).is_none().then_some(from)
    }

    /// The links on the segment of a link.
    pub(super) fn beside(&self, link: LinkId) -> impl Iterator<Item = LinkId> {
        let pairs = self.joined.keys().filter(move |&&(a, b)| a == link || b == link);
        pairs.map(move |&(a, b)| if a == link { b } else { a })
    }

    /// Forgets a link that went down or away: it may come up on another segment.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.joined.retain(|&(a, b), _| a != link && b != link);
        self.sent.retain(|&(_, from, _)| from != link);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.joined.values().min().copied()
    }

    /// Forgets what has not shown for long, and returns the links that this concerns.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<LinkId> {
        let mut over = Vec::new();
        self.joined.retain(|&(a, b), until| {
            let stays = *until > now;
            if !stays {
                over.extend([a, b]);
            }
            stays
        });
        over
    }
}

impl Machine {
    pub(super) fn expect_elsewhere(&mut self, link: LinkId, frame: Frame, now: Instant) {
        if self.links.len() > 1 {
            self.segments.sent(link, frame, now);
        }
    }

    /// Takes up a frame that bears the hardware address of one of our links: it may be one of ours, and then shows that
    /// two links are on one segment.
    pub(super) fn hear_own(&mut self, link: LinkId, frame: &Frame, now: Instant) {
        if let Some(other) = self.segments.hear(link, frame, now) {
            self.settle_link(link.max(other), now);
        }
    }
}
