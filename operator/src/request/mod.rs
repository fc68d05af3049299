//! The pure parse of a Service into what it asks for.

mod addresses;
mod families;
mod sharing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::names::{ADDRESS_POOL, ALLOCATED_FROM_ANNOTATION};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;

pub use self::addresses::Addresses;
pub use self::families::Families;
pub use self::sharing::{Backend, Port, Protocol, Sharing, SharingBar};
use crate::key::ServiceKey;
use crate::refusal::Refusal;

/// What a Service asks for, and what its status says that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub service: ServiceKey,
    /// When the Service was created: of two that want the same, the older goes first.
    pub created: Timestamp,
    /// The Service's labels, for the pools' serviceSelectors.
    pub labels: BTreeMap<String, String>,
    /// Addresses in the Service's status, each once, in status order.
    pub held: Vec<IpAddr>,
    /// The pools that the operator noted for those addresses, in status order; one name stands for all.
    pub held_from: Vec<String>,
    /// How it may share its addresses with others.
    pub sharing: Arc<Sharing>,
    /// What it wants, or why that can't be told.
    pub wish: Result<Wish, Refusal>,
}

/// What a Service wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The families that it wants an address of.
    pub families: Families,
    /// Where the addresses shall come from.
    pub source: Source,
}

/// Where a Service wants its addresses from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Any pool that hands out addresses by itself.
    Automatic,
    /// The pool of a name.
    Pool(String),
    /// These very addresses.
    Addresses {
        /// One for each family that the Service has.
        addresses: Addresses,
        /// The pool that they have to be in, if the Service names one.
        pool: Option<String>,
    },
}

/// The place of a request in a batch: Services that have an address come first, then those that name addresses,
/// then all others; the oldest first in each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    tier: u8,
    created: Timestamp,
    service: ServiceKey,
}

/// Whether the Service is for an operator that serves `class`: of type LoadBalancer, and with that
/// `loadBalancerClass`, or with none for an operator without a class.
pub fn is_ours(service: &Service, class: Option<&str>) -> bool {
    let spec = service.spec.as_ref();
    is_load_balancer(service) && spec.and_then(|spec| spec.load_balancer_class.as_deref()) == class
}

/// Whether the Service is of type LoadBalancer.
pub fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
}

impl Request {
    /// Reads a Service that [`is_ours`]; the class is not looked at.
    pub fn parse(service: &Service) -> Self {
        let metadata = &service.metadata;
        let annotation = |name: &str| metadata.annotations.as_ref().and_then(|map| map.get(name));
        Self {
            service: ServiceKey::of(&service.metadata),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            held: addresses_of(service),
            held_from: annotation(ALLOCATED_FROM_ANNOTATION)
                .map(|pools| pools.split(',').map(|pool| pool.trim().to_owned()).collect())
                .unwrap_or_default(),
            sharing: Arc::new(Sharing::of(service)),
            wish: wish(service),
        }
    }

    /// The place of the request in a batch.
    pub fn rank(&self) -> Rank {
        let tier = match &self.wish {
            _ if !self.held.is_empty() => 0,
            Ok(Wish { source: Source::Addresses { .. }, .. }) => 1,
            Ok(_) | Err(_) => 2,
        };
        Rank { tier, created: self.created, service: self.service.clone() }
    }
}

impl Rank {
    /// The first place of all, for a Service that has something to give back.
    pub fn first(service: ServiceKey) -> Self {
        Self { tier: 0, created: Timestamp::MIN, service }
    }

    /// Whose place it is.
    pub fn service(&self) -> &ServiceKey {
        &self.service
    }
}

fn wish(service: &Service) -> Result<Wish, Refusal> {
    let annotations = service.metadata.annotations.as_ref();
    let pool =
        ADDRESS_POOL.get(annotations).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let families = Families::of(service)?;
    let source = match (Addresses::asked_for(service, families)?, pool) {
        (Some(addresses), pool) => Source::Addresses { addresses, pool },
        (None, Some(pool)) => Source::Pool(pool),
        (None, None) => Source::Automatic,
    };
    Ok(Wish { families, source })
}

/// The addresses in a Service's status, each once, in order.
pub fn addresses_of(service: &Service) -> Vec<IpAddr> {
    let status = service.status.as_ref();
    let ingress =
        status.and_then(|status| status.load_balancer.as_ref()).and_then(|status| status.ingress.as_deref());
    let mut addresses = Vec::new();
    for address in ingress.unwrap_or_default().iter().filter_map(|entry| entry.ip.as_deref()?.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}
