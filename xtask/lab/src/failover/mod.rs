//! What a client notices when something fails: faults of nodes, links and speakers, one at a time, and what is seen of each
//! by the probes meanwhile.
//!
//! A [`Stage`] is a cluster that announces a Service of both families. A trial strikes it with a [`Fault`], watches until
//! that is over, and mends it.

mod course;
mod fault;
mod sight;
mod speakers;
mod stage;

pub use fault::Fault;
pub use sight::{Outcome, Seen};
pub use stage::{Kind, Stage};
