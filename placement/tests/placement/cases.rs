//! Who may announce an address, case by case.

use crate::world::{READY, VIP, World, service, slice, web};

type Change = (&'static str, String);

const SPEC: &str = "[{ip: 192.168.1.240}]";

#[test]
fn candidates_are_who_they_should_be() {
    let leaving = "{ready: false, serving: true, terminating: true}";
    for (number, (changes, expected)) in [
        // Nodes.
        (vec![], "1 2 3"),
        (vec![node(2, "", "", READY)], "1 2 3"),
        (vec![node(2, "node.kubernetes.io/exclude-from-external-load-balancers: ''", "", READY)], "1 3"),
        (vec![node(2, "node.kubernetes.io/exclude-from-external-load-balancers: 'false'", "", READY)], "1 3"),
        (vec![node(2, "", "", "status: {conditions: [{type: NetworkUnavailable, status: 'True'}]}")], "1 3"),
        (vec![node(2, "", "", "status: {conditions: [{type: NetworkUnavailable, status: 'False'}]}")], "1 2 3"),
        (vec![node(2, "", "taints: [{key: node.kubernetes.io/out-of-service, effect: NoExecute}]", READY)], "1 3"),
        (vec![node(2, "", "taints: [{key: node.kubernetes.io/out-of-service, effect: NoSchedule}]", READY)], "1 3"),
        (vec![node(2, "", "taints: [{key: node.kubernetes.io/unreachable, effect: NoExecute}]", READY)], "1 2 3"),
        (vec![node(2, "", "unschedulable: true", READY)], "1 2 3"),
        (vec![node(2, "", "", "status: {conditions: [{type: Ready, status: Unknown}]}")], "1 2 3"),
        (vec![node(2, "", "", "status: {}")], "1 2 3"),
        (vec![gone("no node", "node-2")], "1 3"),
        // Which advertisements count.
        (vec![gone("no ad", "all")], "NoAdvertisement"),
        (vec![ad("all", "ipAddressPools: [main]")], "1 2 3"),
        (vec![ad("all", "ipAddressPools: [other]")], "NoAdvertisement"),
        (vec![ad("all", "ipAddressPools: [other, main]")], "1 2 3"),
        (vec![ad("all", "ipAddressPoolSelectors: [{matchLabels: {tier: front}}]")], "1 2 3"),
        (vec![ad("all", "ipAddressPoolSelectors: [{matchLabels: {tier: back}}]")], "NoAdvertisement"),
        (vec![ad("all", "ipAddressPoolSelectors: [{matchLabels: {tier: back}}, {}]")], "1 2 3"),
        (vec![ad("all", "ipAddressPools: [other], ipAddressPoolSelectors: [{matchLabels: {tier: front}}]")], "1 2 3"),
        (vec![ad("all", "serviceSelectors: [{matchLabels: {app: web}}]")], "1 2 3"),
        (vec![ad("all", "serviceSelectors: [{matchLabels: {app: db}}]")], "NoAdvertisement"),
        (vec![ad("all", "serviceSelectors: [{matchLabels: {app: db}}, {matchExpressions: [{key: app, operator: Exists}]}]")], "1 2 3"),
        (vec![ad("all", "ipAddressPools: [main], serviceSelectors: [{matchLabels: {app: db}}]")], "NoAdvertisement"),
        // The nodes that they select.
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-1}}]")], "1"),
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-1}}, {matchLabels: {name: node-2}}]")], "1 2"),
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-9}}]")], ""),
        (vec![ad("all", "nodeSelectors: [{}]")], "1 2 3"),
        (vec![ad("all", "interfaces: [eth0]")], "1 2 3"),
        (vec![ad("all", "interfaces: [eth1, 'et*']")], "1 2 3"),
        (vec![ad("all", "interfaces: [eth1]")], ""),
        // Several of them.
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-1}}]"), ad("b", "nodeSelectors: [{matchLabels: {name: node-3}}]")], "1 3"),
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-1}}]"), ad("b", "serviceSelectors: [{matchLabels: {app: db}}]")], "1"),
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-1}}]"), ad("b", "ipAddressPools: [other]")], "1"),
        (vec![ad("all", "nodeSelectors: [{matchLabels: {name: node-1}}], interfaces: [eth1]"), ad("b", "nodeSelectors: [{matchLabels: {name: node-1}}]")], "1"),
        (vec![ad("all", "interfaces: [eth1]"), ad("b", "interfaces: [eth0], nodeSelectors: [{matchLabels: {name: node-2}}]")], "2"),
        // The address and its pool.
        (vec![given("web", "", "[]")], "NoAddress"),
        (vec![given("web", "", "[{hostname: lb.example.com}]")], "NoAddress"),
        (vec![given("web", "", "[{ip: nonsense}, {ip: 192.168.1.240}]")], "1 2 3"),
        (vec![given("web", "", "[{ip: 192.168.1.240}, {ip: 10.9.9.9}]")], "1 2 3"),
        (vec![gone("no service", "web")], "NoAddress"),
        (vec![pool("main", "192.168.1.0/29", "")], "NoPool"),
        (vec![pool("main", "192.168.1.240", "")], "1 2 3"),
        (vec![pool("main", "nonsense, 192.168.1.240", "")], "1 2 3"),
        (vec![pool("z", "192.168.1.240", ""), ad("all", "ipAddressPools: [z]")], "NoAdvertisement"),
        (vec![pool("z", "192.168.1.240", "'True'"), ad("all", "ipAddressPools: [z]")], "1 2 3"),
        (vec![pool("z", "192.168.1.240", "'False'"), ad("all", "ipAddressPools: [z]")], "NoAdvertisement"),
        (vec![pool("a", "192.168.1.240", "'False'"), ad("all", "ipAddressPools: [a]")], "1 2 3"),
        (vec![pool("a", "192.168.1.240", "'True'"), pool("main", "192.168.1.240", "'False'"), ad("all", "ipAddressPools: [main]")], "NoAdvertisement"),
        // externalTrafficPolicy Local.
        (local(""), ""),
        (local("1 {ready: true}"), "1"),
        (local("1 {ready: true}, 3 {ready: true}, 3 {ready: false}"), "1 3"),
        (local("1 {}"), "1"),
        (local("1 {ready: false}"), ""),
        (local("1 {ready: false, serving: true}"), ""),
        (local("1 {ready: false, serving: false, terminating: true}"), ""),
        (local(&format!("1 {leaving}")), "1"),
        (local("1 {ready: false, terminating: true}"), "1"),
        (local(&format!("1 {leaving}, 2 {{ready: true}}")), "2"),
        (local(&format!("1 {leaving}, 2 {leaving}, 3 {{ready: false}}")), "1 2"),
        (local(&format!("1 {leaving}, - {{ready: true}}")), "1"),
        // With publishNotReadyAddresses endpoints are ready that do not serve, and ones that terminate.
        (local("1 {ready: true, serving: false}, 2 {ready: true, serving: false, terminating: true}"), "1 2"),
        (local("- {ready: true}"), ""),
        (local("9 {ready: true}"), ""),
        (also(local("1 {ready: true}"), endpoints("web-2", "web", "IPv4", "2 {ready: true}")), "1 2"),
        (also(local("1 {ready: true}"), endpoints("web-2", "web", "IPv6", "2 {ready: true}")), "1"),
        (also(local("1 {ready: true}"), endpoints("web-2", "web", "FQDN", "2 {ready: true}")), "1"),
        (also(local("1 {ready: true}"), endpoints("db-1", "db", "IPv4", "2 {ready: true}")), "1"),
        (also(local(&format!("1 {leaving}")), endpoints("web-2", "web", "IPv4", "2 {ready: true}")), "2"),
        (also(local("1 {ready: true}"), gone("no slice", "web-1")), ""),
        (also(local("1 {ready: true}"), given("web", "externalTrafficPolicy: Cluster", SPEC)), "1 2 3"),
        (also(local("1 {ready: true}"), node(1, "", "unschedulable: true", READY)), "1"),
        (also(local("1 {ready: true}"), ad("all", "nodeSelectors: [{matchLabels: {name: node-2}}]")), ""),
        // Services that share the address.
        (vec![given("db", "", SPEC)], "1 2 3"),
        (vec![given("db", "", SPEC), ad("all", "serviceSelectors: [{matchLabels: {app: web}}]")], "NoAdvertisement"),
        (vec![given("db", "", SPEC), ad("all", "serviceSelectors: [{matchLabels: {app: web}}]"), ad("b", "serviceSelectors: [{matchLabels: {app: db}}]")], "NoAdvertisement"),
        (vec![given("db", "", SPEC), ad("all", "serviceSelectors: [{matchLabels: {app: web}}, {matchLabels: {app: db}}]")], "1 2 3"),
        (also(vec![given("db", "", SPEC), ad("all", "serviceSelectors: [{matchLabels: {app: web}}]")], gone("no service", "db")), "1 2 3"),
        (also(local("1 {ready: true}, 2 {ready: true}"), given("db", "externalTrafficPolicy: Local", SPEC)), ""),
        (both("1 {ready: true}, 2 {ready: true}", "2 {ready: true}, 3 {ready: true}"), "2"),
        (both("1 {ready: true}", "2 {ready: true}"), ""),
        (also(local("1 {ready: true}"), given("db", "", SPEC)), "1"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::new();
        for (kind, manifest) in &changes {
            world.set(kind, manifest);
        }
        assert_eq!(world.candidates(VIP), expected, "case {number}: {changes:?}");
    }
}

