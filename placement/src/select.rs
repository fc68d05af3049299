//! Which advertisements count for an address.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::L2AdvertisementSpec;
use ferrolb_crds::selector::any_matches;

use crate::facts::{NodeFacts, PoolFacts, ServiceFacts};

/// An advertisement as it was at some time.
#[derive(Debug)]
pub(crate) struct Advertisement {
    /// Tells it from all others, and from what it was at other times.
    pub(crate) revision: u64,
    pub(crate) spec: L2AdvertisementSpec,
}

/// The advertisements that count for an address: at least one. Compared by what they were when.
#[derive(Clone, Debug)]
pub(crate) struct Selection(Arc<[Arc<Advertisement>]>);

impl Selection {
    /// The advertisements that select all Services of a sharing set, of those that select the address's pool.
    pub(crate) fn of<'a>(
        services: &[&ServiceFacts],
        of_pool: impl IntoIterator<Item = &'a Arc<Advertisement>>,
    ) -> Option<Self> {
        let selects_all = |advertisement: &&Arc<Advertisement>| {
            services.iter().all(|service| selects_service(&advertisement.spec, service))
        };
        let counting: Arc<[_]> = of_pool.into_iter().filter(selects_all).cloned().collect();
        (!counting.is_empty()).then_some(Self(counting))
    }

    /// Those that let a node announce, as far as its labels tell.
    pub(crate) fn selecting(&self, node: &NodeFacts) -> impl Iterator<Item = &L2AdvertisementSpec> + Clone {
        self.0.iter().map(|advertisement| &advertisement.spec).filter(|spec| selects_node(spec, node))
    }

    fn revisions(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|advertisement| advertisement.revision)
    }
}

impl Ord for Selection {
    fn cmp(&self, other: &Self) -> Ordering {
        self.revisions().cmp(other.revisions())
    }
}

impl PartialOrd for Selection {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Selection {}

/// The pool that an address belongs to: the Ready pool that contains it, else the first other one that does.
pub(crate) fn home<'a>(
    address: IpAddr,
    pools: impl Iterator<Item = &'a PoolFacts> + Clone,
) -> Option<&'a PoolFacts> {
    let mut containing = pools.filter(|pool| pool.contains(address));
    containing.clone().find(|pool| pool.ready).or_else(|| containing.next())
}

fn selects_service(spec: &L2AdvertisementSpec, service: &ServiceFacts) -> bool {
    spec.service_selectors.is_empty() || service.labels.match_any(&spec.service_selectors)
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
