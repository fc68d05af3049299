//! Many nodes and many addresses: whether each address is answered by exactly one live node after much has happened at once.
//!
//! A [`Crowd`] is a cluster of bare nodes that announce planted Services of both families.

mod crowd;
mod settle;

pub use crowd::Crowd;
pub use settle::Settled;
