//! What objects say, as far as it counts. Pure.

use std::sync::Arc;

use ferrolb_crds::lease::{self, LeaseLink, Observed};
use ferrolb_crds::{IPAddressPool, L2Advertisement, L2AdvertisementSpec};
use ferrolb_placement::{NodeFacts, PoolFacts, ServiceFacts, Slice, Speaker};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Scope;
use crate::ownership::{PeerLink, ServiceName};
use crate::wire::Mac;

/// The key of an object, and what it says, if that counts.
pub(super) type Read<K, V> = (K, Option<V>);

/// What matters of a Service that counts, and its UID.
pub(super) fn service(
    service: &Service,
    scope: &Scope,
) -> Read<ServiceName, (ServiceFacts, Option<Arc<str>>)> {
    let spec = service.spec.as_ref();
    let ours = spec.is_some_and(|spec| {
        spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class == scope.class
    });
    let facts = ours.then(|| ServiceFacts::from(service)).filter(|facts| !facts.addresses.is_empty());
    let uid = service.metadata.uid.as_deref().map(Arc::from);
    (service_name(&service.metadata), facts.map(|facts| (facts, uid)))
}

/// A slice, and whose endpoints it has.
pub(super) fn slice(slice: &EndpointSlice) -> Read<ServiceName, (ServiceName, Slice)> {
    let key = service_name(&slice.metadata);
    let service = Slice::service_name(slice).map(|name| ServiceName::new(key.namespace(), name));
    (key, service.zip(Slice::read(slice)))
}

/// What matters of a node, and its UID; whether it has a speaker is told by a Lease.
pub(super) fn node(node: &Node, scope: &Scope) -> Read<String, (NodeFacts, Option<String>)> {
    let mut facts = NodeFacts::new(node, Speaker::Absent);
    facts.excluded &= !scope.ignore_exclude_label;
    (facts.name.clone(), Some((facts, node.metadata.uid.clone())))
}

/// What matters of a pool.
pub(super) fn pool(pool: &IPAddressPool) -> Read<String, PoolFacts> {
    (name(&pool.metadata), Some(PoolFacts::from(pool)))
}

/// An advertisement.
pub(super) fn advertisement(advertisement: &L2Advertisement) -> Read<String, L2AdvertisementSpec> {
    (name(&advertisement.metadata), Some(advertisement.spec.clone()))
}

/// A speaker's Lease.
pub(super) fn lease(lease: &Lease) -> Read<String, Observed> {
    (name(&lease.metadata), lease::read(lease))
}

/// What is known of a peer's link. A hardware address that can't be read is left out.
pub(super) fn peer_link(link: &LeaseLink) -> PeerLink {
    let macs = link.macs.iter().filter_map(|mac| mac.parse::<Mac>().ok()).collect();
    PeerLink { macs, ipv4: link.ipv4.clone(), link_local: link.link_local }
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

fn service_name(metadata: &ObjectMeta) -> ServiceName {
    let ObjectMeta { namespace, name, .. } = metadata;
    ServiceName::new(namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
}
