//! The decision.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ferrolb_crds::L2AdvertisementSpec;
use ferrolb_crds::selector::{any_matches, matches};

use crate::facts::{Endpoints, NodeFacts, PoolFacts, ServiceFacts, Speaker};
use crate::interfaces::InterfaceFilter;
use crate::order;

/// A node that may announce a Service's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node's name.
    pub node: String,
    /// The interfaces on which it may.
    pub interfaces: InterfaceFilter,
    /// It is not Ready or cordoned, and comes after those that are neither.
    pub demoted: bool,
    /// The Service's annotation names it.
    pub preferred: bool,
    /// Sum of the weights of the preferences that match it.
    pub weight: i64,
}

/// Who may announce a Service's addresses, and who may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The nodes that may, best first.
    pub candidates: Vec<Candidate>,
    /// The nodes that may not, each with the first reason that was found.
    pub excluded: BTreeMap<String, Exclusion>,
}

/// Why no node may announce a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unannounced {
    /// The Service has no address.
    NoAddress,
    /// No pool contains the addresses.
    NoPool,
    /// No L2Advertisement selects the pool and the Service.
    NoAdvertisement,
}

/// What keeps a Service's addresses from being announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// No node may, whatever its state.
    Unannounced(Unannounced),
    /// Of all nodes none may: how many for each reason.
    NoNode(BTreeMap<Exclusion, usize>),
}

/// Why a node may not announce a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// No advertisement of the Service selects the node.
    NotSelected,
    /// The node's label takes it out of load balancing.
    ExcludeLabel,
    /// The node's network is not set up.
    NetworkUnavailable,
    /// The node was declared out of service.
    OutOfService,
    /// The node's speaker has no live Lease.
    NoSpeaker,
    /// None of the node's interfaces that may announce is up.
    NoInterface,
    /// externalTrafficPolicy is Local, and the node has no endpoint that serves.
    NoLocalEndpoint,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSelected => "no L2Advertisement of the Service selects the node",
            Self::ExcludeLabel => {
                "the node is labelled node.kubernetes.io/exclude-from-external-load-balancers"
            }
            Self::NetworkUnavailable => "the node's condition NetworkUnavailable is True",
            Self::OutOfService => "the node has the taint node.kubernetes.io/out-of-service",
            Self::NoSpeaker => "the node's speaker has no live Lease",
            Self::NoInterface => "no interface of the node that may announce is up",
            Self::NoLocalEndpoint => "externalTrafficPolicy is Local, and the node has no serving endpoint",
        })
    }
}

/// Decides who may announce a Service's addresses, and in which order.
///
/// The advertisements that count are those that select the Service and a pool of each of its addresses, so that the
/// addresses of a Service stay together.
///
/// # Errors
/// When no node may, whatever its state.
pub fn place<'a>(
    service: &ServiceFacts,
    endpoints: &Endpoints,
    nodes: impl IntoIterator<Item = &'a NodeFacts>,
    pools: &[PoolFacts],
    advertisements: &[L2AdvertisementSpec],
) -> Result<Placement, Unannounced> {
    let &first_address = service.addresses.first().ok_or(Unannounced::NoAddress)?;
    let selecting = selecting(service, pools, advertisements)?;
    let mut placement = Placement::default();
    for node in nodes {
        match consider(service, endpoints, node, &selecting) {
            Ok(candidate) => placement.candidates.push(candidate),
            Err(exclusion) => _ = placement.excluded.insert(node.name.clone(), exclusion),
        }
    }
    order::sort(&mut placement.candidates, first_address);
    Ok(placement)
}

/// Why no node may announce a Service's addresses now; `None` if one may. The order does not matter here, so that
/// this costs no more than finding the first that may.
pub fn hindrance<'a>(
    service: &ServiceFacts,
    endpoints: &Endpoints,
    nodes: impl IntoIterator<Item = &'a NodeFacts>,
    pools: &[PoolFacts],
    advertisements: &[L2AdvertisementSpec],
) -> Option<Hindrance> {
    let selecting = match selecting(service, pools, advertisements) {
        Ok(selecting) => selecting,
        Err(unannounced) => return Some(Hindrance::Unannounced(unannounced)),
    };
    let mut excluded = BTreeMap::new();
    for node in nodes {
        match consider(service, endpoints, node, &selecting) {
            Ok(_) => return None,
            Err(exclusion) => *excluded.entry(exclusion).or_default() += 1,
        }
    }
    Some(Hindrance::NoNode(excluded))
}

