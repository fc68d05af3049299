//! Who answers for an address on a segment: a machine without input and output.
//!
//! The driver hands frames, changes and the time in, and carries out what comes out:
//!
//! ```text
//! set_desired, set_peers, set_links ─┐             ┌─► poll_transmit: frames to send, in order
//! handle_frame ──────────────────────┼─► Machine ──┼─► poll_event:    what began and ended, and why
//! handle_timeout ────────────────────┘             └─► poll_timeout:  when to call handle_timeout
//! ```
//!
//! For each address and link that is up the machine is in one state:
//!
//! | state | what the node does | in |
//! |---|---|---|
//! | backup | knows the owner, and waits for its turn if that is silent | `settle`, `statements` |
//! | probing | asks whether somebody answers before it does | `probing` |
//! | owner | answers, announces, and hands over when it should go | `handover`, `doubt` |
//! | covering | answers in the name of an owner whose speaker is silent, while its node is not | `covering` |
//! | conflict | leaves the address to a host that is no speaker | `strangers` |
//!
//! Beside that it watches peers (`watching`, `audit`), and stops in good order (`stopping`). Who may own what, and in which
//! order, is in `standing`; all times are in [`Timing`].
//!
//! This module and its children import no client, no socket and no clock. Time is an argument.

mod answering;
mod asking;
mod audit;
mod cluster;
mod covering;
mod doubt;
pub(crate) mod frames;
mod handover;
mod here;
mod hosts;
mod machine;
mod mutation;
mod neighbour;
mod outgoing;
mod output;
mod own_link;
mod owning;
mod presence;
mod probing;
mod segments;
mod settle;
mod slot;
mod standing;
mod statements;
mod stopping;
mod strangers;
#[cfg(test)]
mod tests;
mod timers;
mod timing;
mod watching;

pub use cluster::{Candidate, Desired, DesiredAddress, NodeId, Peer, PeerLink, Peers, ServiceName};
pub use machine::Machine;
pub use mutation::Mutation;
pub use output::{Change, Event, GainCause, HandOver, LossCause, Reception, Transmit, TransmitKind};
pub use stopping::Stop;
pub use timing::Timing;
