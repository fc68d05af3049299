//! What the API server knows, and what it is told.

pub mod hints;
pub mod index;
pub mod request;
pub mod status;
mod strip;
pub mod watch;
