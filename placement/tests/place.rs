//! Placement seen from outside: objects as a user writes them in, candidates and reasons out.

use ferrolb_crds::{IPAddressPool, L2Advertisement};
use ferrolb_placement::{
    Endpoints, Exclusion, Hindrance, NodeFacts, Placement, PoolFacts, ServiceFacts, Speaker, Unannounced,
    hindrance, place, rendezvous,
};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

const V4: &str = "192.168.1.240";

#[test]
fn candidates_come_by_descending_hash() {
    let world = World::default();
    let nodes = world.place().unwrap().candidates;
    let hashes: Vec<_> = nodes.iter().map(|c| rendezvous(&c.node, V4.parse().unwrap())).collect();
    assert_eq!(nodes.len(), 3);
    assert!(hashes.is_sorted_by(|a, b| a > b), "{hashes:?}");
}

#[test]
fn the_first_address_decides_for_both_families() {
    let mut world = World::default();
    let single = names(&world.place().unwrap());
    world.service = service("{}", "[{ip: 192.168.1.240}, {ip: 'fd00::f0'}]", "{}");
    assert_eq!(names(&world.place().unwrap()), single);
}

#[test]
fn what_takes_a_node_out_is_told() {
    for (manifest, expected) in [
        (
            "{metadata: {name: node-9, labels: {node.kubernetes.io/exclude-from-external-load-balancers: ''}}}",
            Exclusion::ExcludeLabel,
        ),
        (
            "{metadata: {name: node-9}, status: {conditions: [{type: NetworkUnavailable, status: 'True'}]}}",
            Exclusion::NetworkUnavailable,
        ),
        (
            "{metadata: {name: node-9}, spec: {taints: [{key: node.kubernetes.io/out-of-service, effect: NoExecute}]}}",
            Exclusion::OutOfService,
        ),
    ] {
        let mut world = World::default();
        world.nodes.push(node(manifest, up("eth0")));
        let placement = world.place().unwrap();
        assert_eq!(placement.excluded["node-9"], expected, "{manifest}");
        assert_eq!(placement.candidates.len(), 3);
    }
}

#[test]
fn a_node_needs_a_live_speaker_and_an_interface() {
    let mut world = World::default();
    world.nodes.push(node("{metadata: {name: silent}}", Speaker::Absent));
    world.nodes.push(node("{metadata: {name: unplugged}}", Speaker::Live { interfaces: vec![] }));
    world.nodes.push(node("{metadata: {name: elsewhere}}", up("wlan0")));
    world.advertisements = vec![advertisement("{interfaces: [eth*]}")];
    let excluded = world.place().unwrap().excluded;
    assert_eq!(excluded["silent"], Exclusion::NoSpeaker);
    assert_eq!(excluded["unplugged"], Exclusion::NoInterface);
    assert_eq!(excluded["elsewhere"], Exclusion::NoInterface);
}

#[test]
fn nodes_that_are_cordoned_or_not_ready_come_last_but_come() {
    let mut world = World::default();
    let first = names(&world.place().unwrap())[0].clone();
    for state in [
        "spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}]}",
        "status: {conditions: [{type: Ready, status: Unknown}]}",
    ] {
        let manifest = format!("{{metadata: {{name: {first}}}, {state}}}");
        world.nodes.retain(|node| node.name != first);
        world.nodes.push(node(&manifest, up("eth0")));
        let placement = world.place().unwrap();
        assert_eq!(placement.candidates.len(), 3);
        assert_eq!(placement.candidates[2].node, first, "{manifest}");
        assert!(placement.candidates[2].demoted);
    }
}

#[test]
fn the_annotation_outranks_weights_and_weights_outrank_the_hash() {
    let mut world = World::default();
    let order = names(&world.place().unwrap());
    world.advertisements = vec![advertisement(&format!(
        "{{preferredNodeSelectors: [{{weight: 10, preference: {{matchLabels: {{name: {}}}}}}}]}}",
        order[2]
    ))];
    assert_eq!(names(&world.place().unwrap()), [&order[2], &order[0], &order[1]].map(String::clone));
    let annotation = format!("{{ferrolb.io/preferred-node: {}}}", order[1]);
    world.service = service("{}", "[{ip: 192.168.1.240}]", &annotation);
    assert_eq!(names(&world.place().unwrap()), [&order[1], &order[2], &order[0]].map(String::clone));
}

