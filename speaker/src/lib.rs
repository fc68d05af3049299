//! The speaker: answers ARP and NDP for the addresses that its node announces.
//!
//! Pure modules decide and never touch the network, the API or the clock: [`wire`] (frames), [`link`] (links as
//! values). [`net`] is what the kernel knows and does.

pub mod jitter;
pub mod lease;
pub mod link;
pub mod net;
pub mod ownership;
pub mod wire;
