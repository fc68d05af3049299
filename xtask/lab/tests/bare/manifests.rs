//! What the API server accepts and refuses of our kinds, and with which words.

/// A manifest and what the API server has to say to it.
pub(crate) struct Case {
    /// The kind.
    pub(crate) kind: &'static str,
    /// The spec, as YAML in one line.
    pub(crate) spec: &'static str,
    /// A part of the refusal; `None` if the manifest has to be accepted.
    pub(crate) refusal: Option<&'static str>,
}

const POOL: &str = "IPAddressPool";
const ADVERTISEMENT: &str = "L2Advertisement";

const MALFORMED: &str =
    "must be a CIDR (192.168.1.0/24), a range first-last (192.168.1.240-192.168.1.250) or one address";
const MIXED: &str = "both ends of a range must be of one family";
const NOT_UNICAST: &str = "must be unicast addresses that other hosts can reach";

const fn good(kind: &'static str, spec: &'static str) -> Case {
    Case { kind, spec, refusal: None }
}

const fn bad(kind: &'static str, spec: &'static str, refusal: &'static str) -> Case {
    Case { kind, spec, refusal: Some(refusal) }
}

/// Pools by their addresses.
pub(crate) const ADDRESSES: &[Case] = &[
    good(POOL, "{addresses: [192.168.1.0/24]}"),
    good(POOL, "{addresses: [192.168.1.7/24]}"),
    good(POOL, "{addresses: [192.168.1.240-192.168.1.250]}"),
    good(POOL, "{addresses: [' 192.168.1.240 - 192.168.1.250 ']}"),
    good(POOL, "{addresses: [192.168.1.240]}"),
    good(POOL, "{addresses: [10.0.0.0/8, 172.16.0.0/12]}"),
    good(POOL, "{addresses: ['fd00::/64']}"),
    good(POOL, "{addresses: ['fd00::1-fd00::ff']}"),
    good(POOL, "{addresses: ['2001:db8::1']}"),
    good(POOL, "{addresses: [192.168.1.0/24, 'fd00::/120']}"),
    // CEL can't order addresses: this becomes a condition on the pool.
    good(POOL, "{addresses: [192.168.1.250-192.168.1.240]}"),
    bad(POOL, "{}", "spec.addresses: Required value"),
    bad(POOL, "{addresses: []}", "should have at least 1 items"),
    bad(POOL, "{addresses: ['']}", "should be at least 1 chars long"),
    bad(POOL, "{addresses: [192.168.1]}", MALFORMED),
    bad(POOL, "{addresses: [192.168.1.0/33]}", MALFORMED),
    bad(POOL, "{addresses: [192.168.1.256]}", MALFORMED),
    bad(POOL, "{addresses: [010.0.0.1]}", MALFORMED),
    bad(POOL, "{addresses: ['::ffff:10.0.0.1']}", MALFORMED),
    bad(POOL, "{addresses: [192.168.1.1-]}", MALFORMED),
    bad(POOL, "{addresses: ['-192.168.1.1']}", MALFORMED),
    bad(POOL, "{addresses: [192.168.1.1-192.168.1.2-192.168.1.3]}", MALFORMED),
    bad(POOL, "{addresses: [192.168.1.0/24-192.168.2.0/24]}", MALFORMED),
    bad(POOL, "{addresses: ['fe80::1%eth0']}", MALFORMED),
    bad(POOL, "{addresses: [example.com]}", MALFORMED),
    bad(POOL, "{addresses: ['192.168.1.1-fd00::1']}", MIXED),
    bad(POOL, "{addresses: ['fd00::1-192.168.1.1']}", MIXED),
    bad(POOL, "{addresses: [0.0.0.0/0]}", NOT_UNICAST),
    bad(POOL, "{addresses: ['::/0']}", NOT_UNICAST),
    bad(POOL, "{addresses: [127.0.0.1]}", NOT_UNICAST),
    bad(POOL, "{addresses: [224.0.0.0/24]}", NOT_UNICAST),
    bad(POOL, "{addresses: [169.254.0.1-169.254.0.9]}", NOT_UNICAST),
    bad(POOL, "{addresses: [10.0.0.1-255.255.255.255]}", NOT_UNICAST),
    bad(POOL, "{addresses: ['ff02::1']}", NOT_UNICAST),
    bad(POOL, "{addresses: ['fe80::/64']}", NOT_UNICAST),
    bad(POOL, "{addresses: [10.0.0.1, 10.0.0.1]}", "Duplicate value"),
    bad(POOL, "{addresses: 10.0.0.1}", "must be of type array"),
    bad(POOL, "{addresses: [{cidr: 10.0.0.0/24}]}", "unknown field \"spec.addresses[0].cidr\""),
    good(POOL, "{addresses: [10.0.0.0/24], excludedAddresses: [10.0.0.1, 10.0.0.64/26]}"),
    bad(POOL, "{addresses: [10.0.0.0/24], excludedAddresses: [nonsense]}", MALFORMED),
];

