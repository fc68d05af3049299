//! What the ledger answers: who has what, and why not more.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::range::Family;

use super::topic::Topic;
use crate::key::ServiceKey;
use crate::refusal::Refusal;
use crate::request::SharingBar;

/// An address that a Service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// The pool that contains it, or, while none does, the one that did.
    pub pool: Arc<str>,
}

/// The addresses that a Service has: at most one of each family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Its IPv4 address.
    pub v4: Option<Place>,
    /// Its IPv6 address.
    pub v6: Option<Place>,
}

/// The ledger's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the Service has now.
    pub assignment: Assignment,
    /// Why it does not have what it asks for; what it does have, it keeps.
    pub refusal: Option<Refusal>,
    /// Whether it would take more as soon as there is more.
    pub wants_more: bool,
    /// What has to become free for that.
    pub waits_for: Vec<Topic>,
    /// Addresses of its status that it does not have any more.
    pub given_up: Vec<GivenUp>,
}

/// An address that a Service had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The address.
    pub address: IpAddr,
    /// Why it is given up.
    pub cause: Cause,
}

/// Why a Service does not keep an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It asks for another one, or for another pool.
    AsksForAnother,
    /// It does not want the family any more.
    FamilyNotWanted(Family),
    /// The address's pool is for other Services now.
    PoolForOthers(Arc<str>),
    /// No pool contains it.
    OutsidePools,
    /// Another Service has it, and they can't share it.
    HeldBy(ServiceKey, SharingBar),
    /// An older Service of another class has it.
    OtherClass(ServiceKey),
    /// It has another address of the family.
    Surplus(Family),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsksForAnother => f.write_str("the Service asks for another"),
            Self::FamilyNotWanted(family) => write!(f, "the Service has no {family} ClusterIP"),
            Self::PoolForOthers(pool) => write!(f, "pool {pool} is for other Services (serviceAllocation)"),
            Self::OutsidePools => f.write_str("it is in no pool"),
            Self::HeldBy(service, bar) => {
                write!(f, "Service {service} has it, and they can't share it: {bar}")
            }
            Self::OtherClass(service) => {
                write!(f, "Service {service} of another class, which is older, has it")
            }
            Self::Surplus(family) => write!(f, "the Service has another {family} address"),
        }
    }
}

impl Assignment {
    /// The address of a family.
    pub fn get(&self, family: Family) -> Option<&Place> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// All addresses, in status order.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.v4.iter().chain(&self.v6)
    }

    /// Whether the Service has nothing.
    pub fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// Whether one of the addresses is this one.
    pub fn has(&self, address: IpAddr) -> bool {
        self.get(Family::of(address)).is_some_and(|place| place.address == address)
    }

    pub(super) fn slot_mut(&mut self, family: Family) -> &mut Option<Place> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
