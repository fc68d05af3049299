//! The index, driven by the events that a watch gives.

use std::net::IpAddr;
use std::time::Duration;

use ferrolb_runtime::watch::Undecodable;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::ownership::NodeId;

#[test]
fn nothing_is_loaded_before_every_kind_was_listed() {
    let mut index = index(None);
    let now = now();
    let lists = [
        Change::Service(Event::InitDone),
        Change::EndpointSlice(Event::InitDone),
        Change::Node(Event::InitDone),
        Change::Pool(Event::InitDone),
        Change::Advertisement(Event::InitDone),
        Change::Lease(Event::InitDone),
    ];
    for list in lists {
        assert!(!index.is_loaded());
        let plans = index.apply(&list, now);
        assert_eq!(plans, index.is_loaded(), "when everything is known, there is something to plan");
    }
    assert!(index.is_loaded());
}

#[test]
fn the_only_node_with_a_lease_announces_the_address() {
    let mut cluster = loaded();
    assert_eq!(standing(&mut cluster), Some(Place::First));
    assert_eq!(cluster.own_uid(), Some("uid-node-1"));
    assert_eq!(cluster.uid(&web()), Some("uid-web".into()));
    assert_eq!(cluster.speakers(), 1);
}

#[test]
fn without_an_own_lease_nothing_is_announced() {
    let mut cluster = loaded();
    cluster.plan(Speaker::Absent);
    assert!(cluster.desired()[&vip()].excluded.is_some());
}

#[test]
fn services_of_another_class_or_type_are_not_ours() {
    for (class, spec, ours) in [
        (None, json!({ "type": "LoadBalancer" }), true),
        (None, json!({ "type": "LoadBalancer", "loadBalancerClass": "other/lb" }), false),
        (Some("ferrolb.io/lb"), json!({ "type": "LoadBalancer" }), false),
        (
            Some("ferrolb.io/lb"),
            json!({ "type": "LoadBalancer", "loadBalancerClass": "ferrolb.io/lb" }),
            true,
        ),
        (None, json!({ "type": "ClusterIP" }), false),
    ] {
        let mut index = index(class);
        let now = now();
        base(&mut index, now);
        index.apply(&Change::Service(Event::Apply(service(spec.clone()))), now);
        assert_eq!(standing(&mut index).is_some(), ours, "{class:?} {spec}");
    }
}

#[test]
fn a_service_that_loses_its_address_or_is_deleted_is_withdrawn() {
    let mut cluster = loaded();
    let mut bare = service(json!({ "type": "LoadBalancer" }));
    assert!(!cluster.apply(&Change::Service(Event::Apply(bare.clone())), now()), "nothing changed");
    bare.as_mut().unwrap().status = None;
    assert!(cluster.apply(&Change::Service(Event::Apply(bare)), now()));
    assert_eq!(standing(&mut cluster), None);

    let mut cluster = loaded();
    let gone = service(json!({ "type": "LoadBalancer" }));
    assert!(cluster.apply(&Change::Service(Event::Delete(gone)), now()));
    assert_eq!(standing(&mut cluster), None);
}

#[test]
fn local_traffic_follows_the_endpoints_of_all_slices() {
    let mut cluster = loaded();
    let local = json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local" });
    cluster.apply(&Change::Service(Event::Apply(service(local))), now());
    assert!(matches!(standing(&mut cluster), Some(Place::Excluded)), "no endpoint");
    cluster.apply(&Change::EndpointSlice(Event::Apply(slice("web-1", "node-2"))), now());
    assert!(matches!(standing(&mut cluster), Some(Place::Excluded)), "an endpoint elsewhere");
    assert!(cluster.apply(&Change::EndpointSlice(Event::Apply(slice("web-2", "node-1"))), now()));
    assert_eq!(standing(&mut cluster), Some(Place::First));
    cluster.apply(&Change::EndpointSlice(Event::Delete(slice("web-2", "node-1"))), now());
    assert!(matches!(standing(&mut cluster), Some(Place::Excluded)), "the endpoint is gone");
}

#[test]
fn slices_of_services_that_they_do_not_decide_on_change_nothing() {
    let mut cluster = loaded();
    assert!(
        !cluster.apply(&Change::EndpointSlice(Event::Apply(slice("web-1", "node-2"))), now()),
        "not Local"
    );
    let mut of_another = slice("db-1", "node-2");
    let labels = of_another.as_mut().unwrap().metadata.labels.as_mut().unwrap();
    labels.insert("kubernetes.io/service-name".into(), "db".into());
    assert!(!cluster.apply(&Change::EndpointSlice(Event::Apply(of_another)), now()), "not ours");
}

