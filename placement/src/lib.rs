//! Who may announce a Service's addresses, in which order, and why the others may not.
//!
//! This crate is pure: no client, no socket, no clock. Speakers ask it which addresses are theirs, the operator
//! whether any node may announce them, and if not, why. All of them get the same answer from the same objects.
//!
//! ```text
//! Service ──────────────────► ServiceFacts ┐
//! EndpointSlices ───────────► Slice        │
//! Nodes, Leases ─► Liveness ► NodeFacts    ├──► Planner ──► Placement of an address: candidates in order,
//! IPAddressPools ───────────► PoolFacts    │                exclusions with reasons
//! L2Advertisements ─────────► their specs  ┘
//! ```
//!
//! What is decided on is an address, with all Services that have it. An advertisement counts for it that selects its
//! pool and each of these Services, and a node that one of them excludes is none.

mod endpoints;
mod facts;
mod interfaces;
mod labels;
mod liveness;
mod order;
mod place;
mod planner;
mod roster;
mod select;

pub use endpoints::{SERVICE_NAME_LABEL, Slice};
pub use facts::{NodeFacts, PoolFacts, ServiceFacts, Speaker};
pub use interfaces::InterfaceFilter;
pub use labels::Labels;
pub use liveness::Liveness;
pub use order::{first_placement, rendezvous};
pub use place::{Candidate, Hindrance, Placement, Unannounced};
pub use planner::{GRACE, Planner, Touched};
pub use roster::Exclusion;
pub use select::{selects_node, selects_pool};
