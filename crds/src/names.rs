//! Names that more than one part has to agree on: annotations, labels, field managers, Leases.

use xxhash_rust::xxh3::xxh3_64;

/// API group of the custom resources.
pub const GROUP: &str = "ferrolb.io";
/// API version of the custom resources.
pub const VERSION: &str = "v1beta1";
/// Category of the custom resources, as in `kubectl get ferrolb`.
pub const CATEGORY: &str = "ferrolb";
/// Namespace in which FerroLB runs and in which its custom resources live, unless configured otherwise.
pub const NAMESPACE: &str = "ferrolb-system";

/// Field manager of the operator's writes.
pub const OPERATOR_MANAGER: &str = "ferrolb-operator";
/// Field manager of the speakers' writes.
pub const SPEAKER_MANAGER: &str = "ferrolb-speaker";

/// A node's speaker Lease is this prefix followed by the node's name.
pub const LEASE_PREFIX: &str = "ferrolb-speaker-";
/// Label that marks the speakers' Leases, with the node's name as its value.
pub const LEASE_LABEL: &str = "ferrolb.io/speaker";

/// Annotation of a speaker's Lease: the node's links that are up and may announce, as JSON.
pub const LINKS_ANNOTATION: &str = "ferrolb.io/links";

/// Annotation of a speaker's Lease: how many addresses the node owns.
pub const OWNED_ANNOTATION: &str = "ferrolb.io/owned";

/// Label of a `ServiceL2Status`: the reporting node.
pub const NODE_LABEL: &str = "ferrolb.io/node";
/// Label of a `ServiceL2Status`: the Service's name.
pub const SERVICE_NAME_LABEL: &str = "ferrolb.io/service-name";
/// Label of a `ServiceL2Status`: the Service's namespace.
pub const SERVICE_NAMESPACE_LABEL: &str = "ferrolb.io/service-namespace";

/// Well-known label that takes a node out of load balancing.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Condition type on a Service: whether addresses were allocated, and why not.
pub const ALLOCATED_CONDITION: &str = "ferrolb.io/Allocated";
/// Condition type on a Service: whether some node may announce its addresses, and why not.
pub const ANNOUNCED_CONDITION: &str = "ferrolb.io/Announced";

/// Annotation of the operator on a Service: the pool or pools that its addresses came from, in status order.
pub const ALLOCATED_FROM_ANNOTATION: &str = "ferrolb.io/ip-allocated-from-pool";

/// An annotation that a user sets on a Service, with the names that MetalLB gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAnnotation {
    /// Our name, which wins where several are present.
    pub name: &'static str,
    /// MetalLB's names, newest first; empty where MetalLB has no such annotation.
    pub aliases: &'static [&'static str],
}

/// Name of the pool that the addresses have to come from.
pub const ADDRESS_POOL: UserAnnotation = UserAnnotation {
    name: "ferrolb.io/address-pool",
    aliases: &["metallb.io/address-pool", "metallb.universe.tf/address-pool"],
};

/// Comma-separated addresses that are asked for, at most one of each family.
pub const LOAD_BALANCER_IPS: UserAnnotation = UserAnnotation {
    name: "ferrolb.io/loadBalancerIPs",
    aliases: &["metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"],
};

/// Sharing key: Services with the same key may share an address.
pub const ALLOW_SHARED_IP: UserAnnotation = UserAnnotation {
    name: "ferrolb.io/allow-shared-ip",
    aliases: &["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"],
};

/// Name of the node that should announce the addresses while it can.
pub const PREFERRED_NODE: UserAnnotation = UserAnnotation { name: "ferrolb.io/preferred-node", aliases: &[] };

/// The longest label value.
const LONGEST_LABEL: usize = 63;

/// A node's name as the value of a label: itself where it fits, else shortened and marked with a hash.
pub fn label_value(name: &str) -> String {
    if name.len() <= LONGEST_LABEL {
        return name.to_owned();
    }
    hashed(name, name)
}

/// The Lease of the operators of a `loadBalancerClass`: a name with the class in it, marked with a hash where it is not
/// as an object's name has to be.
pub fn operator_lease(class: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let readable: String =
        class.chars().map(|c| c.to_ascii_lowercase()).map(|c| if fits(c) { c } else { '-' }).collect();
    let name = if readable == class && class.len() <= LONGEST_LABEL && !class.ends_with('-') {
        readable
    } else {
        hashed(&readable, class)
    };
    format!("{OPERATOR_MANAGER}-{name}")
}

/// The beginning of a text, and a hash of the whole that it stands for.
fn hashed(readable: &str, whole: &str) -> String {
    let hash = format!("-{:016x}", xxh3_64(whole.as_bytes()));
    let beginning: String = readable.chars().take(LONGEST_LABEL - hash.len()).collect();
    beginning.trim_end_matches(['.', '-']).to_owned() + &hash
}

impl UserAnnotation {
    /// Looks the annotation up under its own name, then under its aliases.
    pub fn get<'a>(
        &self,
        annotations: Option<&'a std::collections::BTreeMap<String, String>>,
    ) -> Option<&'a str> {
        let annotations = annotations?;
        std::iter::once(&self.name)
            .chain(self.aliases)
            .find_map(|name| annotations.get(*name))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_annotation_wins_over_metallb_names() {
        let annotations = [
            ("metallb.universe.tf/address-pool", "oldest"),
            ("metallb.io/address-pool", "older"),
            ("ferrolb.io/address-pool", "ours"),
        ];
        for kept in 1..=annotations.len() {
            let map = annotations[..kept].iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(ADDRESS_POOL.get(Some(&map)), Some(annotations[kept - 1].1));
        }
        assert_eq!(ADDRESS_POOL.get(None), None);
    }

    #[test]
    fn long_names_are_shortened_and_stay_different() {
        assert_eq!(label_value("node-1"), "node-1");
        let (one, other) = (label_value(&("n".repeat(252) + "1")), label_value(&("n".repeat(252) + "2")));
        assert!(one.len() <= LONGEST_LABEL && one != other, "{one} {other}");
    }
    #[test]
    fn each_class_has_a_lease_of_its_own_with_a_name_that_kubernetes_takes() {
        assert_eq!(operator_lease("internal"), "ferrolb-operator-internal");
        let long = "example.com/".to_owned() + &"n".repeat(300);
        let classes =
            ["internal", "Internal", "example.com/a", "example-com-a", "example.com-a", "a-", "a", &long];
        let leases: std::collections::BTreeSet<_> =
            classes.iter().map(|class| operator_lease(class)).collect();
        assert_eq!(leases.len(), classes.len(), "{leases:?}");
        for lease in leases {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(lease.len() <= 253 && lease.chars().all(good) && !lease.ends_with('-'), "{lease}");
        }
    }
}
