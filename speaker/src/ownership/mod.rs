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
//! An owner answers every question for the address that reaches one of those links, with that link's hardware
//! address. On becoming owner, and when a link's hardware address changes, it announces the address: at once and
//! then 1.1 s apart, five rounds for ARP (a gratuitous request and reply each) and three for NDP (RFC 4861
//! section 7.2.6); from then on in one form every 60 to 120 seconds, so that a lost announcement or a late
//! switch does not matter for long.
//!
//! This module and its children import no client, no socket and no clock. Time is an argument.

mod announcements;
mod desired;
mod machine;
mod output;
#[cfg(test)]
mod tests;

pub use desired::{Desired, DesiredAddress, ServiceName, Standing};
pub use machine::{Machine, State};
pub use output::{Event, GainCause, LossCause, Transmit, TransmitKind};
