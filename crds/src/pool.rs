//! `IPAddressPool`: which addresses may be handed out, and to whom.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::range::{AddressRange, RangeError};
use crate::schema;

/// Addresses that may be handed out to Services of type LoadBalancer.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "ferrolb.io",
    version = "v1beta1",
    kind = "IPAddressPool",
    plural = "ipaddresspools",
    shortname = "pool",
    shortname = "pools",
    category = "ferrolb",
    namespaced,
    status = "IPAddressPoolStatus",
    derive = "PartialEq",
    doc = "A pool of addresses that may be handed out to Services of type LoadBalancer.",
    printcolumn(name = "Auto Assign", type_ = "boolean", json_path = ".spec.autoAssign"),
    printcolumn(name = "IPv4 Used", type_ = "integer", json_path = ".status.assignedIPv4"),
    printcolumn(name = "IPv4 Free", type_ = "integer", json_path = ".status.availableIPv4"),
    printcolumn(name = "IPv6 Used", type_ = "integer", json_path = ".status.assignedIPv6"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolSpec {
    /// Addresses of the pool: each entry is a CIDR (192.168.1.0/24, fd00::100/120), an inclusive range
    /// (192.168.1.240-192.168.1.250) or one address. IPv4 and IPv6 may be mixed; the host bits of a CIDR are
    /// ignored. Every address of a CIDR is handed out, its first and last ones too: see avoidBuggyIPs and
    /// excludedAddresses. The first address of an IPv6 subnet, as fd00:: of fd00::/64, belongs to its routers: leave
    /// it out.
    #[schemars(schema_with = "schema::address_ranges")]
    pub addresses: Vec<String>,

    /// Addresses that are never handed out and can't be asked for, in the forms of addresses. One that is in use
    /// already is kept until its Service gives it up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::optional_address_ranges")]
    pub excluded_addresses: Vec<String>,

    /// Whether Services that ask for nothing may get an address of this pool. When false, a Service has to name
    /// the pool or the address by annotation.
    #[serde(default = "default_true")]
    pub auto_assign: bool,

    /// Whether IPv4 addresses that end in .0 or .255 are excluded, for old equipment that takes them for network
    /// and broadcast addresses.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,

    /// Whether the pool is being emptied: it hands out nothing new, and addresses in use stay until their
    /// Services leave. Only a draining pool can be deleted while it is in use.
    #[serde(default)]
    pub drain: bool,

    /// Which Services may have addresses of this pool, and which pool comes first; without it, all Services may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

/// Which Services may have addresses of a pool: those that match the namespaces AND the services. A selector that
/// matches nothing admits nothing, and all lists empty admit everything.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Order among the pools that match a Service: the lower number comes first, and 0, the default, last.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub priority: i32,

    /// Names of namespaces whose Services may have addresses; united with namespaceSelectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespace_names")]
    pub namespaces: Vec<String>,

    /// Selectors of namespaces, by label, whose Services may have addresses; united with namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_selectors")]
    pub namespace_selectors: Vec<LabelSelector>,

    /// Selectors of Services, by label, one of which has to match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_selectors")]
    pub service_selectors: Vec<LabelSelector>,
}

impl ServiceAllocation {
    /// Whether any list restricts the pool to some Services ("pinned").
    pub fn is_pinned(&self) -> bool {
        !(self.namespaces.is_empty()
            && self.namespace_selectors.is_empty()
            && self.service_selectors.is_empty())
    }
}

/// Use of a pool, written by the operator. A shared address counts once, and numbers saturate at 2^53-1.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolStatus {
    /// IPv4 addresses of the pool that Services have.
    #[serde(default, rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    /// IPv6 addresses of the pool that Services have.
    #[serde(default, rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    /// IPv4 addresses of the pool that are free.
    #[serde(default, rename = "availableIPv4")]
    pub available_ipv4: i64,
    /// IPv6 addresses of the pool that are free.
    #[serde(default, rename = "availableIPv6")]
    pub available_ipv6: i64,
    /// Generation of the spec that this status is about; -1 before the operator has seen the pool.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// Ready (reasons Accepted, InvalidAddresses, OverlapsPool), Stalled, and Advertised (reason NoAdvertisement).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Default for IPAddressPoolStatus {
    fn default() -> Self {
        Self {
            assigned_ipv4: 0,
            assigned_ipv6: 0,
            available_ipv4: 0,
            available_ipv6: 0,
            observed_generation: never_observed(),
            conditions: Vec::new(),
        }
    }
}

/// The address ranges of a pool, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRanges {
    /// Ranges that belong to the pool.
    pub addresses: Vec<AddressRange>,
    /// Ranges that are never handed out.
    pub excluded: Vec<AddressRange>,
}

impl IPAddressPoolSpec {
    /// Reads the address lists.
    ///
    /// # Errors
    /// Everything that is wrong with them, in the order of the lists.
    pub fn ranges(&self) -> Result<PoolRanges, Vec<RangeError>> {
        let mut errors = Vec::new();
        let mut read = |texts: &[String]| {
            texts.iter().filter_map(|text| text.parse().map_err(|error| errors.push(error)).ok()).collect()
        };
        let ranges =
            PoolRanges { addresses: read(&self.addresses), excluded: read(&self.excluded_addresses) };
        if errors.is_empty() { Ok(ranges) } else { Err(errors) }
    }

    /// Reads of the address lists what can be read, and leaves the rest out.
    pub fn readable_ranges(&self) -> PoolRanges {
        let read = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect();
        PoolRanges { addresses: read(&self.addresses), excluded: read(&self.excluded_addresses) }
    }
}

pub(crate) fn never_observed() -> i64 {
    -1
}

fn default_true() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let spec: IPAddressPoolSpec = serde_saphyr::from_str("addresses: [10.0.0.1]").unwrap();
        assert!(spec.auto_assign && !spec.avoid_buggy_ips && !spec.drain);
        assert!(spec.service_allocation.is_none() && spec.excluded_addresses.is_empty());
        assert_eq!(IPAddressPoolStatus::default().observed_generation, -1);
    }

    #[test]
    fn all_malformed_ranges_are_named_at_once() {
        let spec = IPAddressPoolSpec {
            addresses: vec!["10.0.0.9-10.0.0.1".into(), "10.0.0.0/24".into()],
            excluded_addresses: vec!["nonsense".into()],
            ..IPAddressPoolSpec::default()
        };
        let errors = spec.ranges().unwrap_err();
        assert!(matches!(errors[..], [RangeError::Reversed { .. }, RangeError::Malformed(_)]), "{errors:?}");
        let readable = spec.readable_ranges();
        assert_eq!(readable.addresses, ["10.0.0.0/24".parse().unwrap()], "the others are read all the same");
        assert!(readable.excluded.is_empty());
    }

    #[test]
    fn priority_alone_does_not_pin_a_pool() {
        let allocation = ServiceAllocation { priority: 5, ..ServiceAllocation::default() };
        assert!(!allocation.is_pinned());
        assert!(ServiceAllocation { namespaces: vec!["a".into()], ..allocation }.is_pinned());
    }
}