#[test]
fn candidates_come_in_their_order() {
    let prefer =
        |node, weight| format!("{{weight: {weight}, preference: {{matchLabels: {{name: node-{node}}}}}}}");
    let preferring = |node, weight| format!("preferredNodeSelectors: [{}]", prefer(node, weight));
    let named =
        |name, node| ("service", service(name, &format!("ferrolb.io/preferred-node: {node}"), "", SPEC));
    for (number, (changes, expected)) in [
        (vec![], "3 2 1"),
        (vec![node(3, "", "unschedulable: true", READY)], "2 1 3"),
        (vec![node(3, "", "", "status: {conditions: [{type: Ready, status: Unknown}]}")], "2 1 3"),
        (vec![node(3, "", "", "status: {}"), node(2, "", "unschedulable: true", READY)], "1 3 2"),
        (vec![ad("all", &preferring(1, 1))], "1 3 2"),
        (
            vec![ad("all", &format!("preferredNodeSelectors: [{}, {}]", prefer(1, 10), prefer(2, 11)))],
            "2 1 3",
        ),
        (vec![ad("all", &preferring(1, 10)), ad("b", &preferring(2, 11))], "2 1 3"),
        (
            vec![ad("all", &preferring(1, 10)), ad("b", &preferring(2, 11)), ad("c", &preferring(1, 3))],
            "1 2 3",
        ),
        (
            vec![
                ad("all", ""),
                ad("b", &format!("{}, nodeSelectors: [{{matchLabels: {{name: node-2}}}}]", preferring(1, 1))),
            ],
            "3 2 1",
        ),
        (vec![ad("all", &preferring(1, 1)), node(1, "name: node-1", "unschedulable: true", READY)], "3 2 1"),
        (vec![named("web", "node-2")], "2 3 1"),
        (vec![named("web", "' node-2 '")], "2 3 1"),
        (vec![named("web", "node-9")], "3 2 1"),
        (vec![named("web", "''")], "3 2 1"),
        (vec![named("web", "node-2"), ad("all", &preferring(1, 100))], "2 1 3"),
        (vec![named("web", "node-2"), node(2, "", "unschedulable: true", READY)], "3 1 2"),
        (vec![named("web", "node-2"), given("db", "", SPEC)], "2 3 1"),
        (vec![named("web", "node-2"), named("db", "node-1")], "1 3 2"),
        (vec![named("web", "node-2"), named("xyz", "node-1")], "2 3 1"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::new();
        for (kind, manifest) in &changes {
            world.set(kind, manifest);
        }
        assert_eq!(world.order(VIP), expected, "case {number}: {changes:?}");
    }
}

fn node(number: u8, labels: &str, spec: &str, status: &str) -> Change {
    let labels = if labels.is_empty() { format!("name: node-{number}") } else { labels.to_owned() };
    ("node", format!("metadata: {{name: node-{number}, labels: {{{labels}}}}}, spec: {{{spec}}}, {status}"))
}

fn ad(name: &str, spec: &str) -> Change {
    ("ad", format!("metadata: {{name: {name}}}, spec: {{{spec}}}"))
}

/// A pool, and what its condition Ready is, if it has one.
fn pool(name: &str, addresses: &str, ready: &str) -> Change {
    let condition = format!(
        "{{type: Ready, status: {ready}, reason: R, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}}"
    );
    let conditions = if ready.is_empty() { "" } else { &condition };
    let status = format!("status: {{conditions: [{conditions}]}}");
    (
        "pool",
        format!(
            "metadata: {{name: {name}, labels: {{tier: front}}}}, spec: {{addresses: [{addresses}]}}, {status}"
        ),
    )
}

fn given(name: &str, spec: &str, ingress: &str) -> Change {
    ("service", service(name, "", spec, ingress))
}

fn gone(kind: &'static str, name: &str) -> Change {
    (kind, name.to_owned())
}

fn also(mut changes: Vec<Change>, another: Change) -> Vec<Change> {
    changes.push(another);
    changes
}

/// `web` is Local, and has these endpoints.
fn local(of_web: &str) -> Vec<Change> {
    vec![("service", web("externalTrafficPolicy: Local", SPEC)), endpoints("web-1", "web", "IPv4", of_web)]
}

/// `web` and `db` are Local, and share the address.
fn both(of_web: &str, of_db: &str) -> Vec<Change> {
    let db = given("db", "externalTrafficPolicy: Local", SPEC);
    also(also(local(of_web), db), endpoints("db-1", "db", "IPv4", of_db))
}

/// A slice with endpoints, each written as the number of its node, or a dash, and its conditions.
fn endpoints(name: &str, service: &str, family: &str, endpoints: &str) -> Change {
    let endpoint = |text: &str| {
        let (node, conditions) = text.trim().split_once(' ').expect("a node and its conditions");
        let node = if node == "-" { String::new() } else { format!("nodeName: node-{node}, ") };
        format!("{{addresses: [10.1.1.1], {node}conditions: {conditions}}}")
    };
    let all = endpoints.split_inclusive('}').map(|text| text.trim_start_matches(','));
    let all: Vec<_> = all.filter(|text| !text.trim().is_empty()).map(endpoint).collect();
    ("slice", slice(name, service, family, &all.join(", ")))
}
