//! `ServiceL2Status`: which node announces a Service's addresses, since when and why.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::schema;

/// Condition of a report: a host that is no speaker answers for one of the addresses.
pub const ADDRESS_CONFLICT: &str = "AddressConflict";
/// Condition of a report: a host answers for one of the addresses that does so for other hosts' addresses as well.
pub const PROXY_ARP: &str = "ProxyARP";
/// Condition of a report: of all that were asked for one of the addresses, not its owner alone answered.
pub const WRONG_ANSWER: &str = "WrongAnswer";
/// Condition of a report: one of the addresses is local to the node, and its kernel answers for it.
pub const STRICT_ARP_REQUIRED: &str = "StrictARPRequired";

/// The spec of a [`ServiceL2Status`], which has none: the object is a report.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ferrolb.io",
    version = "v1beta1",
    kind = "ServiceL2Status",
    plural = "servicel2statuses",
    shortname = "l2status",
    category = "ferrolb",
    namespaced,
    no_spec,
    status = "ServiceL2StatusStatus",
    derive = "PartialEq",
    doc = "A node's report on the addresses of one Service: what it does for them, since when and why.",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.serviceNamespace"),
    printcolumn(name = "Service", type_ = "string", json_path = ".status.serviceName"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Role", type_ = "string", json_path = ".status.role"),
    printcolumn(name = "IPs", type_ = "string", json_path = ".status.addresses"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since")
)]
pub struct ServiceL2StatusFields {}

/// What a node does for a Service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Role {
    /// It answers for them and receives their traffic.
    Owner,
    /// It answers in place of the owner's speaker; traffic still goes to the owner.
    Covering,
    /// It noticed something wrong about them, which the conditions tell.
    Watching,
    /// It would announce them, but another host answers for them.
    Blocked,
}

/// A node's report on a Service. It is written by that node's speaker, in one write (there is no status
/// subresource), and only when it changes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceL2StatusStatus {
    /// The reporting node.
    #[schemars(length(max = 253))]
    pub node: String,
    /// The Service's name.
    #[schemars(length(max = 63))]
    pub service_name: String,
    /// The Service's namespace.
    #[schemars(length(max = 63))]
    pub service_namespace: String,
    /// What the node does for the addresses.
    pub role: Role,
    /// The addresses that the report is about.
    #[schemars(length(max = 16), inner(length(max = 45)), extend("x-kubernetes-list-type" = "atomic"))]
    pub ips: Vec<String>,
    /// The same addresses, joined by commas, for kubectl's column: it shows lists as JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 735))]
    pub addresses: String,
    /// The Service's addresses that a host answers for that is no speaker.
    #[serde(default, rename = "conflictingIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 45)), extend("x-kubernetes-list-type" = "atomic"))]
    pub conflicting_ips: Vec<String>,
    /// The interfaces on which the node has that role.
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub interfaces: Vec<InterfaceInfo>,
    /// Why the node took the role: one CamelCase word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// When the node took the role.
    pub since: Time,
    /// AddressConflict, WrongAnswer, ProxyARP and StrictARPRequired, where one is seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// An interface of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub struct InterfaceInfo {
    /// The interface's name.
    #[schemars(length(max = 15))]
    pub name: String,
}

/// The name of a node's report on a Service: readable where it fits, and always unique and the same. The admission
/// policy of the speakers knows its form.
pub fn object_name(node: &str, service_namespace: &str, service_name: &str) -> String {
    let hash = xxh3_64(format!("{node}/{service_namespace}/{service_name}").as_bytes());
    let mut name = format!("{service_namespace}.{service_name}.{node}");
    name.truncate(253 - 17);
    let readable = name.trim_end_matches(['.', '-']);
    format!("{readable}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_the_same_every_time_and_short_enough() {
        let name = object_name("node-1", "default", "web");
        assert_eq!(name, object_name("node-1", "default", "web"));
        let hash = name.strip_prefix("default.web.node-1-").unwrap();
        assert!(hash.len() == 16 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{name}");
        assert_ne!(object_name("b", "x", "y.a"), object_name("a.b", "x", "y"));
        let long = object_name(&"n".repeat(253), &"s".repeat(63), &"w".repeat(63));
        assert_eq!(long.len(), 253);
    }
}