#[test]
fn a_local_service_is_announced_where_a_ready_endpoint_is() {
    let mut world = World {
        service: service("{externalTrafficPolicy: Local}", "[{ip: 192.168.1.240}]", "{}"),
        ..World::default()
    };
    world.slices = vec![slice(
        "[{addresses: [10.0.0.1], nodeName: node-2, conditions: {ready: true}}, \
        {addresses: [10.0.0.2], nodeName: node-3, conditions: {ready: false, serving: true, terminating: true}}]",
    )];
    let placement = world.place().unwrap();
    assert_eq!(names(&placement), ["node-2"]);
    assert_eq!(placement.excluded["node-3"], Exclusion::NoLocalEndpoint);
}

#[test]
fn a_terminating_endpoint_that_serves_counts_while_none_is_ready() {
    let mut world = World {
        service: service("{externalTrafficPolicy: Local}", "[{ip: 192.168.1.240}]", "{}"),
        ..World::default()
    };
    world.slices = vec![slice(
        "[{addresses: [10.0.0.2], nodeName: node-3, \
        conditions: {ready: false, serving: true, terminating: true}}, \
        {addresses: [10.0.0.3], nodeName: node-1, conditions: {ready: false, serving: false}}]",
    )];
    assert_eq!(names(&world.place().unwrap()), ["node-3"]);
}

#[test]
fn an_endpoint_of_unknown_condition_counts_as_ready() {
    let endpoints = Endpoints::new(&[slice("[{addresses: [10.0.0.1], nodeName: node-2}]")]);
    assert!(endpoints.eligible_nodes().contains("node-2"));
}

#[test]
fn advertisements_select_pools_services_and_nodes() {
    for (spec, expected) in [
        ("{}", Ok(3)),
        ("{ipAddressPools: [main]}", Ok(3)),
        ("{ipAddressPools: [other]}", Err(Unannounced::NoAdvertisement)),
        ("{ipAddressPoolSelectors: [{matchLabels: {tier: front}}]}", Ok(3)),
        ("{ipAddressPools: [other], ipAddressPoolSelectors: [{matchLabels: {tier: front}}]}", Ok(3)),
        ("{ipAddressPoolSelectors: [{matchLabels: {tier: back}}]}", Err(Unannounced::NoAdvertisement)),
        ("{serviceSelectors: [{matchLabels: {app: web}}]}", Ok(3)),
        ("{serviceSelectors: [{matchLabels: {app: db}}]}", Err(Unannounced::NoAdvertisement)),
        ("{nodeSelectors: [{matchLabels: {name: node-1}}]}", Ok(1)),
        ("{nodeSelectors: [{matchLabels: {name: node-1}}, {matchLabels: {name: node-2}}]}", Ok(2)),
        ("{nodeSelectors: [{matchLabels: {name: node-9}}]}", Ok(0)),
    ] {
        let world = World { advertisements: vec![advertisement(spec)], ..World::default() };
        assert_eq!(world.place().map(|placement| placement.candidates.len()), expected, "{spec}");
    }
}

#[test]
fn several_advertisements_unite_their_nodes_and_interfaces() {
    let advertisements = vec![
        advertisement("{nodeSelectors: [{matchLabels: {name: node-1}}], interfaces: [eth0]}"),
        advertisement("{nodeSelectors: [{matchLabels: {name: node-1}}], interfaces: [eth1]}"),
        advertisement("{nodeSelectors: [{matchLabels: {name: node-2}}]}"),
    ];
    let world = World { advertisements, ..World::default() };
    let placement = world.place().unwrap();
    let of = |name: &str| &placement.candidates.iter().find(|c| c.node == name).unwrap().interfaces;
    assert!(of("node-1").matches("eth0") && of("node-1").matches("eth1") && !of("node-1").matches("eth2"));
    assert!(of("node-2").matches("eth2"));
    assert_eq!(placement.excluded["node-3"], Exclusion::NotSelected);
}

#[test]
fn addresses_without_a_pool_or_a_status_are_not_announced() {
    for (ingress, expected) in [
        ("[]", Unannounced::NoAddress),
        ("[{ip: 10.9.9.9}]", Unannounced::NoPool),
        ("[{ip: 192.168.1.240}, {ip: 10.9.9.9}]", Unannounced::NoPool),
        ("[{hostname: lb.example.com}, {ip: nonsense}]", Unannounced::NoAddress),
    ] {
        let world = World { service: service("{}", ingress, "{}"), ..World::default() };
        assert_eq!(world.place(), Err(expected), "{ingress}");
    }
}

#[test]
fn a_range_that_cannot_be_read_takes_nothing_from_the_others_of_its_pool() {
    let pool: IPAddressPool = read("{metadata: {name: main}, spec: {addresses: [nonsense, 192.168.1.240]}}");
    let world = World { pools: vec![PoolFacts::from(&pool)], ..World::default() };
    assert_eq!(world.place().unwrap().candidates.len(), 3);
}

