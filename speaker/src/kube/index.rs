//! What the speaker knows of the cluster: facts, kept from watches, and the plan that follows from them.

use std::collections::BTreeMap;
use std::time::Instant;

use ferrolb_crds::lease::{self, Observed};
use ferrolb_crds::{IPAddressPool, L2Advertisement, L2AdvertisementSpec};
use ferrolb_placement::{Endpoints, Liveness, NodeFacts, PoolFacts, ServiceFacts, Speaker};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;

use super::collection::Collection;
use super::strip::SERVICE_NAME_LABEL;
use super::watch::{Change, Shown};
use crate::ownership::{Desired, ServiceName};
use crate::plan::{Facts, plan};

/// Which objects count.
#[derive(Clone, Debug)]
pub struct Scope {
    /// This node.
    pub node: String,
    /// The Services' loadBalancerClass; `None`: Services without one.
    pub class: Option<String>,
    /// Whether the label that excludes nodes from load balancing is ignored.
    pub ignore_exclude_label: bool,
}

/// The cluster as the watches show it.
#[derive(Debug)]
pub struct Index {
    scope: Scope,
    services: Collection<ServiceName, ServiceFacts>,
    service_uids: Collection<ServiceName, String>,
    slices: Collection<ServiceName, (ServiceName, Endpoints)>,
    nodes: Collection<String, NodeFacts>,
    node_uids: Collection<String, String>,
    pools: Collection<String, PoolFacts>,
    advertisements: Collection<String, L2AdvertisementSpec>,
    leases: Collection<String, Observed>,
    liveness: Liveness,
}

impl Index {
    /// Knows nothing yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            liveness: Liveness::new(&scope.node),
            scope,
            services: Collection::default(),
            service_uids: Collection::default(),
            slices: Collection::default(),
            nodes: Collection::default(),
            node_uids: Collection::default(),
            pools: Collection::default(),
            advertisements: Collection::default(),
            leases: Collection::default(),
        }
    }

    /// Takes up a change. Says whether the plan may differ.
    pub fn apply(&mut self, change: &Change, now: Instant) -> bool {
        let scope = &self.scope;
        match change {
            Change::Service(event) => {
                self.service_uids
                    .apply(event, |service| (service_name(&service.metadata), service.metadata.uid.clone()));
                self.services.apply(event, |service| read_service(service, scope))
            }
            Change::EndpointSlice(event) => self.slices.apply(event, read_slice),
            Change::Node(event) => {
                self.node_uids.apply(event, |node| (name(&node.metadata), node.metadata.uid.clone()));
                self.nodes.apply(event, |node| read_node(node, scope))
            }
            Change::Pool(event) => self
                .pools
                .apply(event, |pool: &IPAddressPool| (name(&pool.metadata), Some(PoolFacts::from(pool)))),
            Change::Advertisement(event) => {
                self.advertisements.apply(event, |advertisement: &L2Advertisement| {
                    (name(&advertisement.metadata), Some(advertisement.spec.clone()))
                })
            }
            Change::Lease(event) => self.apply_lease(event, now),
        }
    }

    /// Expires Leases. Says whether the plan may differ.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        self.liveness.handle_timeout(now)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.liveness.poll_timeout()
    }

    /// Whether every kind was listed once; a plan made before would be wrong.
    pub fn is_loaded(&self) -> bool {
        self.services.is_loaded()
            && self.slices.is_loaded()
            && self.nodes.is_loaded()
            && self.pools.is_loaded()
            && self.advertisements.is_loaded()
            && self.leases.is_loaded()
    }

    /// How many speakers have a Lease.
    pub fn speakers(&self) -> usize {
        self.leases.items().len()
    }

    /// The UID of this node's object, if there is one.
    pub fn own_uid(&self) -> Option<&str> {
        self.node_uids.items().get(&self.scope.node).map(String::as_str)
    }

    /// The UID of a Service.
    pub fn service_uid(&self, service: &ServiceName) -> Option<&str> {
        self.service_uids.items().get(service).map(String::as_str)
    }

    /// What this node is to announce, with its own interfaces as it knows them itself.
    pub fn plan(&self, own: Speaker) -> Desired {
        let nodes: Vec<NodeFacts> = self
            .nodes
            .items()
            .iter()
            .map(|(name, facts)| {
                let speaker =
                    if *name == self.scope.node { own.clone() } else { self.liveness.speaker(name) };
                NodeFacts { speaker, ..facts.clone() }
            })
            .collect();
        plan(&Facts {
            node: &self.scope.node,
            services: self.services.items(),
            endpoints: &self.endpoints(),
            nodes: &nodes,
            pools: &self.pools.items().values().cloned().collect::<Vec<_>>(),
            advertisements: &self.advertisements.items().values().cloned().collect::<Vec<_>>(),
        })
    }

    /// The endpoints of the Services whose placement depends on them, over all their slices.
    fn endpoints(&self) -> BTreeMap<ServiceName, Endpoints> {
        let mut endpoints: BTreeMap<ServiceName, Endpoints> = BTreeMap::new();
        for (service, slice) in self.slices.items().values() {
            if self.services.items().get(service).is_some_and(|service| service.local) {
                let merged = endpoints.entry(service.clone()).or_default();
                merged.ready.extend(slice.ready.iter().cloned());
                merged.serving.extend(slice.serving.iter().cloned());
            }
        }
        endpoints
    }

    fn apply_lease(&mut self, event: &Shown<Lease>, now: Instant) -> bool {
        let was_loaded = self.leases.is_loaded();
        self.leases.apply(event, read_lease);
        let changed = match event {
            Event::Apply(Ok(lease)) | Event::InitApply(Ok(lease)) => {
                lease::read(lease).is_some_and(|observed| self.liveness.observe(observed, now))
            }
            Event::Delete(_) | Event::InitDone => self.forget_gone(now),
            Event::Apply(Err(_)) | Event::InitApply(Err(_)) | Event::Init => false,
        };
        changed || was_loaded != self.leases.is_loaded()
    }

    fn forget_gone(&mut self, now: Instant) -> bool {
        let mut gone = self.liveness.nodes();
        for observed in self.leases.items().values() {
            gone.remove(&observed.node);
        }
        gone.iter().filter(|node| self.liveness.remove(node, now)).count() > 0
    }
}

fn read_service(service: &Service, scope: &Scope) -> (ServiceName, Option<ServiceFacts>) {
    let spec = service.spec.as_ref();
    let ours = spec.is_some_and(|spec| {
        spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class == scope.class
    });
    let facts = ours.then(|| ServiceFacts::from(service)).filter(|facts| !facts.addresses.is_empty());
    (service_name(&service.metadata), facts)
}

fn read_slice(slice: &EndpointSlice) -> (ServiceName, Option<(ServiceName, Endpoints)>) {
    let key = service_name(&slice.metadata);
    let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL));
    let value = service.map(|service| {
        let service = ServiceName { namespace: key.namespace.clone(), name: service.clone() };
        (service, Endpoints::new([slice]))
    });
    (key, value)
}

fn read_node(node: &Node, scope: &Scope) -> (String, Option<NodeFacts>) {
    let mut facts = NodeFacts::new(node, Speaker::Absent);
    facts.excluded &= !scope.ignore_exclude_label;
    (facts.name.clone(), Some(facts))
}

fn read_lease(lease: &Lease) -> (String, Option<Observed>) {
    (name(&lease.metadata), lease::read(lease))
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

fn service_name(metadata: &ObjectMeta) -> ServiceName {
    ServiceName { namespace: metadata.namespace.clone().unwrap_or_default(), name: name(metadata) }
}

#[cfg(test)]
mod tests;
