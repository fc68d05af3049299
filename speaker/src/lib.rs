//! The speaker: answers ARP and NDP for the addresses that its node announces.
//!
//! ```text
//!   API server                                                        segment
//!       │                                                                │
//!   kube::watch ─► kube::index ─► plan ──wishes──► driver ◄──► ownership │
//!       │                                            │  ▲               │
//!   lease::renew                                     │  └─ net, wire ◄──┘
//!       │                                            │
//!   kube::status ◄── report, chronicle ◄── events ────┘
//! ```
//!
//! Pure modules decide, and import no client, no socket and no clock: [`ownership`] with its [`announcer`] and
//! [`responder`], [`timing`], [`plan`], [`report`], [`finding`], [`chronicle`], [`wire`], [`link`]. The left half runs on one
//! thread ([`control`]), the right half on another ([`driver`]), so that no work for the API delays an answer. Beside them
//! [`strict_arp`] looks whether the node's kernel answers for the same addresses; what it decides is pure as well.
//! [`ask`] is a command of its own.

pub mod announcer;
pub mod args;
pub mod ask;
pub mod chronicle;
pub mod config;
pub mod control;
pub mod driver;
pub mod finding;
pub mod jitter;
pub mod kube;
pub mod lease;
pub mod link;
pub mod metrics;
pub mod net;
pub mod ownership;
pub mod plan;
pub mod report;
pub mod responder;
pub mod run;
#[cfg(test)]
mod scripted;
pub mod strict_arp;
pub mod timing;
pub mod wire;
