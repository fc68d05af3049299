//! Who may announce a Service's addresses, in which order, and why the others may not.
//!
//! This crate is pure: no client, no socket, no clock. Speakers ask it which addresses are theirs, the operator
//! whether any node may announce them, and if not, why. All of them get the same answer from the same objects.
//!
//! ```text
//! Service, EndpointSlices ──► ServiceFacts ┐
//! Nodes, Leases ─► Liveness ► NodeFacts    ├──► place ──► Placement: candidates in order, exclusions with reasons
//! IPAddressPools ───────────► PoolFacts    │
//! L2Advertisements ─────────► their specs  ┘
//! ```

mod facts;
mod interfaces;
mod liveness;
mod order;
mod place;

pub use facts::{Endpoints, NodeFacts, PoolFacts, ServiceFacts, Speaker};
pub use interfaces::InterfaceFilter;
pub use liveness::Liveness;
pub use order::rendezvous;
pub use place::{
    Candidate, Exclusion, Hindrance, Placement, Unannounced, hindrance, place, selects_node, selects_pool,
};
