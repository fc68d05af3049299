//! What a Service can wait for.

use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::range::Family;

/// Something that a Service waits for, and that becomes free.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// An address, or a place in its sharing set.
    Address(IpAddr),
    /// A place in a sharing set with this key.
    Key(Arc<str>),
    /// Any address of a pool and a family.
    Pool(Arc<str>, Family),
}
