//! On which nodes Services' endpoints are: as little of all EndpointSlices as decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ferrolb_placement::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::key::ServiceKey;

/// Label of a slice: the Service that it belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One slice of a Service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    service: ServiceKey,
    /// Nodes with an endpoint, and whether one is ready there; the others only serve.
    nodes: Vec<(Arc<str>, bool)>,
}

/// All slices.
#[derive(Debug, Default)]
pub(super) struct Slices {
    by_name: HashMap<ServiceKey, Slice>,
    by_service: BTreeMap<ServiceKey, BTreeSet<ServiceKey>>,
    /// Names of nodes, each once in memory.
    nodes: BTreeSet<Arc<str>>,
}

/// Reads a slice; `None` if it belongs to no Service.
pub fn read_slice(slice: &EndpointSlice) -> Option<Slice> {
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    let Endpoints { ready, serving } = Endpoints::new([slice]);
    let nodes = serving.union(&ready).map(|node| (Arc::from(node.as_str()), ready.contains(node)));
    Some(Slice { service: ServiceKey::new(namespace, service), nodes: nodes.collect() })
}

impl Slices {
    /// Takes in a slice, or that it is gone. Returns the Services for which that makes a difference.
    pub(super) fn set(&mut self, key: ServiceKey, slice: Option<Slice>) -> Vec<ServiceKey> {
        let before = self.by_name.remove(&key);
        if before == slice {
            if let Some(same) = before {
                self.by_name.insert(key, same);
            }
            return Vec::new();
        }
        let affected = before.iter().chain(&slice).map(|slice| slice.service.clone()).collect();
        if let Some(before) = before
            && let Some(keys) = self.by_service.get_mut(&before.service)
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_service.remove(&before.service);
            }
        }
        if let Some(mut slice) = slice {
            for (node, _) in &mut slice.nodes {
                match self.nodes.get(node) {
                    Some(known) => *node = known.clone(),
                    None => drop(self.nodes.insert(node.clone())),
                }
            }
            self.by_service.entry(slice.service.clone()).or_default().insert(key.clone());
            self.by_name.insert(key, slice);
        }
        affected
    }

    /// The endpoints of a Service.
    pub(super) fn endpoints(&self, service: &ServiceKey) -> Endpoints {
        let mut endpoints = Endpoints::default();
        let keys = self.by_service.get(service).into_iter().flatten();
        for (node, ready) in keys.filter_map(|key| self.by_name.get(key)).flat_map(|slice| &slice.nodes) {
            endpoints.serving.insert(node.to_string());
            if *ready {
                endpoints.ready.insert(node.to_string());
            }
        }
        endpoints
    }
}
