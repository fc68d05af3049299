//! What of the objects placement depends on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_crds::condition::{self, READY};
use ferrolb_crds::names;
use ferrolb_crds::pool::IPAddressPool;
use ferrolb_crds::range::AddressRange;
use k8s_openapi::api::core::v1::{Node, Service};

use crate::labels::Labels;

/// What placement depends on of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Addresses in status order, each once.
    pub addresses: Box<[IpAddr]>,
    /// The Service's labels.
    pub labels: Labels,
    /// externalTrafficPolicy is Local: only nodes with an endpoint may announce.
    pub local: bool,
    /// The node that the user would have announce.
    pub preferred_node: Option<Box<str>>,
}

/// What placement depends on of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's name.
    pub name: String,
    /// The node's labels.
    pub labels: BTreeMap<String, String>,
    /// The node's condition Ready is True.
    pub ready: bool,
    /// The node is cordoned.
    pub unschedulable: bool,
    /// The node carries [`names::EXCLUDE_LABEL`].
    pub excluded: bool,
    /// The node's condition NetworkUnavailable is True.
    pub network_unavailable: bool,
    /// The node carries the taint `node.kubernetes.io/out-of-service`.
    pub out_of_service: bool,
    /// The kubelet is shutting the node down.
    pub shutting_down: bool,
    /// The node's speaker, as its Lease tells.
    pub speaker: Speaker,
}

/// A node's speaker, as its Lease tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Speaker {
    /// There is no Lease, or it expired.
    #[default]
    Absent,
    /// The Lease is live, and these interfaces of the node are up.
    Live {
        /// Names of the usable interfaces.
        interfaces: Vec<String>,
    },
}

/// What placement depends on of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFacts {
    /// The pool's name.
    pub name: String,
    /// The pool's labels.
    pub labels: BTreeMap<String, String>,
    /// The pool's addresses, as far as they can be read.
    pub ranges: Vec<AddressRange>,
    /// The pool's condition Ready is True; of two pools that overlap, it is of one only.
    pub ready: bool,
}

impl From<&Service> for ServiceFacts {
    fn from(service: &Service) -> Self {
        let ingress = service
            .status
            .iter()
            .flat_map(|status| &status.load_balancer)
            .flat_map(|balancer| balancer.ingress.iter().flatten());
        let mut addresses = Vec::new();
        for address in ingress.filter_map(|point| point.ip.as_deref()?.parse().ok()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Self {
            addresses: addresses.into(),
            labels: service.metadata.labels.as_ref().map(Labels::from).unwrap_or_default(),
            local: service
                .spec
                .as_ref()
                .is_some_and(|spec| spec.external_traffic_policy.as_deref() == Some("Local")),
            preferred_node: names::PREFERRED_NODE
                .get(service.metadata.annotations.as_ref())
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(Box::from),
        }
    }
}

impl NodeFacts {
    /// The facts of a node and its speaker.
    pub fn new(node: &Node, speaker: Speaker) -> Self {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let spec = node.spec.as_ref();
        let conditions = || node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let condition = |type_: &str| conditions().any(|it| it.type_ == type_ && it.status == "True");
        // What the kubelet says when the machine goes down, and it was told in time.
        let shutting_down = |message: &str| message.contains("node is shutting down");
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            ready: condition("Ready"),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            excluded: labels.contains_key(names::EXCLUDE_LABEL),
            network_unavailable: condition("NetworkUnavailable"),
            out_of_service: spec
                .and_then(|spec| spec.taints.as_ref())
                .is_some_and(|taints| taints.iter().any(|t| t.key == "node.kubernetes.io/out-of-service")),
            shutting_down: conditions().any(|it| {
                it.type_ == "Ready" && it.status != "True" && it.message.as_deref().is_some_and(shutting_down)
            }),
            labels,
            speaker,
        }
    }

    /// The node can take addresses over.
    pub fn is_usable(&self) -> bool {
        !self.demoted() && !self.excluded && !self.network_unavailable && !self.out_of_service
    }

    /// The node is better than nobody only: it is not Ready, or cordoned.
    pub fn demoted(&self) -> bool {
        !self.ready || self.unschedulable
    }
}

impl From<&IPAddressPool> for PoolFacts {
    fn from(pool: &IPAddressPool) -> Self {
        Self {
            name: pool.metadata.name.clone().unwrap_or_default(),
            labels: pool.metadata.labels.clone().unwrap_or_default(),
            ranges: pool.spec.readable_ranges().addresses,
            ready: pool.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, READY)),
        }
    }
}

impl PoolFacts {
    /// Whether the address belongs to the pool.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}
