//! Services by the thousand, put where the API server would have put them.

use std::net::Ipv4Addr;

use ferrolb_lab::Planted;
use serde_json::{Value, json};

/// A Service of type LoadBalancer, as the API server leaves it at its creation; no two may have one number.
pub(super) fn service(name: &str, number: u32, class: Option<&str>) -> Value {
    let cluster_ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 16, 0).to_bits() + number);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "labels": { "app": name } },
        "spec": {
            "type": "LoadBalancer", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
            "sessionAffinity": "None", "allocateLoadBalancerNodePorts": false, "loadBalancerClass": class,
            "ports": [{ "protocol": "TCP", "port": 80, "targetPort": 80 }],
        },
        "status": { "loadBalancer": {} },
    })
}

/// The same with what the operator writes to it.
pub(super) fn served(name: &str, number: u32, address: Ipv4Addr) -> Value {
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "True", "reason": "Allocated", "message": "10.64.0.1 from pool bench",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let mut service = service(name, number, None);
    service["metadata"]["annotations"] = json!({ "ferrolb.io/ip-allocated-from-pool": "bench" });
    service["status"] = json!({
        "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] },
        "conditions": [condition("ferrolb.io/Allocated"), condition("ferrolb.io/Announced")],
    });
    service
}

/// A slice of a Service's endpoints: three pods on a node.
pub(super) fn slice(service: &str, number: u32, node: &str) -> Value {
    let endpoint = |index: u32| {
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 244, 0, 0).to_bits() + 3 * number + index);
        let pod = format!("{service}-{index}");
        json!({
            "addresses": [address], "nodeName": node,
            "targetRef": { "kind": "Pod", "namespace": "default", "name": pod, "uid": pod },
            "conditions": { "ready": true, "serving": true, "terminating": false },
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "labels": {
            "kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "bench",
        } },
        "endpoints": [endpoint(0), endpoint(1), endpoint(2)],
        "ports": [{ "name": "", "protocol": "TCP", "port": 80 }],
    })
}

/// A planted Service.
pub(super) fn plant_service(name: &str, service: Value) -> Planted {
    Planted::new("services/specs", name, service)
}

/// A planted slice, of its Service's name.
pub(super) fn plant_slice(name: &str, slice: Value) -> Planted {
    Planted::new("endpointslices", name, slice)
}
