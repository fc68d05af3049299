//! On which nodes Services' endpoints are: as little of all EndpointSlices as decides.
//!
//! What counts is what kube-proxy would send traffic to: an endpoint that is ready, whatever else it is (a Service
//! with publishNotReadyAddresses has only such), and, while none is, one that serves although it terminates. An
//! endpoint without a node's name is local to no node. A condition that is not told counts as the API documents it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferrolb_crds::range::Family;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::planner::compact;

/// Label of a slice: the Service that it belongs to.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Names of nodes are kept, each once, until so many of them may be out of use.
const SPARE_NAMES: usize = 64;

/// What one slice says: on which nodes its endpoints are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    family: Family,
    /// Nodes with an endpoint, and whether one is ready there; the others only serve.
    nodes: Box<[(Arc<str>, bool)]>,
}

/// All slices.
#[derive(Debug)]
pub(crate) struct Slices<K> {
    by_service: BTreeMap<K, Vec<(K, Slice)>>,
    service_of: BTreeMap<K, K>,
    /// Names of nodes, each once in memory.
    names: BTreeSet<Arc<str>>,
    names_in_use: usize,
}

impl<K> Default for Slices<K> {
    fn default() -> Self {
        let (by_service, service_of) = (BTreeMap::new(), BTreeMap::new());
        Self { by_service, service_of, names: BTreeSet::new(), names_in_use: 0 }
    }
}

impl Slice {
    /// Reads a slice; `None` if there is nothing in it that any node could have traffic sent to.
    pub fn read(slice: &EndpointSlice) -> Option<Self> {
        let family = match &*slice.address_type {
            "IPv4" => Family::V4,
            "IPv6" => Family::V6,
            _ => return None,
        };
        let mut nodes: BTreeMap<&str, bool> = BTreeMap::new();
        for endpoint in &slice.endpoints {
            if let Some((node, ready)) = endpoint.node_name.as_deref().zip(readiness(endpoint)) {
                *nodes.entry(node).or_default() |= ready;
            }
        }
        let nodes: Box<[_]> = nodes.into_iter().map(|(node, ready)| (Arc::from(node), ready)).collect();
        (!nodes.is_empty()).then_some(Self { family, nodes })
    }

    /// The name of the Service that a slice belongs to.
    pub fn service_name(slice: &EndpointSlice) -> Option<&str> {
        slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL).map(String::as_str)
    }
}

/// Whether an endpoint is ready; `None` if it is of no use at all.
fn readiness(endpoint: &Endpoint) -> Option<bool> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let leaving = conditions.serving.unwrap_or(true) && conditions.terminating.unwrap_or(false);
    (ready || leaving).then_some(ready)
}

impl<K: Ord + Clone> Slices<K> {
    /// Takes in a slice of a Service, or that it is gone. Returns the Services for which that makes a difference.
    pub(crate) fn set(&mut self, key: K, slice: Option<(K, Slice)>) -> Vec<K> {
        let before = self.service_of.get(&key).cloned();
        let same = before.as_ref() == slice.as_ref().map(|(service, _)| service)
            && self.get(before.as_ref(), &key) == slice.as_ref().map(|(_, slice)| slice);
        if same {
            return Vec::new();
        }
        if let Some(service) = &before
            && let Some(slices) = self.by_service.get_mut(service)
        {
            slices.retain(|(known, _)| *known != key);
            if slices.is_empty() {
                self.by_service.remove(service);
            }
            self.service_of.remove(&key);
        }
        let after = slice
            .map(|(service, slice)| self.add(key, service, slice))
            .filter(|after| Some(after) != before.as_ref());
        before.into_iter().chain(after).collect()
    }

    /// The nodes to which traffic for a Service's address of a family can be sent and stay there: those with a ready
    /// endpoint, or, while there is none anywhere, those with one that still serves.
    pub(crate) fn eligible(&self, service: &K, family: Family) -> BTreeSet<&str> {
        let slices = self.by_service.get(service).into_iter().flatten().map(|(_, slice)| slice);
        let nodes = slices.filter(|slice| slice.family == family).flat_map(|slice| &slice.nodes);
        let ready: BTreeSet<&str> =
            nodes.clone().filter(|(_, ready)| *ready).map(|(node, _)| &**node).collect();
        if ready.is_empty() { nodes.map(|(node, _)| &**node).collect() } else { ready }
    }

    /// The key of a Service that has slices, as it is in memory already.
    pub(crate) fn service(&self, service: &K) -> Option<&K> {
        self.by_service.get_key_value(service).map(|(known, _)| known)
    }

    /// The slices that are known, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.service_of.keys()
    }

    pub(crate) fn compact(&mut self) {
        compact(&mut self.by_service);
        compact(&mut self.service_of);
    }

    fn get(&self, service: Option<&K>, key: &K) -> Option<&Slice> {
        let slices = self.by_service.get(service?)?;
        slices.iter().find(|(known, _)| known == key).map(|(_, slice)| slice)
    }

    /// Returns the Service's key as it is known already, so that it is in memory once.
    fn add(&mut self, key: K, service: K, mut slice: Slice) -> K {
        for (node, _) in &mut slice.nodes {
            match self.names.get(node) {
                Some(known) => *node = known.clone(),
                None => drop(self.names.insert(node.clone())),
            }
        }
        if self.names.len() > 2 * self.names_in_use + SPARE_NAMES {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.names_in_use = self.names.len();
        }
        let known = self.by_service.entry(service);
        let service = known.key().clone();
        known.or_insert_with(|| Vec::with_capacity(1)).push((key.clone(), slice));
        self.service_of.insert(key, service.clone());
        service
    }
}
