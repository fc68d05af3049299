//! Schema fragments with the rules that the API server enforces at `kubectl apply`.
//!
//! Each rule's message says how to mend the manifest. CEL can't order addresses nor compare objects, so a reversed
//! range and an overlap of pools are left to conditions. Every string has a length limit: the API server's cost
//! estimate of a CEL rule depends on it.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Longest text of an address range: two full IPv6 addresses, a dash and some spaces.
const RANGE_LENGTH: u32 = 96;
/// Most ranges in one list.
const MAX_RANGES: u32 = 256;
/// Most entries in the other lists.
const MAX_ENTRIES: u32 = 64;
/// A DNS subdomain name, as objects have (RFC 1123).
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A DNS label, as namespaces have (RFC 1123).
const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A label's key: an optional DNS subdomain and a slash, then a name of at most 63 characters.
const LABEL_KEY: &str =
    r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// A label's value.
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
/// An interface name of Linux (at most 15 bytes, no slash, no white space), where `*` stands for any text.
const INTERFACE: &str = r"^[^/\s]{1,15}$";

const WELL_FORMED: &str = "self.contains('-') \
    ? self.split('-').size() == 2 && self.split('-').all(end, isIP(end.trim())) \
    : self.contains('/') ? isCIDR(self.trim()) : isIP(self.trim())";
const ONE_FAMILY: &str = "!self.contains('-') || self.split('-').size() != 2 \
    || !self.split('-').all(end, isIP(end.trim())) \
    || ip(self.split('-')[0].trim()).family() == ip(self.split('-')[1].trim()).family()";
// Two rules for the two ends: a loop over them would exceed the API server's budget for one rule.
const UNICAST_FIRST: &str =
    "!isIP(self.split('-')[0].trim()) || ip(self.split('-')[0].trim()).isGlobalUnicast()";
const UNICAST_LAST: &str = "self.split('-').size() != 2 || !isIP(self.split('-')[1].trim()) \
    || ip(self.split('-')[1].trim()).isGlobalUnicast()";
const UNICAST_CIDR: &str = "!isCIDR(self.trim()) || cidr(self.trim()).masked().ip().isGlobalUnicast()";
const UNICAST_MESSAGE: &str = "must be unicast addresses that other hosts can reach: not unspecified (0.0.0.0, ::), \
    loopback, link-local, multicast or broadcast";

/// At least one range of addresses.
pub fn address_ranges(_: &mut SchemaGenerator) -> Schema {
    range_list(1)
}

/// Any number of ranges of addresses.
pub fn optional_address_ranges(_: &mut SchemaGenerator) -> Schema {
    range_list(0)
}

fn range_list(min: u32) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": min,
        "maxItems": MAX_RANGES,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": RANGE_LENGTH,
            "x-kubernetes-validations": [
                {
                    "rule": WELL_FORMED,
                    "message": "must be a CIDR (192.168.1.0/24), a range first-last (192.168.1.240-192.168.1.250) \
                        or one address, without leading zeros and not IPv4-mapped IPv6"
                },
                { "rule": ONE_FAMILY, "message": "both ends of a range must be of one family, IPv4 or IPv6" },
                { "rule": UNICAST_FIRST, "message": UNICAST_MESSAGE },
                { "rule": UNICAST_LAST, "message": UNICAST_MESSAGE },
                { "rule": UNICAST_CIDR, "message": UNICAST_MESSAGE }
            ]
        }
    })
}

/// A set of names of pools.
pub fn pool_names(_: &mut SchemaGenerator) -> Schema {
    string_set(SUBDOMAIN, 253)
}

/// A set of names of namespaces.
pub fn namespace_names(_: &mut SchemaGenerator) -> Schema {
    string_set(DNS_LABEL, 63)
}

/// A set of interface names or globs.
pub fn interface_names(_: &mut SchemaGenerator) -> Schema {
    string_set(INTERFACE, 15)
}

fn string_set(pattern: &str, max_length: u32) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_ENTRIES,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 1, "maxLength": max_length, "pattern": pattern }
    })
}

/// A list of label selectors.
pub fn label_selectors(generator: &mut SchemaGenerator) -> Schema {
    let items = label_selector(generator);
    json_schema!({
        "type": "array",
        "maxItems": MAX_ENTRIES,
        "x-kubernetes-list-type": "atomic",
        "items": items
    })
}

/// A label selector that Kubernetes can evaluate; an unknown operator or missing values are refused.
pub fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "Selects objects by their labels; all requirements have to hold, and an empty selector \
            matches everything.",
        "properties": {
            "matchLabels": {
                "type": "object",
                "description": "Labels that have to be there with exactly these values.",
                "maxProperties": 32,
                "additionalProperties": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE },
                "x-kubernetes-validations": [{
                    "rule": format!("self.all(key, size(key) <= 317 && key.matches('{LABEL_KEY}'))"),
                    "message": "each key must be a label key, as example.com/name or name"
                }]
            },
            "matchExpressions": {
                "type": "array",
                "description": "Requirements on labels; all of them have to hold.",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "type": "string",
                            "description": "The label's key.",
                            "maxLength": 317,
                            "pattern": LABEL_KEY
                        },
                        "operator": {
                            "type": "string",
                            "description": "In, NotIn, Exists or DoesNotExist.",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"]
                        },
                        "values": {
                            "type": "array",
                            "description": "Values to compare with; needed by In and NotIn only.",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string", "maxLength": 63, "pattern": LABEL_VALUE }
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "operators In and NotIn need values, Exists and DoesNotExist take none"
                    }]
                }
            }
        }
    })
}

/// Conditions as Kubernetes has them, one of each type.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let items = generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>();
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": items
    })
}
