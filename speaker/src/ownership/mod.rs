//! Who answers for an address on a segment: a machine without input and output.
//!
//! The driver hands frames, changes and the time in, and carries out what comes out:
//!
//! ```text
//! set_desired, set_links ─┐             ┌─► poll_transmit: frames to send, in order
//! handle_frame ───────────┼─► Machine ──┼─► poll_event:    what began and ended, and why
//! handle_timeout ─────────┘             └─► poll_timeout:  when to call handle_timeout
//! ```
//!
//! For each address and link the machine is in one [`State`]. The best candidate with a live Lease owns the
//! address on each of its links that may announce it and is up; every other node is a backup.
//!
//! An owner answers questions for the address that reach one of those links, with that link's hardware address, within
//! the bounds of the [`responder`](crate::responder). On becoming owner, and when a link's hardware address changes, it
//! announces the address, at the pace of the [`announcer`](crate::announcer).
//!
//! This module and its children import no client, no socket and no clock. Time is an argument.

mod desired;
mod frames;
mod machine;
mod output;
mod segments;
#[cfg(test)]
mod tests;

pub use desired::{Desired, DesiredAddress, ServiceName, Standing};
pub use machine::{Machine, State};
pub use output::{Event, GainCause, LossCause, Reception, Transmit, TransmitKind};
