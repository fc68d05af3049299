//! Who was heard on a link lately.

use std::time::Instant;

use crate::wire::Mac;

/// How many hosts are remembered.
const REMEMBERED: usize = 8;

/// The hosts that were heard last, latest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    recent: Vec<(Mac, Instant)>,
}

impl Hosts {
    /// Takes up a frame of a host.
    pub(super) fn heard(&mut self, mac: Mac, now: Instant) {
        match self.recent.iter().position(|(known, _)| *known == mac) {
            Some(place) => self.recent[..=place].rotate_right(1),
            None => {
                self.recent.truncate(REMEMBERED - 1);
                self.recent.insert(0, (mac, now));
            }
        }
        self.recent[0] = (mac, now);
    }

    /// Whether anybody was ever heard.
    pub(super) fn any(&self) -> bool {
        !self.recent.is_empty()
    }

    /// When a host was last heard that is none of these.
    pub(super) fn last_other_than(&self, except: impl Fn(Mac) -> bool) -> Option<Instant> {
        self.recent.iter().find(|(mac, _)| !except(*mac)).map(|(_, at)| *at)
    }
}
