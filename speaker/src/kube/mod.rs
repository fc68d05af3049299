//! What the API server knows, and what it is told.

mod collection;
pub mod index;
pub mod status;
mod strip;
pub mod watch;
