//! Refusals: why a Service does not get what it asks for, and what its author or the pools' owner can change.

use std::fmt;
use std::net::IpAddr;

use ferrolb_crds::names::{ADDRESS_POOL, LOAD_BALANCER_IPS};
use ferrolb_crds::range::Family;

use crate::key::ServiceKey;
use crate::ledger::Claimant;
use crate::request::SharingBar;

/// How many pools a message names before it only counts the others.
const POOLS_NAMED: usize = 8;

/// The reason of a refusal, as the condition `ferrolb.io/Allocated` and the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The request contradicts itself or can't be read.
    RequestInvalid,
    /// The addresses asked for are of other families than the Service.
    FamilyMismatch,
    /// No pool hands out the address asked for.
    AddressNotInPool,
    /// Another Service has the address asked for.
    AddressInUse,
    /// No pool is for this Service.
    NoPoolMatches,
    /// All addresses of the pools for this Service are in use.
    PoolExhausted,
    /// Another controller keeps overwriting what we write.
    ForeignController,
}

impl Reason {
    /// The reason as conditions write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestInvalid => "RequestInvalid",
            Self::FamilyMismatch => "FamilyMismatch",
            Self::AddressNotInPool => "AddressNotInPool",
            Self::AddressInUse => "AddressInUse",
            Self::NoPoolMatches => "NoPoolMatches",
            Self::PoolExhausted => "PoolExhausted",
            Self::ForeignController => "ForeignController",
        }
    }
}

/// Why a pool gives a Service nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolBar {
    /// The pool's own condition Ready is False.
    NotReady,
    /// The pool is being emptied.
    Draining,
    /// The pool's serviceAllocation is for other Services.
    OtherServices,
    /// The pool has to be asked for by name.
    NotAutomatic,
    /// The pool has no addresses of a family.
    WithoutFamily(Family),
    /// All addresses of a family are in use.
    Full(Family),
}

impl fmt::Display for PoolBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("is not Ready"),
            Self::Draining => f.write_str("is draining"),
            Self::OtherServices => f.write_str("is for other Services (serviceAllocation)"),
            Self::NotAutomatic => f.write_str("has to be asked for by name (autoAssign is false)"),
            Self::WithoutFamily(family) => write!(f, "has no {family} addresses"),
            Self::Full(family) => write!(f, "has no free {family} address"),
        }
    }
}

/// Why a Service does not get what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Addresses are asked for in two places.
    AskedTwice,
    /// A text among the addresses asked for is none.
    NotAnAddress(String),
    /// Two addresses of one family are asked for.
    TwoOfOneFamily(Family),
    /// The Service has no ClusterIP from which its families could follow.
    NoClusterIp,
    /// The Service has both families and asks for one address only.
    OneAddressForTwoFamilies(IpAddr),
    /// The Service lacks the family of an address that it asks for.
    WithoutFamily(IpAddr),
    /// No pool contains the address asked for.
    OutsidePools(IpAddr),
    /// The address asked for is not in the pool asked for.
    OutsideRequestedPool {
        /// The address.
        address: IpAddr,
        /// The pool that the Service names.
        pool: String,
    },
    /// The pool of the address asked for excludes it.
    Excluded {
        /// The address.
        address: IpAddr,
        /// The pool that contains and excludes it.
        pool: String,
    },
    /// Another Service has the address asked for.
    InUse {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: ServiceKey,
        /// Why the two can't share it.
        bar: SharingBar,
    },
    /// Somebody else has the address asked for.
    Claimed {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: Claimant,
    },
    /// There is no pool of the name asked for.
    UnknownPool(String),
    /// The pool of the address asked for gives this Service nothing.
    PoolBarred {
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: String,
        /// Why the pool gives nothing.
        bar: PoolBar,
    },
    /// Another controller, of this name, keeps overwriting the Service's status.
    ForeignController(String),
    /// No pool has a free address for the Service.
    NothingFree {
        /// Every pool that was tried, in order, with what bars it.
        tried: Vec<(String, PoolBar)>,
    },
}

