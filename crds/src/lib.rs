//! The typed API of FerroLB: the custom resources of `ferrolb.io/v1beta1` and the few helpers that every part
//! needs to read them.
//!
//! | kind | written by | says |
//! |---|---|---|
//! | [`IPAddressPool`] | the user | which addresses may be handed out, and to whom |
//! | [`L2Advertisement`] | the user | which nodes and interfaces may announce which pools |
//! | [`ServiceL2Status`] | speakers | which node announces a Service's addresses, since when and why |
//!
//! A range of addresses is a string on the wire only: [`range::AddressRange`] is what the program works with.
//! Whatever one object alone can show to be wrong is refused by the API server, through the schema and the CEL
//! rules of [`schema`]; what only the whole set can show becomes a [`condition`].

#![allow(clippy::duplicated_attributes, reason = "printer columns of the derive macro repeat their keys")]

pub mod advertisement;
pub mod condition;
pub mod lease;
pub mod manifest;
pub mod names;
pub mod pool;
pub mod range;
pub mod schema;
pub mod selector;
pub mod service_l2_status;

pub use advertisement::{L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector};
pub use pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use range::{AddressRange, Family};
pub use service_l2_status::{Role, ServiceL2Status, ServiceL2StatusStatus};
