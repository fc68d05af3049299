//! What goes wrong in a schedule, or is done.

use std::time::Duration;

use crate::network::Port;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The node loses power.
    PowerOff(Port),
    /// The node loses power, and has it again after a while; its speaker starts with it.
    Reboot(Port, Duration),
    /// The whole node stands still for a while, its kernel included, as a virtual machine does that is moved.
    Suspend {
        node: Port,
        long: Duration,
        /// Its clock stands still as well, so that it can't notice.
        unnoticed: bool,
    },
    /// The node's frames get lost both ways, though its carrier is there; later they don't.
    Cut(Port, Duration),
    /// The speaker is killed; the next process starts after a while.
    Kill(Port, Duration),
    /// The speaker is killed so many times, each time just after it has started.
    CrashLoop(Port, u32),
    /// The speaker is told to stop and started again, as in an upgrade.
    Restart(Port, Duration),
    /// The speakers of all nodes are restarted, one every so often.
    Roll(Duration),
    /// The speaker's process stands still for a while.
    Freeze(Port, Duration),
    /// The node is labelled: it takes part in load balancing no more.
    Exclude {
        node: Port,
        /// So many of the first offers of each address get lost.
        lost: u8,
    },
    /// The speaker is told to leave for good.
    Leave(Port),
    /// The segment falls into two parts for a while; nodes from this one on are in the other.
    Split(Port, Duration),
    /// The API server is away for a while.
    Outage(Duration),
    /// A host that is no speaker has one of the addresses for a while, and says so.
    Stranger(usize, Duration),
    /// Nodes can't hear each other from now on, but the client hears them.
    Isolate,
    /// Another node joins.
    Join,
}

/// From a start to the next kill in a crash loop, and from that to the next start.
pub(crate) const CRASHES: (Duration, Duration) = (Duration::from_millis(700), Duration::from_millis(400));

impl Fault {
    /// How long it takes until nothing more happens of itself.
    pub(crate) fn lasts(self, nodes: usize) -> Duration {
        match self {
            Fault::PowerOff(_) | Fault::Exclude { .. } | Fault::Leave(_) | Fault::Isolate | Fault::Join => {
                Duration::ZERO
            }
            Fault::Reboot(_, long)
            | Fault::Suspend { long, .. }
            | Fault::Cut(_, long)
            | Fault::Kill(_, long)
            | Fault::Restart(_, long)
            | Fault::Freeze(_, long)
            | Fault::Split(_, long)
            | Fault::Outage(long)
            | Fault::Stranger(_, long) => long,
            Fault::CrashLoop(_, times) => (CRASHES.0 + CRASHES.1) * times,
            Fault::Roll(every) => every * u32::try_from(nodes).unwrap_or(u32::MAX),
        }
    }

    /// It concerns processes and the API only, and is no cause to move anything.
    pub(crate) fn moves_nothing(self) -> bool {
        match self {
            Fault::CrashLoop(..)
            | Fault::Restart(..)
            | Fault::Roll(_)
            | Fault::Outage(_)
            | Fault::Stranger(..)
            | Fault::Join => true,
            // Its Lease ends no sooner.
            Fault::Kill(_, long) | Fault::Freeze(_, long) => long < Duration::from_secs(11),
            Fault::PowerOff(_)
            | Fault::Reboot(..)
            | Fault::Suspend { .. }
            | Fault::Cut(..)
            | Fault::Exclude { .. }
            | Fault::Leave(_)
            | Fault::Split(..)
            | Fault::Isolate => false,
        }
    }

    /// Somebody answers all the time, since whoever goes says so.
    pub(crate) fn is_announced(self) -> bool {
        matches!(
            self,
            Fault::Restart(..)
                | Fault::Roll(_)
                | Fault::Exclude { .. }
                | Fault::Leave(_)
                | Fault::Outage(_)
                | Fault::Stranger(..)
                | Fault::Join
        )
    }
}