impl Refusal {
    /// The reason, one word for programs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::AskedTwice | Self::NotAnAddress(_) | Self::TwoOfOneFamily(_) | Self::NoClusterIp => {
                Reason::RequestInvalid
            }
            Self::OneAddressForTwoFamilies(_) | Self::WithoutFamily(_) => Reason::FamilyMismatch,
            Self::OutsidePools(_) | Self::OutsideRequestedPool { .. } | Self::Excluded { .. } => {
                Reason::AddressNotInPool
            }
            Self::InUse { .. } | Self::Claimed { .. } => Reason::AddressInUse,
            Self::ForeignController(_) => Reason::ForeignController,
            Self::UnknownPool(_) | Self::PoolBarred { .. } => Reason::NoPoolMatches,
            Self::NothingFree { tried } => {
                let full = tried.iter().any(|(_, bar)| matches!(bar, PoolBar::Full(_)));
                if full { Reason::PoolExhausted } else { Reason::NoPoolMatches }
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ips = LOAD_BALANCER_IPS.name;
        match self {
            Self::AskedTwice => write!(
                f,
                "both the annotation {ips} and spec.loadBalancerIP ask for addresses: remove one of them"
            ),
            Self::NotAnAddress(text) => write!(
                f,
                "\"{text}\" is not an IP address: ask for one address of each family, separated by a comma"
            ),
            Self::TwoOfOneFamily(family) => {
                write!(f, "two {family} addresses are asked for: ask for one address of each family")
            }
            Self::NoClusterIp => f.write_str("the Service has no ClusterIP: remove clusterIP: None"),
            Self::OneAddressForTwoFamilies(address) => write!(
                f,
                "the Service is dual-stack and asks for {address} only: ask for one address of each family in \
                 {ips}, or set ipFamilyPolicy: SingleStack"
            ),
            Self::WithoutFamily(address) => {
                let family = Family::of(*address);
                write!(
                    f,
                    "{address} is asked for, and the Service has no {family} ClusterIP: ask for another \
                     address, or add {family} to ipFamilies"
                )
            }
            Self::OutsidePools(address) => {
                write!(f, "{address} is in no pool: ask for another address, or add it to a pool")
            }
            Self::OutsideRequestedPool { address, pool } => write!(
                f,
                "{address} is not in pool {pool}: ask for an address of that pool, or remove the annotation {}",
                ADDRESS_POOL.name
            ),
            Self::Excluded { address, pool } => write!(
                f,
                "pool {pool} excludes {address} (excludedAddresses, avoidBuggyIPs): ask for another address"
            ),
            Self::InUse { address, by, bar } => write!(
                f,
                "Service {by} has {address}, and they can't share it: {bar}; ask for another address, or delete that \
                 Service"
            ),
            Self::Claimed { address, by } => {
                write!(f, "{address} can't be given: {by}; ask for another address")
            }
            Self::ForeignController(manager) => write!(
                f,
                "{manager} keeps overwriting the addresses in this Service's status: stop it, or give the Service a \
                 loadBalancerClass that only one of them serves"
            ),
            Self::UnknownPool(pool) => write!(
                f,
                "there is no pool {pool}: create it, or name another one in the annotation {}",
                ADDRESS_POOL.name
            ),
            Self::PoolBarred { address, pool, bar } => {
                write!(f, "{address} is in pool {pool}, which {bar}: ask for another address")
            }
            Self::NothingFree { tried } if tried.is_empty() => {
                f.write_str("there is no pool: create an IPAddressPool")
            }
            Self::NothingFree { tried } => write_tried(f, tried),
        }
    }
}

fn write_tried(f: &mut fmt::Formatter<'_>, tried: &[(String, PoolBar)]) -> fmt::Result {
    f.write_str("no pool has an address for this Service: ")?;
    for (index, (pool, bar)) in tried.iter().take(POOLS_NAMED).enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        write!(f, "{separator}pool {pool} {bar}")?;
    }
    if let Some(more) = tried.len().checked_sub(POOLS_NAMED).filter(|more| *more > 0) {
        write!(f, "; {more} more give it nothing either")?;
    }
    f.write_str(". Add addresses to a pool, or create one for this Service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pool_makes_the_reason_exhausted_and_no_fitting_pool_makes_it_no_match() {
        let tried = vec![("a".to_owned(), PoolBar::Draining), ("b".to_owned(), PoolBar::Full(Family::V4))];
        assert_eq!(Refusal::NothingFree { tried: tried[..1].to_vec() }.reason(), Reason::NoPoolMatches);
        assert_eq!(Refusal::NothingFree { tried }.reason(), Reason::PoolExhausted);
        assert_eq!(Refusal::NothingFree { tried: Vec::new() }.reason(), Reason::NoPoolMatches);
    }

    #[test]
    fn a_message_names_the_pools_tried_and_stays_short() {
        let tried = (0..100).map(|n| (format!("pool-{n}"), PoolBar::OtherServices)).collect();
        let message = Refusal::NothingFree { tried }.to_string();
        assert!(message.contains("pool pool-7 is for other Services") && !message.contains("pool-8 "));
        assert!(message.contains("92 more"), "{message}");
    }
}
