//! What the kernel knows and does: links, sockets, multicast groups. Thin; decisions are made elsewhere.

pub mod exclusion;
mod filter;
mod gateways;
mod groups;
mod links;
mod local;
mod messages;
mod socket;
mod sockets;
mod table;

pub use filter::Protocol;
pub use groups::Groups;
pub use links::{LinkError, LinkWatch};
pub use local::{LocalError, listeners, local_addresses};
pub use socket::FrameSocket;
pub use sockets::{BUFFER_LEN, Bell, Opened, Port, Sockets};
pub use table::Table;