#[test]
fn a_pool_that_is_gone_for_a_moment_changes_nothing() {
    let mut cluster = loaded();
    assert_eq!(standing(&mut cluster), Some(Place::First));
    let start = now();
    cluster.apply(&Change::Pool(Event::Delete(pool())), start);
    assert_eq!(standing(&mut cluster), Some(Place::First));
    let over = start + ferrolb_placement::GRACE;
    assert!(cluster.handle_timeout(over));
    assert_eq!(standing(&mut cluster), None);
}

#[test]
fn the_exclusion_label_counts_unless_it_is_ignored() {
    for (ignore, expected) in [(false, false), (true, true)] {
        let mut index = Index::new(Scope { ignore_exclude_label: ignore, ..scope(None) });
        let now = now();
        base(&mut index, now);
        index.apply(&Change::Service(Event::Apply(service(json!({ "type": "LoadBalancer" })))), now);
        let labels = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
        index.apply(&Change::Node(Event::Apply(node("node-1", labels))), now);
        assert_eq!(standing(&mut index) == Some(Place::First), expected, "ignored: {ignore}");
    }
}

#[test]
fn a_node_is_going_when_somebody_said_so_and_not_when_it_is_only_not_ready() {
    let not_ready = |message: &str| json!([{ "type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": message }]);
    let ready = || json!([{ "type": "Ready", "status": "True" }]);
    let excluded = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
    let out_of_service = json!([{ "key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute" }]);
    for (what, labels, spec, conditions, going) in [
        ("nothing", json!({}), json!({}), ready(), false),
        ("cordoned", json!({}), json!({ "unschedulable": true }), ready(), true),
        ("excluded", excluded, json!({}), ready(), true),
        ("out of service", json!({}), json!({ "taints": out_of_service }), ready(), true),
        // What kubelet 1.36 says (pkg/kubelet/nodeshutdown).
        ("shutting down", json!({}), json!({}), not_ready("node is shutting down"), true),
        ("no network", json!({}), json!({}), not_ready("container runtime network not ready"), false),
    ] {
        let mut cluster = loaded();
        let node = object(json!({
            "metadata": { "name": "node-1", "uid": "uid-node-1", "labels": labels },
            "spec": spec, "status": { "conditions": conditions }
        }));
        cluster.apply(&Change::Node(Event::Apply(node)), now());
        assert_eq!(cluster.is_going(), going, "{what}");
    }
    let mut cluster = loaded();
    cluster.apply(&Change::Node(Event::Delete(node("node-1", json!({})))), now());
    assert!(cluster.is_going(), "it is gone");
}

#[test]
fn a_renewal_changes_nothing_and_a_lost_peer_does() {
    let mut cluster = loaded();
    let start = now();
    cluster.apply(&Change::Node(Event::Apply(node("node-2", json!({})))), start);
    assert!(cluster.apply(&Change::Lease(Event::Apply(lease("node-2", 0))), start), "a new peer");
    assert_eq!(cluster.speakers(), 2);
    let mut expired = false;
    for second in (6..60).step_by(6) {
        let now = start + Duration::from_secs(second);
        let renewal = Change::Lease(Event::Apply(lease("node-1", second)));
        expired |= cluster.apply(&renewal, now);
    }
    assert!(expired);
    assert_eq!(standing(&mut cluster), Some(Place::First));
}

#[test]
fn a_list_without_a_lease_ends_it() {
    let mut cluster = loaded();
    let now = now();
    cluster.apply(&Change::Node(Event::Apply(node("node-2", json!({})))), now);
    cluster.apply(&Change::Lease(Event::Apply(lease("node-2", 0))), now);
    assert!(!cluster.apply(&Change::Lease(Event::Init), now));
    assert!(!cluster.apply(&Change::Lease(Event::InitApply(lease("node-1", 0))), now));
    assert!(cluster.apply(&Change::Lease(Event::InitDone), now), "node-2 is gone");
    assert_eq!(cluster.speakers(), 1);
}

