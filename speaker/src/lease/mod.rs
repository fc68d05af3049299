//! The Lease of this node: its speaker renews it, and peers judge by it whether the speaker takes part.

pub mod links;
pub mod renew;