/// The advertisements that count for a Service.
fn selecting<'a>(
    service: &ServiceFacts,
    pools: &[PoolFacts],
    advertisements: &'a [L2AdvertisementSpec],
) -> Result<Vec<&'a L2AdvertisementSpec>, Unannounced> {
    if service.addresses.is_empty() {
        return Err(Unannounced::NoAddress);
    }
    let homes = service
        .addresses
        .iter()
        .map(|&address| home(address, pools))
        .collect::<Option<Vec<_>>>()
        .ok_or(Unannounced::NoPool)?;
    let selecting: Vec<_> = advertisements
        .iter()
        .filter(|spec| selects_service(spec, service) && homes.iter().all(|pool| selects_pool(spec, pool)))
        .collect();
    if selecting.is_empty() { Err(Unannounced::NoAdvertisement) } else { Ok(selecting) }
}

/// The pool that an address belongs to: the Ready pool that contains it, else the first other one that does.
fn home(address: IpAddr, pools: &[PoolFacts]) -> Option<&PoolFacts> {
    let mut containing = pools.iter().filter(|pool| pool.contains(address));
    containing.clone().find(|pool| pool.ready).or_else(|| containing.next())
}

fn consider(
    service: &ServiceFacts,
    endpoints: &Endpoints,
    node: &NodeFacts,
    advertisements: &[&L2AdvertisementSpec],
) -> Result<Candidate, Exclusion> {
    let selecting = || advertisements.iter().filter(|spec| selects_node(spec, node));
    let interfaces = selecting()
        .map(|spec| InterfaceFilter::from_patterns(&spec.interfaces))
        .reduce(InterfaceFilter::union)
        .ok_or(Exclusion::NotSelected)?;
    if node.excluded {
        return Err(Exclusion::ExcludeLabel);
    }
    if node.network_unavailable {
        return Err(Exclusion::NetworkUnavailable);
    }
    if node.out_of_service {
        return Err(Exclusion::OutOfService);
    }
    match &node.speaker {
        Speaker::Absent => return Err(Exclusion::NoSpeaker),
        Speaker::Live { interfaces: up } if !up.iter().any(|name| interfaces.matches(name)) => {
            return Err(Exclusion::NoInterface);
        }
        Speaker::Live { .. } => {}
    }
    if service.local && !endpoints.eligible_nodes().contains(&node.name) {
        return Err(Exclusion::NoLocalEndpoint);
    }
    let weight = selecting()
        .flat_map(|spec| &spec.preferred_node_selectors)
        .filter(|preference| matches(&preference.preference, Some(&node.labels)))
        .map(|preference| i64::from(preference.weight))
        .sum();
    Ok(Candidate {
        node: node.name.clone(),
        interfaces,
        demoted: node.demoted(),
        preferred: service.preferred_node.as_deref() == Some(&node.name),
        weight,
    })
}

fn selects_service(spec: &L2AdvertisementSpec, service: &ServiceFacts) -> bool {
    spec.service_selectors.is_empty() || any_matches(&spec.service_selectors, Some(&service.labels))
}

/// Whether the advertisement is for the addresses of a pool.
pub fn selects_pool(spec: &L2AdvertisementSpec, pool: &PoolFacts) -> bool {
    (spec.ip_address_pools.is_empty() && spec.ip_address_pool_selectors.is_empty())
        || spec.ip_address_pools.contains(&pool.name)
        || any_matches(&spec.ip_address_pool_selectors, Some(&pool.labels))
}

/// Whether the advertisement lets a node announce, as far as its labels tell.
pub fn selects_node(spec: &L2AdvertisementSpec, node: &NodeFacts) -> bool {
    spec.node_selectors.is_empty() || any_matches(&spec.node_selectors, Some(&node.labels))
}
