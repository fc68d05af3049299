//! On which nodes Services' endpoints are: as little of all EndpointSlices as decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferrolb_placement::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::by_service::{About, ByService};
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
    slices: ByService<ServiceKey, Slice>,
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
    pub(super) fn set(&mut self, key: ServiceKey, mut slice: Option<Slice>) -> Vec<ServiceKey> {
        if self.slices.get(&key) == slice.as_ref() {
            return Vec::new();
        }
        for (node, _) in slice.iter_mut().flat_map(|slice| &mut slice.nodes) {
            match self.nodes.get(node) {
                Some(known) => *node = known.clone(),
                None => drop(self.nodes.insert(node.clone())),
            }
        }
        let after = slice.as_ref().map(|slice| slice.service.clone());
        let before = self.slices.set(key, slice).map(|slice| slice.service);
        before.into_iter().chain(after).collect()
    }

    /// The endpoints of a Service.
    pub(super) fn endpoints(&self, service: &ServiceKey) -> Endpoints {
        let mut endpoints = Endpoints::default();
        for (node, ready) in self.slices.about(service).flat_map(|slice| &slice.nodes) {
            endpoints.serving.insert(node.to_string());
            if *ready {
                endpoints.ready.insert(node.to_string());
            }
        }
        endpoints
    }
}

impl About for Slice {
    fn service(&self) -> &ServiceKey {
        &self.service
    }
}
