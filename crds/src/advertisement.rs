//! `L2Advertisement`: which nodes and interfaces may announce the addresses of which pools.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pool::never_observed;
use crate::schema;

/// Which nodes and interfaces may announce the addresses of which pools, by ARP and NDP.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ferrolb.io",
    version = "v1beta1",
    kind = "L2Advertisement",
    plural = "l2advertisements",
    shortname = "l2adv",
    category = "ferrolb",
    namespaced,
    status = "L2AdvertisementStatus",
    derive = "PartialEq",
    doc = "Which nodes and interfaces may announce the addresses of which pools, by ARP and NDP.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.ipAddressPools", priority = 1),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".spec.interfaces", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// Names of the pools whose addresses are announced; united with ipAddressPoolSelectors. With neither, all
    /// pools are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pool_names")]
    pub ip_address_pools: Vec<String>,

    /// Selectors of pools, by label; united with ipAddressPools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_selectors")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,

    /// Selectors of nodes, by label, one of which has to match; without any, all nodes may announce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_selectors")]
    pub node_selectors: Vec<LabelSelector>,

    /// Interfaces to announce on: exact names, or globs in which * stands for any text (eth*). Without any, all
    /// usable interfaces of a node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::interface_names")]
    pub interfaces: Vec<String>,

    /// Selectors of Services, by label, one of which has to match; without any, all Services with an address of
    /// the pools are announced. All Services that share an address have to be selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_selectors")]
    pub service_selectors: Vec<LabelSelector>,

    /// Nodes that should rather announce than others: the weights of all that match a node are added up, and the
    /// highest sum wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
}

/// A weight for the nodes that a selector matches.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredNodeSelector {
    /// How much a matching node is preferred, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Selector of nodes, by label.
    #[schemars(schema_with = "schema::label_selector")]
    pub preference: LabelSelector,
}

/// What the operator found out about an advertisement.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementStatus {
    /// Generation of the spec that this status is about; -1 before the operator has seen the advertisement.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Ready (reasons Accepted, NoMatchingPool, NoMatchingNode).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Default for L2AdvertisementStatus {
    fn default() -> Self {
        Self { observed_generation: never_observed(), conditions: Vec::new() }
    }
}
