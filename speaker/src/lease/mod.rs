//! One Lease for each node: its speaker renews it, and peers judge by it whether the speaker takes part.
//!
//! Leases say who may announce. They are judged by the local clock alone, from when a change was seen: wall clocks
//! of two nodes are never compared. While the API can't be reached nobody expires ([`liveness`]).

pub mod content;
pub mod liveness;
pub mod renew;