#[test]
fn what_cannot_be_decoded_stays_as_it_was_until_it_is_deleted() {
    let mut cluster = loaded();
    let start = now();
    let undecodable = |namespace: Option<&str>, name: &str| Undecodable {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let service = undecodable(Some("default"), "web");
    let lease = undecodable(Some("ferrolb-system"), "ferrolb-speaker-node-1");
    for change in [
        Change::Service(Event::Apply(Err(service.clone()))),
        Change::Pool(Event::Apply(Err(undecodable(Some("ferrolb-system"), "pool")))),
        Change::Node(Event::Apply(Err(undecodable(None, "node-1")))),
        Change::Lease(Event::Init),
        Change::Lease(Event::InitApply(Err(lease.clone()))),
        Change::Lease(Event::InitDone),
    ] {
        assert!(!cluster.apply(&change, start), "{change:?}");
    }
    assert_eq!((standing(&mut cluster), cluster.speakers()), (Some(Place::First), 1));
    cluster.apply(&Change::Lease(Event::Delete(Err(lease))), start);
    assert!(cluster.apply(&Change::Service(Event::Delete(Err(service))), start));
    assert_eq!((standing(&mut cluster), cluster.speakers()), (None, 0));
}

/// A cluster of one node whose Service has an address.
fn loaded() -> Index {
    let mut index = index(None);
    base(&mut index, now());
    index.apply(&Change::Service(Event::Apply(service(json!({ "type": "LoadBalancer" })))), now());
    index
}

fn base(index: &mut Index, now: Instant) {
    index.apply(&Change::Service(Event::InitDone), now);
    index.apply(&Change::EndpointSlice(Event::InitDone), now);
    index.apply(&Change::Node(Event::InitApply(node("node-1", json!({})))), now);
    index.apply(&Change::Node(Event::InitDone), now);
    index.apply(&Change::Pool(Event::InitApply(pool())), now);
    index.apply(&Change::Pool(Event::InitDone), now);
    index.apply(&Change::Advertisement(Event::InitApply(advertisement())), now);
    index.apply(&Change::Advertisement(Event::InitDone), now);
    index.apply(&Change::Lease(Event::InitApply(lease("node-1", 0))), now);
    index.apply(&Change::Lease(Event::InitDone), now);
}

fn index(class: Option<&str>) -> Index {
    Index::new(scope(class))
}

fn scope(class: Option<&str>) -> Scope {
    Scope { node: "node-1".into(), class: class.map(str::to_owned), ignore_exclude_label: false }
}

/// This node's place for the address.
#[derive(Debug, PartialEq)]
enum Place {
    First,
    Behind,
    Excluded,
}

fn standing(index: &mut Index) -> Option<Place> {
    index.plan(Speaker::Live { interfaces: vec!["eth0".into()] });
    let desired = index.desired();
    let wanted = desired.get(&vip())?;
    Some(match (wanted.excluded, wanted.candidates.first()) {
        (Some(_), _) => Place::Excluded,
        (None, Some(first)) if first.node == NodeId::OWN => Place::First,
        (None, _) => Place::Behind,
    })
}

fn vip() -> IpAddr {
    IpAddr::from([192, 168, 1, 240])
}

fn web() -> ServiceName {
    ServiceName::new("default", "web")
}

fn service(spec: Value) -> Result<Service, Undecodable> {
    object(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "uid-web" },
        "spec": spec,
        "status": { "loadBalancer": { "ingress": [{ "ip": "192.168.1.240" }] } }
    }))
}

fn slice(name: &str, node: &str) -> Result<EndpointSlice, Undecodable> {
    object(json!({
        "metadata": {
            "name": name, "namespace": "default", "labels": { "kubernetes.io/service-name": "web" }
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.1.1.1"], "nodeName": node }]
    }))
}

fn node(name: &str, labels: Value) -> Result<Node, Undecodable> {
    object(json!({
        "metadata": { "name": name, "uid": format!("uid-{name}"), "labels": labels },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] }
    }))
}

fn pool() -> Result<IPAddressPool, Undecodable> {
    object(json!({
        "apiVersion": "ferrolb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": { "name": "pool" }, "spec": { "addresses": ["192.168.1.240-192.168.1.250"] }
    }))
}

fn advertisement() -> Result<L2Advertisement, Undecodable> {
    object(json!({
        "apiVersion": "ferrolb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": { "name": "all" }, "spec": {}
    }))
}

fn lease(node: &str, second: u64) -> Result<Lease, Undecodable> {
    object(json!({
        "metadata": { "name": format!("ferrolb-speaker-{node}") },
        "spec": {
            "holderIdentity": node, "leaseDurationSeconds": 18,
            "renewTime": format!("2026-01-01T00:00:{second:02}.000000Z")
        }
    }))
}

fn object<K: DeserializeOwned>(value: Value) -> Result<K, Undecodable> {
    Ok(serde_json::from_value(value).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
fn now() -> Instant {
    Instant::now()
}
