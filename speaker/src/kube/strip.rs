//! Removes what nobody reads from objects before they are stored: memory is spent for what decides only.

use ferrolb_crds::condition::READY;
use ferrolb_crds::names;
use ferrolb_crds::{IPAddressPool, L2Advertisement};
use ferrolb_placement::SERVICE_NAME_LABEL;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus, Service, ServiceSpec, ServiceStatus};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Keeps labels, our annotations, class, traffic policy and addresses.
pub(super) fn service(service: &mut Service) {
    keep_annotations(&mut service.metadata, &[names::PREFERRED_NODE.name]);
    let spec = service.spec.take().unwrap_or_default();
    service.spec = Some(ServiceSpec {
        type_: spec.type_,
        load_balancer_class: spec.load_balancer_class,
        external_traffic_policy: spec.external_traffic_policy,
        ..Default::default()
    });
    let status = service.status.take().unwrap_or_default();
    service.status = Some(ServiceStatus { load_balancer: status.load_balancer, conditions: None });
}

/// Keeps which node each endpoint is on, and its conditions.
pub(super) fn endpoint_slice(slice: &mut EndpointSlice) {
    keep_annotations(&mut slice.metadata, &[]);
    if let Some(labels) = &mut slice.metadata.labels {
        labels.retain(|label, _| label == SERVICE_NAME_LABEL);
    }
    slice.metadata.owner_references = None;
    slice.ports = None;
    for endpoint in &mut slice.endpoints {
        *endpoint = Endpoint {
            node_name: endpoint.node_name.take(),
            conditions: endpoint.conditions.take(),
            ..Default::default()
        };
    }
}

/// Keeps labels, conditions, taints and cordon.
pub(super) fn node(node: &mut Node) {
    keep_annotations(&mut node.metadata, &[]);
    let spec = node.spec.take().unwrap_or_default();
    node.spec =
        Some(NodeSpec { taints: spec.taints, unschedulable: spec.unschedulable, ..Default::default() });
    let status = node.status.take().unwrap_or_default();
    node.status = Some(NodeStatus { conditions: status.conditions, ..Default::default() });
}

/// Keeps labels, spec and the condition Ready.
pub(super) fn pool(pool: &mut IPAddressPool) {
    keep_annotations(&mut pool.metadata, &[]);
    if let Some(status) = &mut pool.status {
        status.conditions.retain(|condition| condition.type_ == READY);
    }
}

/// Keeps the spec.
pub(super) fn advertisement(advertisement: &mut L2Advertisement) {
    keep_annotations(&mut advertisement.metadata, &[]);
    advertisement.status = None;
}

/// Keeps the links, how much is owned, and the spec.
pub(super) fn lease(lease: &mut Lease) {
    keep_annotations(&mut lease.metadata, &[names::LINKS_ANNOTATION, names::OWNED_ANNOTATION]);
}

fn keep_annotations(metadata: &mut ObjectMeta, kept: &[&str]) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| kept.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_placement::{NodeFacts, PoolFacts, ServiceFacts, Slice, Speaker};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_placement_depends_on_of_a_service_is_kept() {
        let mut stripped: Service = serde_json::from_value(json!({
            "metadata": {
                "name": "web", "namespace": "default", "uid": "uid-web", "labels": { "tier": "front" },
                "annotations": { "ferrolb.io/preferred-node": "node-2", "other": "value" },
                "managedFields": [{ "manager": "kubectl" }]
            },
            "spec": {
                "type": "LoadBalancer", "loadBalancerClass": "example.com/class",
                "externalTrafficPolicy": "Local", "clusterIP": "10.0.0.1"
            },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.168.1.240" }, { "ip": "fd00::240" }] } }
        }))
        .unwrap();
        let whole = stripped.clone();
        service(&mut stripped);
        let facts = ServiceFacts::from(&stripped);
        assert_eq!(facts, ServiceFacts::from(&whole));
        assert!(facts.local && facts.preferred_node.is_some() && facts.addresses.len() == 2);
        let class =
            |service: &Service| service.spec.clone().map(|spec| (spec.type_, spec.load_balancer_class));
        assert_eq!((class(&stripped), &stripped.metadata.uid), (class(&whole), &whole.metadata.uid));
        assert_eq!(stripped.spec.unwrap().cluster_ip, None);
    }

    #[test]
    fn what_placement_depends_on_of_a_slice_is_kept() {
        let mut stripped: EndpointSlice = serde_json::from_value(json!({
            "metadata": {
                "name": "web-1", "namespace": "default",
                "labels": { "kubernetes.io/service-name": "web", "other": "value" }
            },
            "addressType": "IPv6",
            "ports": [{ "port": 80 }],
            "endpoints": [
                { "addresses": ["fd00::1"], "nodeName": "node-1", "conditions": { "ready": true } },
                {
                    "addresses": ["fd00::2"], "nodeName": "node-2", "targetRef": { "kind": "Pod", "name": "web" },
                    "conditions": { "ready": false, "serving": true, "terminating": true }
                }
            ]
        }))
        .unwrap();
        let whole = stripped.clone();
        endpoint_slice(&mut stripped);
        assert_eq!(Slice::read(&stripped), Slice::read(&whole));
        assert!(Slice::read(&stripped).is_some() && stripped.ports.is_none());
        assert_eq!(
            (Slice::service_name(&stripped), stripped.metadata.name.as_deref()),
            (Some("web"), Some("web-1"))
        );
    }

    #[test]
    fn what_placement_depends_on_of_a_node_is_kept() {
        let mut stripped: Node = serde_json::from_value(json!({
            "metadata": {
                "name": "node-1", "uid": "uid-node-1",
                "labels": { "node.kubernetes.io/exclude-from-external-load-balancers": "", "zone": "a" },
                "annotations": { "other": "value" }
            },
            "spec": {
                "unschedulable": true, "podCIDR": "10.1.0.0/24",
                "taints": [{ "key": "node.kubernetes.io/out-of-service", "effect": "NoExecute" }]
            },
            "status": {
                "conditions": [
                    { "type": "Ready", "status": "False", "message": "node is shutting down" },
                    { "type": "NetworkUnavailable", "status": "True" }
                ],
                "images": [{ "names": ["image"] }]
            }
        }))
        .unwrap();
        let whole = NodeFacts::new(&stripped, Speaker::Absent);
        node(&mut stripped);
        assert_eq!(NodeFacts::new(&stripped, Speaker::Absent), whole);
        assert!(
            whole.unschedulable && whole.out_of_service && whole.shutting_down && whole.network_unavailable
        );
        assert_eq!(stripped.status.unwrap().images, None);
    }

    #[test]
    fn what_placement_depends_on_of_a_pool_is_kept() {
        let condition = |type_: &str| {
            let time = "2026-01-01T00:00:00Z";
            json!({ "type": type_, "status": "True", "reason": "R", "message": "", "lastTransitionTime": time })
        };
        let mut stripped: IPAddressPool = serde_json::from_value(json!({
            "apiVersion": "ferrolb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": { "name": "main", "labels": { "tier": "front" }, "annotations": { "a": "b" } },
            "spec": { "addresses": ["192.168.1.240"] },
            "status": { "conditions": [condition("Advertised"), condition("Ready")] }
        }))
        .unwrap();
        let whole = PoolFacts::from(&stripped);
        pool(&mut stripped);
        assert_eq!(PoolFacts::from(&stripped), whole);
        assert!(whole.ready && stripped.status.unwrap().conditions.len() == 1);
    }
}
