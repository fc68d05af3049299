//! What the node is to announce, as placement decided it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_placement::InterfaceFilter;

/// The addresses that the machine deals with; it never answers for any other.
pub type Desired = BTreeMap<IpAddr, DesiredAddress>;

/// One address and the node's part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredAddress {
    /// The Services that have the address, in the order of their names.
    pub services: Arc<[ServiceName]>,
    /// The interfaces on which this node may announce it.
    pub interfaces: InterfaceFilter,
    /// This node's place among the candidates.
    pub standing: Standing,
}

/// A node's place among the candidates for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The best candidate with a live Lease.
    First,
    /// A candidate, but another one is better.
    Behind {
        /// The best candidate.
        first: Arc<str>,
    },
    /// No candidate.
    Excluded {
        /// Why not.
        reason: ferrolb_placement::Exclusion,
    },
}

/// A Service's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
