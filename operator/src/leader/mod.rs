//! Leader election: of the operators that run for a class, one writes.
//!
//! | module | what | needs a client |
//! |---|---|---|
//! | [`election`] | decides whose Lease it is, and what to ask the API server next | no |
//! | [`tenure`] | says until when a leader may write | no |
//! | [`record`] | what a Lease says of its holder | no |
//! | [`fence`] | sends a request only while the tenure lasts | no |
//! | [`driver`] | asks, renews, releases, and runs the controller while it leads | yes |

pub mod driver;
pub mod election;
pub mod fence;
pub mod record;
pub mod tenure;

use std::hash::{BuildHasher, RandomState};

pub use self::driver::{Candidate, run};
pub use self::election::{Election, Timing};
pub use self::tenure::Tenure;

/// The identity of this process in a Lease: its pod's name, and what tells it from every process before it there.
pub fn identity(pod: &str) -> String {
    format!("{pod}_{:016x}", RandomState::new().hash_one(std::process::id()))
}
