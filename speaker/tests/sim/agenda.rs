//! What will happen, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use ferrolb_speaker::wire::Frame;

use crate::fault::Fault;
use crate::network::Port;

/// What happens at a time.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Frame(Port, Frame),
    Wake(Port, u64),
    Fault(Fault),
    /// The next kill of a crash loop; so many are left.
    Crash(Port, u32),
    Start(Port),
    PowerOn(Port),
    Renew(Port, u64),
    Thaw(Port),
    Resume(Port, bool),
    Mend(Port),
    Unite,
    ApiBack,
    Watch(Port),
    Services,
    Client(Duration),
    StrangerGone,
    Look,
}

/// Something that will happen. The first is the greatest.
struct Planned(u64, u64, Happening);

/// All that will happen.
#[derive(Default)]
pub(crate) struct Agenda {
    planned: BinaryHeap<Planned>,
    next: u64,
}

impl Agenda {
    /// Has something happen at a time, in microseconds; of what happens at the same time, after all that is planned already.
    pub(crate) fn plan(&mut self, at: u64, happening: Happening) {
        self.next += 1;
        self.planned.push(Planned(at, self.next, happening));
    }

    /// What happens next, and when.
    pub(crate) fn pop(&mut self) -> Option<(u64, Happening)> {
        self.planned.pop().map(|Planned(at, _, happening)| (at, happening))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Planned {}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
