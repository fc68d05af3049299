//! Placement seen from outside: objects as a user writes them in, candidates and reasons out.

mod cases;
mod grace;
mod random;
mod shares;
mod world;

use ferrolb_placement::{Exclusion, Touched};

use crate::world::{NODES, READY, VIP, World, live, service, slice, web};

#[test]
fn what_takes_a_node_out_is_told() {
    for (metadata, state, expected) in [
        (
            "labels: {node.kubernetes.io/exclude-from-external-load-balancers: ''}",
            READY,
            Some(Exclusion::ExcludeLabel),
        ),
        (
            "",
            "status: {conditions: [{type: NetworkUnavailable, status: 'True'}]}",
            Some(Exclusion::NetworkUnavailable),
        ),
        (
            "",
            "spec: {taints: [{key: node.kubernetes.io/out-of-service, effect: NoExecute}]}",
            Some(Exclusion::OutOfService),
        ),
        ("", "spec: {unschedulable: true}", None),
    ] {
        let mut world = World::new();
        assert_eq!(
            world.touch("node", &format!("metadata: {{name: node-9, {metadata}}}, {state}")),
            Touched::All
        );
        assert_eq!(world.place(VIP).unwrap().exclusion("node-9"), expected, "{metadata} {state}");
    }
}

#[test]
fn a_node_needs_a_live_speaker_and_an_interface() {
    let mut world = World::new();
    world.set("ad", "metadata: {name: all}, spec: {interfaces: [eth*]}");
    world.speakers(&[("node-1", Default::default()), ("node-2", live(&["wlan0"])), ("node-3", live(&[]))]);
    let placement = world.place(VIP).unwrap();
    let excluded = NODES.map(|node| placement.exclusion(node));
    let [silent, no_interface] = [Exclusion::NoSpeaker, Exclusion::NoInterface].map(Some);
    assert_eq!(excluded, [silent, no_interface, no_interface]);
    assert_eq!(placement.exclusion("unknown"), None);
}

#[test]
fn several_advertisements_unite_their_interfaces() {
    let mut world = World::new();
    for (name, spec) in [
        ("all", "{nodeSelectors: [{matchLabels: {name: node-1}}], interfaces: [eth0]}"),
        ("b", "{nodeSelectors: [{matchLabels: {name: node-1}}], interfaces: [bond*]}"),
        ("c", "{nodeSelectors: [{matchLabels: {name: node-2}}]}"),
    ] {
        world.set("ad", &format!("metadata: {{name: {name}}}, spec: {spec}"));
    }
    let placement = world.place(VIP).unwrap();
    for (node, interface, expected) in [
        ("node-1", "eth0", true),
        ("node-1", "bond1", true),
        ("node-1", "eth1", false),
        ("node-2", "eth1", true),
    ] {
        let candidate = placement.candidates.iter().find(|candidate| &*candidate.node == node).unwrap();
        assert_eq!(candidate.interfaces.matches(interface), expected, "{node} {interface}");
    }
    assert_eq!(placement.exclusion("node-3"), Some(Exclusion::NotSelected));
}

#[test]
fn what_a_change_touches_is_told() {
    let mut world = World::new();
    let both = "[{ip: 192.168.1.240}, {ip: 'fd00::f0'}]";
    let local = "externalTrafficPolicy: Local";
    let endpoint =
        |node: &str| slice("web-1", "web", "IPv4", &format!("{{addresses: [10.1.1.1], nodeName: {node}}}"));
    for (kind, manifest, expected) in [
        ("service", web("", "[{ip: 192.168.1.240}]"), ""),
        ("service", service("db", "", "", "[{ip: 192.168.1.241}]"), "192.168.1.241"),
        ("slice", endpoint("node-1"), ""),
        ("service", web("", both), "192.168.1.240 fd00::f0"),
        ("service", web(local, both), "192.168.1.240 fd00::f0"),
        ("slice", endpoint("node-1"), ""),
        ("slice", endpoint("node-2"), "192.168.1.240 fd00::f0"),
        (
            "slice",
            endpoint("node-2").replace("service-name: web", "service-name: other"),
            "192.168.1.240 fd00::f0",
        ),
        ("slice", endpoint("node-1"), "192.168.1.240 fd00::f0"),
        ("no slice", "web-1".into(), "192.168.1.240 fd00::f0"),
        ("no slice", "web-1".into(), ""),
        ("service", web(local, "[{ip: 'fd00::f0'}]"), "192.168.1.240 fd00::f0"),
        ("no service", "web".into(), "fd00::f0"),
        ("no service", "web".into(), ""),
        ("ad", "metadata: {name: all}, spec: {}".into(), ""),
        ("ad", "metadata: {name: all}, spec: {interfaces: [eth0]}".into(), "all"),
        ("no ad", "other".into(), ""),
        ("no pool", "main".into(), "all"),
        ("no pool", "main".into(), ""),
        ("node", format!("metadata: {{name: node-1, labels: {{name: node-1}}}}, {READY}"), ""),
        ("node", format!("metadata: {{name: node-1}}, {READY}"), "all"),
        ("no node", "node-1".into(), "all"),
    ] {
        let touched = match world.touch(kind, &manifest) {
            Touched::All => "all".to_owned(),
            Touched::Addresses(addresses) => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(touched, expected, "{kind} {manifest}");
    }
    assert!(world.planner.set_speakers(|_| live(&["eth0"])).is_empty());
}
