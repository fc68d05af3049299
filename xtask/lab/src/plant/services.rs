//! Services by the thousand, as the API server leaves them at their creation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::Planted;

/// The name of the pool that planted addresses are said to come from.
const POOL: &str = "bench";

impl Planted {
    /// A Service of type LoadBalancer that waits for an IPv4 address; no two may have one number.
    pub fn service(name: &str, number: u32, class: Option<&str>) -> Self {
        let cluster_ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 16, 0).to_bits() + number);
        Self::new("services/specs", name, service(name, cluster_ip.into(), class))
    }

    /// A Service with an address, as the operator leaves it when that comes from a pool named `bench`; no two may have one
    /// number.
    pub fn served(name: &str, number: u32, address: IpAddr) -> Self {
        let cluster_ip = match address {
            IpAddr::V4(_) => Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 16, 0).to_bits() + number).into(),
            IpAddr::V6(_) => {
                let first = Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0x1000);
                Ipv6Addr::from_bits(first.to_bits() + u128::from(number)).into()
            }
        };
        let condition = |type_: &str| {
            json!({
                "type": type_, "status": "True", "reason": "Allocated", "message": "10.64.0.1 from pool bench",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let mut service = service(name, cluster_ip, None);
        service["metadata"]["annotations"] = json!({ "ferrolb.io/ip-allocated-from-pool": POOL });
        service["status"] = json!({
            "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] },
            "conditions": [condition("ferrolb.io/Allocated"), condition("ferrolb.io/Announced")],
        });
        Self::new("services/specs", name, service)
    }

    /// A slice of the endpoints of the Service of this name and number: three pods on a node, of the family of the
    /// Service's address.
    pub fn endpoints(service: &str, number: u32, node: &str, address: IpAddr) -> Self {
        let pod_address = |index: u32| -> IpAddr {
            match address {
                IpAddr::V4(_) => {
                    Ipv4Addr::from_bits(Ipv4Addr::new(10, 244, 0, 0).to_bits() + 3 * number + index).into()
                }
                IpAddr::V6(_) => {
                    let first = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0);
                    Ipv6Addr::from_bits(first.to_bits() + u128::from(3 * number + index)).into()
                }
            }
        };
        let endpoint = |index: u32| {
            let pod = format!("{service}-{index}");
            json!({
                "addresses": [pod_address(index)], "nodeName": node,
                "targetRef": { "kind": "Pod", "namespace": "default", "name": pod, "uid": pod },
                "conditions": { "ready": true, "serving": true, "terminating": false },
            })
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
            "metadata": { "labels": {
                "kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "bench",
            } },
            "endpoints": [endpoint(0), endpoint(1), endpoint(2)],
            "ports": [{ "name": "", "protocol": "TCP", "port": 80 }],
        });
        Self::new("endpointslices", service, slice)
    }
}

fn service(name: &str, cluster_ip: IpAddr, class: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "labels": { "app": name } },
        "spec": {
            "type": "LoadBalancer", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip],
            "ipFamilies": [if cluster_ip.is_ipv4() { "IPv4" } else { "IPv6" }],
            "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
            "sessionAffinity": "None", "allocateLoadBalancerNodePorts": false, "loadBalancerClass": class,
            "ports": [{ "protocol": "TCP", "port": 80, "targetPort": 80 }],
        },
        "status": { "loadBalancer": {} },
    })
}