/// Pools by everything else.
pub(crate) const POOLS: &[Case] = &[
    good(POOL, "{addresses: [10.0.0.1], autoAssign: false, avoidBuggyIPs: true, drain: true}"),
    bad(POOL, "{addresses: [10.0.0.1], autoAssign: maybe}", "must be of type boolean"),
    bad(POOL, "{addresses: [10.0.0.1], adresses: [10.0.0.2]}", "unknown field \"spec.adresses\""),
    good(POOL, "{addresses: [10.0.0.1], serviceAllocation: {priority: 50, namespaces: [a, b]}}"),
    bad(POOL, "{addresses: [10.0.0.1], serviceAllocation: {priority: -1}}", "greater than or equal to 0"),
    bad(POOL, "{addresses: [10.0.0.1], serviceAllocation: {namespaces: [Not_A_Namespace]}}", "should match"),
    bad(POOL, "{addresses: [10.0.0.1], serviceAllocation: {namespaces: [a, a]}}", "Duplicate value"),
    good(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {namespaceSelectors: [{matchLabels: {team: a}}]}}",
    ),
    good(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: example.com/tier, operator: In, values: [front]}]}]}}",
    ),
    bad(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: tier, operator: Near, values: [a]}]}]}}",
        "supported values: \"In\", \"NotIn\", \"Exists\", \"DoesNotExist\"",
    ),
    bad(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: tier, operator: In}]}]}}",
        "operators In and NotIn need values",
    ),
    bad(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: tier, operator: Exists, values: [a]}]}]}}",
        "Exists and DoesNotExist take none",
    ),
    bad(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {serviceSelectors: [{matchLabels: {'not a key': a}}]}}",
        "each key must be a label key",
    ),
    bad(
        POOL,
        "{addresses: [10.0.0.1], serviceAllocation: {serviceSelectors: [{matchLabels: {tier: 'not a value'}}]}}",
        "should match",
    ),
];

/// Advertisements.
pub(crate) const ADVERTISEMENTS: &[Case] = &[
    good(ADVERTISEMENT, "{}"),
    good(ADVERTISEMENT, "{ipAddressPools: [a, b.c]}"),
    bad(ADVERTISEMENT, "{ipAddressPools: [A]}", "should match"),
    bad(ADVERTISEMENT, "{ipAddressPools: [a, a]}", "Duplicate value"),
    good(ADVERTISEMENT, "{ipAddressPoolSelectors: [{matchLabels: {tier: front}}]}"),
    good(ADVERTISEMENT, "{nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node-1}}]}"),
    bad(ADVERTISEMENT, "{nodeSelectors: [{matchExpressions: [{operator: Exists}]}]}", "key: Required value"),
    good(ADVERTISEMENT, "{interfaces: [eth0, 'bond*', eth0.100]}"),
    bad(ADVERTISEMENT, "{interfaces: [an-interface-name-too-long]}", "may not be more than 15"),
    bad(ADVERTISEMENT, "{interfaces: ['eth 0']}", "should match"),
    bad(ADVERTISEMENT, "{interfaces: [a/b]}", "should match"),
    good(ADVERTISEMENT, "{serviceSelectors: [{matchLabels: {app: web}}]}"),
    good(ADVERTISEMENT, "{preferredNodeSelectors: [{weight: 100, preference: {matchLabels: {rack: a}}}]}"),
    bad(
        ADVERTISEMENT,
        "{preferredNodeSelectors: [{weight: 0, preference: {}}]}",
        "greater than or equal to 1",
    ),
    bad(
        ADVERTISEMENT,
        "{preferredNodeSelectors: [{weight: 101, preference: {}}]}",
        "less than or equal to 100",
    ),
    bad(ADVERTISEMENT, "{preferredNodeSelectors: [{weight: 5}]}", "preference: Required value"),
];
