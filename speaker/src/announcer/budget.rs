//! How much may be announced on a link: 500 frames in any second.
//!
//! They may leave at once, up to 125 in any quarter of a second. That is less than fits into the receive queue of a
//! packet socket (some 270 small frames by default), so that no speaker misses one, and it leaves time to catch up
//! where a timer is late: 10 000 first frames take 19.75 s and not 20.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames in any [`WINDOW`].
pub(super) const FRAMES: usize = 125;
/// Half open: it holds either its beginning or its end.
pub(super) const WINDOW: Duration = Duration::from_millis(250);

/// What was sent lately.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When, at most [`FRAMES`] of them, in order.
    sent: VecDeque<Instant>,
}

impl Budget {
    /// From when on another frame may be sent; `None` means always.
    pub(super) fn free_at(&self) -> Option<Instant> {
        let oldest = self.sent.front().filter(|_| self.sent.len() >= FRAMES);
        oldest.map(|&oldest| oldest + WINDOW)
    }

    /// Counts a frame.
    pub(super) fn spend(&mut self, now: Instant) {
        if self.sent.len() >= FRAMES {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}
