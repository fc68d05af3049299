//! What can be done to a cluster.

use std::fmt;

/// Something that fails, or is done, to the node that owns the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The node loses power: all its processes and its link, at once.
    NodeLost,
    /// It loses power, and a switch goes on answering for its addresses from memory, in its own name.
    NodeProxied,
    /// It loses power, and a switch goes on answering for its addresses from memory, in the node's name, but for probes.
    NodeSuppressed,
    /// Its cable is pulled, and put back seconds later.
    LinkCut,
    /// Its cable is pulled and put back at once.
    LinkFlap,
    /// Its speaker is killed, and started again seconds later.
    SpeakerKilled,
    /// Its speaker stands still for seconds.
    SpeakerFrozen,
    /// Its speaker is killed again and again.
    CrashLoop,
    /// Its speaker is killed, and then the one that covers for it.
    CovererKilled,
    /// Its speaker is told to stop, and another one starts: what a deleted pod is.
    SpeakerRestarted,
    /// All speakers are told to stop and started again, one after the other.
    Upgrade,
    /// It is labelled to be left out of load balancing.
    Excluded,
    /// It is cordoned, its speaker told to stop, and its power switched off.
    Rebooted,
    /// It loses its endpoint of a Service whose externalTrafficPolicy is Local.
    EndpointLost,
    /// The segment falls into two parts, and is one again seconds later.
    Split,
    /// It loses power in a segment whose ports are isolated from one another, so that speakers can't hear each other.
    NodeLostIsolated,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::NodeLost,
        Self::NodeProxied,
        Self::NodeSuppressed,
        Self::LinkCut,
        Self::LinkFlap,
        Self::SpeakerKilled,
        Self::SpeakerFrozen,
        Self::CrashLoop,
        Self::CovererKilled,
        Self::SpeakerRestarted,
        Self::Upgrade,
        Self::Excluded,
        Self::Rebooted,
        Self::EndpointLost,
        Self::Split,
        Self::NodeLostIsolated,
    ];

    /// Faults of the wire and of speakers, which are survived without the API server.
    pub const WITHOUT_API: [Self; 9] = [
        Self::NodeLost,
        Self::NodeProxied,
        Self::NodeSuppressed,
        Self::LinkCut,
        Self::LinkFlap,
        Self::SpeakerKilled,
        Self::SpeakerFrozen,
        Self::CovererKilled,
        Self::Split,
    ];

    /// Faults that are tried on full nodes, where connections show what they break.
    pub const ON_FULL_NODES: [Self; 9] = [
        Self::NodeLost,
        Self::LinkCut,
        Self::LinkFlap,
        Self::SpeakerKilled,
        Self::SpeakerFrozen,
        Self::CrashLoop,
        Self::SpeakerRestarted,
        Self::Upgrade,
        Self::Excluded,
    ];

    /// Those of them that are tried without the API server as well.
    pub const ON_FULL_NODES_WITHOUT_API: [Self; 3] =
        [Self::NodeLost, Self::SpeakerKilled, Self::SpeakerFrozen];

    /// Whether the addresses have to move: `None` where a move and none are both right.
    pub fn moves(self) -> Option<bool> {
        match self {
            Self::NodeLost
            | Self::NodeProxied
            | Self::NodeSuppressed
            | Self::LinkCut
            | Self::Excluded
            | Self::Rebooted
            | Self::EndpointLost
            | Self::NodeLostIsolated => Some(true),
            Self::SpeakerKilled
            | Self::SpeakerFrozen
            | Self::CrashLoop
            | Self::CovererKilled
            | Self::SpeakerRestarted
            | Self::Upgrade => Some(false),
            Self::LinkFlap | Self::Split => None,
        }
    }

    /// How many nodes have to answer in the owner's name, one after the other, as its speaker does not.
    pub fn coverers(self) -> usize {
        match self {
            Self::SpeakerKilled | Self::SpeakerFrozen => 1,
            Self::CovererKilled => 2,
            Self::NodeLost
            | Self::NodeProxied
            | Self::NodeSuppressed
            | Self::LinkCut
            | Self::LinkFlap
            | Self::CrashLoop
            | Self::SpeakerRestarted
            | Self::Upgrade
            | Self::Excluded
            | Self::Rebooted
            | Self::EndpointLost
            | Self::Split
            | Self::NodeLostIsolated => 0,
        }
    }

    /// How long a new client may find nobody: at the 50th and at the 99th percentile, in milliseconds. Nothing is promised
    /// where peers do not hear each other: there Leases decide.
    pub fn reach(self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::NodeLost | Self::LinkCut | Self::LinkFlap | Self::CovererKilled | Self::Split => {
                (Some(500.0), Some(1000.0))
            }
            Self::NodeProxied | Self::NodeSuppressed => (None, Some(1000.0)),
            Self::SpeakerKilled | Self::SpeakerFrozen | Self::CrashLoop => (None, Some(500.0)),
            Self::SpeakerRestarted | Self::Upgrade | Self::Excluded | Self::Rebooted | Self::EndpointLost => {
                (None, Some(UNNOTICED))
            }
            Self::NodeLostIsolated => (None, None),
        }
    }
}

/// With a question every 20 ms no answer is missing as long as two are not further apart than this, in milliseconds.
const UNNOTICED: f64 = 40.0;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeLost => "node lost",
            Self::NodeProxied => "node lost, proxy answers from memory",
            Self::NodeSuppressed => "node lost, switch suppresses ARP and ND",
            Self::LinkCut => "link cut",
            Self::LinkFlap => "link flap",
            Self::SpeakerKilled => "speaker killed",
            Self::SpeakerFrozen => "speaker frozen",
            Self::CrashLoop => "speaker in a crash loop",
            Self::CovererKilled => "speaker and its coverer killed",
            Self::SpeakerRestarted => "speaker restarted",
            Self::Upgrade => "all speakers upgraded",
            Self::Excluded => "node excluded",
            Self::Rebooted => "node cordoned and rebooted",
            Self::EndpointLost => "last local endpoint lost",
            Self::Split => "segment split and healed",
            Self::NodeLostIsolated => "node lost, ports isolated",
        })
    }
}