#[test]
fn an_address_in_two_pools_belongs_to_the_one_that_is_ready() {
    let ready = "{conditions: [{type: Ready, status: 'True', reason: Accepted, message: '', \
                 lastTransitionTime: '2026-01-01T00:00:00Z'}]}";
    let refused = ready.replace("True", "False").replace("Accepted", "OverlapsPool");
    let world = |first: &str, second: &str| {
        let pool = |(name, status)| {
            let spec = "{addresses: [192.168.1.240]}";
            read(&format!("{{metadata: {{name: {name}}}, spec: {spec}, status: {status}}}"))
        };
        let pools = [("a", first), ("b", second)].map(|pool_of| PoolFacts::from(&pool(pool_of)));
        let advertisements = vec![advertisement("{ipAddressPools: [b]}")];
        World { pools: pools.to_vec(), advertisements, ..World::default() }
    };
    for (first, second, second_is_home) in [
        (ready, &*refused, false),
        (&refused, ready, true),
        ("null", ready, true),
        (&refused, "null", false),
        ("null", "null", false),
    ] {
        assert_eq!(world(first, second).place().is_ok(), second_is_home, "{first} {second}");
    }
}

struct World {
    service: ServiceFacts,
    slices: Vec<EndpointSlice>,
    nodes: Vec<NodeFacts>,
    pools: Vec<PoolFacts>,
    advertisements: Vec<ferrolb_crds::L2AdvertisementSpec>,
}

impl Default for World {
    fn default() -> Self {
        let pool: IPAddressPool = read(
            "{metadata: {name: main, labels: {tier: front}}, \
             spec: {addresses: [192.168.1.240-192.168.1.250, 'fd00::f0/124']}}",
        );
        let healthy = |name: &str| {
            let manifest = format!(
                "{{metadata: {{name: {name}, labels: {{name: {name}}}}}, \
                 status: {{conditions: [{{type: Ready, status: 'True'}}]}}}}"
            );
            node(&manifest, up("eth0"))
        };
        Self {
            service: service("{}", "[{ip: 192.168.1.240}]", "{}"),
            slices: Vec::new(),
            nodes: ["node-1", "node-2", "node-3"].map(healthy).to_vec(),
            pools: vec![PoolFacts::from(&pool)],
            advertisements: vec![advertisement("{}")],
        }
    }
}

impl World {
    fn place(&self) -> Result<Placement, Unannounced> {
        let endpoints = Endpoints::new(&self.slices);
        let placed = place(&self.service, &endpoints, &self.nodes, &self.pools, &self.advertisements);
        let hindered = hindrance(&self.service, &endpoints, &self.nodes, &self.pools, &self.advertisements);
        // What keeps addresses from being announced is told exactly when there is no candidate.
        match (&placed, hindered) {
            (Err(unannounced), hindered) => assert_eq!(hindered, Some(Hindrance::Unannounced(*unannounced))),
            (Ok(placement), None) => assert!(!placement.candidates.is_empty()),
            (Ok(placement), Some(Hindrance::NoNode(reasons))) => {
                assert!(placement.candidates.is_empty());
                assert_eq!(reasons.values().sum::<usize>(), placement.excluded.len());
            }
            (Ok(_), Some(Hindrance::Unannounced(unannounced))) => panic!("{unannounced:?}"),
        }
        placed
    }
}

fn names(placement: &Placement) -> Vec<String> {
    placement.candidates.iter().map(|candidate| candidate.node.clone()).collect()
}

fn service(spec: &str, ingress: &str, annotations: &str) -> ServiceFacts {
    let service: Service = read(&format!(
        "{{metadata: {{labels: {{app: web}}, annotations: {annotations}}}, spec: {spec}, \
         status: {{loadBalancer: {{ingress: {ingress}}}}}}}"
    ));
    ServiceFacts::from(&service)
}

fn slice(endpoints: &str) -> EndpointSlice {
    read(&format!("{{metadata: {{}}, addressType: IPv4, endpoints: {endpoints}}}"))
}

fn node(manifest: &str, speaker: Speaker) -> NodeFacts {
    NodeFacts::new(&read::<Node>(manifest), speaker)
}

fn up(interface: &str) -> Speaker {
    Speaker::Live { interfaces: vec![interface.to_owned()] }
}

fn advertisement(spec: &str) -> ferrolb_crds::L2AdvertisementSpec {
    let manifest = format!("{{metadata: {{name: all}}, spec: {spec}}}");
    read::<L2Advertisement>(&manifest).spec
}

fn read<K: serde::de::DeserializeOwned>(yaml: &str) -> K {
    serde_saphyr::from_str(yaml).expect("the test's own manifest is well-formed")
}
