//! The speaker: answers ARP and NDP for the addresses that its node announces.
//!
//! Pure modules decide and never touch the network, the API or the clock: [`wire`] (frames).

pub mod wire;
