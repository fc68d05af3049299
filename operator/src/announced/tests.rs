use std::net::IpAddr;
use std::time::Duration;

use ferrolb_crds::lease::LeaseLink;
use ferrolb_placement::{GRACE, Speaker};
use k8s_openapi::api::core::v1::{Node, Service};
use serde::de::DeserializeOwned;

use super::*;
use crate::ledger::Place;

#[test]
fn an_address_is_announced_where_a_node_may() {
    let mut scene = Scene::new();
    assert_eq!(scene.judge("{}"), "True Announced: a node announces it");
    scene.surroundings.set_node("other", Some(node("{metadata: {name: other}}")));
    assert_eq!(scene.judge("{}"), "True Announced: a node announces it");
}

#[test]
fn nothing_is_said_of_a_service_without_an_address() {
    let mut scene = Scene::new();
    scene.surroundings.set_service(&request("{}"), &Assignment::default());
    assert!(scene.surroundings.judge(&key("web"), &[]).is_none());
}

#[test]
fn what_keeps_an_address_from_being_announced_is_told_without_a_nodes_name() {
    let mut scene = Scene::new();
    scene.set_advertisement("{ipAddressPools: [other]}");
    assert!(scene.judge("{}").starts_with("False NoAdvertisement: no L2Advertisement selects this Service"));
    scene.set_advertisement("{serviceSelectors: [{matchLabels: {app: db}}]}");
    assert!(scene.judge("{}").starts_with("False NoAdvertisement"));
    scene.set_advertisement("{nodeSelectors: [{matchLabels: {a: b}}]}");
    let no_node = "False NoEligibleNode: no node may announce the address: ";
    assert_eq!(scene.judge("{}"), format!("{no_node}no L2Advertisement of the Service selects the node"));
    scene.set_advertisement("{}");
    scene.surroundings.remove_lease("node-1", scene.now);
    assert_eq!(scene.judge("{}"), format!("{no_node}the node's speaker has no live Lease"));
    scene.surroundings.set_node("node-1", None);
    assert_eq!(scene.judge("{}"), format!("{no_node}there is no node"));
}

#[test]
fn a_pool_that_is_gone_is_told_as_such() {
    let mut scene = Scene::new();
    scene.surroundings.set_objects(&[], &[], scene.now);
    assert!(scene.judge("{}").starts_with("False NoAdvertisement: no pool contains the address"));
}

#[test]
fn while_a_pool_is_being_renamed_nothing_else_is_told() {
    let mut scene = Scene::new();
    assert!(scene.judge("{}").starts_with("True"));
    scene.surroundings.set_objects(&[], &[], scene.now);
    assert!(scene.judge("{}").starts_with("True"));
    assert_eq!(scene.surroundings.poll_timeout(), Some(scene.now + GRACE));
    assert!(scene.surroundings.handle_timeout(scene.now + GRACE));
    assert!(scene.judge("{}").starts_with("False NoAdvertisement: no pool contains the address"));
}

#[test]
fn each_address_is_judged_by_itself() {
    let mut scene = Scene::new();
    scene.give(&request("{}"), &["10.0.0.1", "fd00::1"]);
    assert_eq!(
        scene.told("web", &[]),
        "False NoAdvertisement: fd00::1: no pool contains the address, so no L2Advertisement can select it"
    );
    scene.set_advertisement("{ipAddressPools: [other]}");
    assert_eq!(
        scene.told("web", &[]),
        "False NoAdvertisement: 10.0.0.1: no L2Advertisement selects this Service and the address's pool: create \
         one; fd00::1: no pool contains the address, so no L2Advertisement can select it"
    );
}

#[test]
fn services_that_share_an_address_are_judged_together() {
    let mut scene = Scene::new();
    let db = request_of("db", "{}");
    scene.set_advertisement("{serviceSelectors: [{matchLabels: {app: web}}]}");
    assert!(scene.judge("{}").starts_with("True"));
    assert_eq!(scene.give(&db, &["10.0.0.1"]), [key("web")]);
    for service in ["web", "db"] {
        let told = scene.told(service, &[]);
        assert!(told.contains("every Service that shares the address"), "{service}: {told}");
    }
    assert!(scene.give(&db, &["10.0.0.1"]).is_empty(), "nothing is new");
    assert!(
        scene.give(&request_of("third", "{}"), &["10.0.0.1"]).is_empty(),
        "nothing differs for the others"
    );
    assert!(scene.surroundings.remove_service(&key("third")).is_empty());
    assert_eq!(scene.surroundings.remove_service(&key("db")), [key("web")]);
    assert!(scene.told("web", &[]).starts_with("True"));
}

#[test]
fn traffic_to_local_endpoints_needs_one_on_a_node_that_may_announce() {
    let mut scene = Scene::new();
    let local = "{externalTrafficPolicy: Local}";
    let on = |node: &str, conditions: &str| {
        read_slice(&read(&format!(
            "{{metadata: {{namespace: default, labels: {{kubernetes.io/service-name: web}}}}, addressType: IPv4, \
             endpoints: [{{addresses: [10.1.0.1], nodeName: {node}, conditions: {conditions}}}]}}"
        )))
    };
    let slice = || key("web-abc");
    let affected = vec![key("web")];
    assert!(scene.judge(local).starts_with("False NoServingEndpoint"));
    assert_eq!(scene.judge("{}"), "True Announced: a node announces it", "any node takes it to any pod");
    assert!(scene.surroundings.set_slice(slice(), on("node-9", "{ready: true}")).is_empty());
    assert!(scene.judge(local).starts_with("False NoServingEndpoint"));
    assert_eq!(scene.surroundings.set_slice(slice(), on("node-8", "{ready: true}")), affected);
    assert!(scene.judge(local).starts_with("False NoServingEndpoint"));
    for conditions in ["{ready: true}", "{}", "{ready: false, serving: true, terminating: true}"] {
        scene.surroundings.set_slice(slice(), on("node-1", conditions));
        assert!(scene.judge(local).starts_with("True"), "{conditions}");
    }
    assert!(
        scene.surroundings.set_slice(slice(), on("node-1", "{ready: false, terminating: true}")).is_empty()
    );
    let useless = on("node-1", "{ready: false, serving: false}");
    assert_eq!(scene.surroundings.set_slice(slice(), useless), affected);
    assert!(scene.judge(local).starts_with("False NoServingEndpoint"));
    assert!(scene.surroundings.set_slice(slice(), None).is_empty());
}

#[test]
fn a_conflict_is_told_while_nobody_owns_the_address() {
    let mut scene = Scene::new();
    let conflict = "[{type: AddressConflict, status: 'True', reason: Answered, \
                     message: '02:00:00:00:00:99 answers for 10.0.0.1', lastTransitionTime: '2026-01-01T00:00:00Z'}]";
    let blocked = "Blocked, ips: ['10.0.0.1'], conflictingIPs: ['10.0.0.1']";
    assert_eq!(scene.report("a", "node-1", blocked, 1, conflict).len(), 1);
    assert_eq!(scene.judge("{}"), "False AddressConflict: 02:00:00:00:00:99 answers for 10.0.0.1");
    scene.report("b", "node-2", "Owner, ips: ['10.0.0.2']", 2, "[]");
    assert!(scene.judge("{}").starts_with("False AddressConflict"), "it owns another address");
    assert!(!scene.report("b", "node-2", "Owner, ips: ['10.0.0.1']", 2, "[]").is_empty());
    assert!(scene.judge("{}").starts_with("True"));
    scene.surroundings.set_report("b", None);
    scene.report("a", "node-1", "Owner, ips: ['10.0.0.1'], conflictingIPs: ['10.0.0.1']", 3, conflict);
    assert!(scene.judge("{}").starts_with("True"), "it defends what it owns");
    scene.report("a", "node-1", "Watching", 4, "[]");
    assert!(scene.judge("{}").starts_with("True"));
}

#[test]
fn reports_without_a_node_a_service_or_a_claim_to_own_are_stale() {
    let mut scene = Scene::new();
    scene.report("old-owner", "node-1", "Owner", 1, "[]");
    scene.report("new-owner", "node-2", "Owner", 2, "[]");
    scene.report("watcher", "node-3", "Watching", 3, "[]");
    scene.report("gone", "node-9", "Owner", 0, "[]");
    let stale = |scene: &Scene, nodes: &[&str], services: bool| {
        let names = scene.surroundings.reports().stale(|node| nodes.contains(&node), |_| services);
        names.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(stale(&scene, &["node-1", "node-2", "node-3"], true), "gone old-owner");
    assert_eq!(stale(&scene, &["node-1", "node-2", "node-3", "node-9"], true), "gone old-owner");
    assert_eq!(stale(&scene, &["node-2", "node-3"], false), "gone new-owner old-owner watcher");
    scene.report("old-owner", "node-1", "Owner", 4, "[]");
    assert_eq!(stale(&scene, &["node-1", "node-2", "node-3"], true), "gone new-owner", "it owns it again");
    scene.report("new-owner", "node-2", "Owner, ips: ['10.0.0.2']", 5, "[]");
    scene.report("old-owner", "node-1", "Owner, ips: ['10.0.0.1']", 6, "[]");
    assert_eq!(stale(&scene, &["node-1", "node-2", "node-3"], true), "gone", "each owns another address");
}

#[test]
fn a_speaker_is_missed_when_its_lease_runs_out_while_our_own_is_renewed() {
    let mut scene = Scene::new();
    for second in 0..60 {
        let (now, version) = (scene.now + Duration::from_secs(second), second);
        scene.surroundings.set_own_lease(lease("", version, 15), now);
        scene.surroundings.handle_timeout(now);
    }
    assert!(scene.judge("{}").starts_with("False NoEligibleNode"));

    let mut scene = Scene::new();
    scene.surroundings.set_own_lease(lease("", 0, 15), scene.now);
    scene.surroundings.handle_timeout(scene.now + Duration::from_secs(3600));
    assert!(scene.judge("{}").starts_with("True"), "we are cut off, and know nothing of the speaker");
}

#[test]
fn a_new_leader_takes_nothing_back_before_it_knows_which_leases_are_renewed() {
    let mut scene = Scene::new();
    scene.surroundings.doubt_leases();
    let said = |reason: &str, status: &str| -> Vec<Condition> {
        vec![read(&format!(
            "{{type: ferrolb.io/Announced, status: '{status}', reason: {reason}, message: m, \
             lastTransitionTime: '2026-01-01T00:00:00Z'}}"
        ))]
    };
    let silent = said("NoEligibleNode", "False");
    assert_eq!(scene.judge_again("{}", &silent), "False NoEligibleNode: m");
    assert!(scene.judge_again("{}", &said("NoAdvertisement", "False")).starts_with("True"));
    assert!(scene.judge_again("{}", &[]).starts_with("True"));
    scene.set_advertisement("{ipAddressPools: [other]}");
    assert!(scene.judge_again("{}", &silent).starts_with("False NoAdvertisement"));
    scene.set_advertisement("{}");
    assert!(scene.surroundings.set_lease(lease("node-1", 1, 18), scene.now), "it is renewed");
    assert!(scene.judge_again("{}", &silent).starts_with("True"));
}

/// A node with a live speaker, a pool and an advertisement.
struct Scene {
    surroundings: Surroundings,
    now: Instant,
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn new() -> Self {
        let now = Instant::now();
        let mut scene = Self { surroundings: Surroundings::new(false), now };
        scene.surroundings.set_node("node-1", Some(node("{metadata: {name: node-1}}")));
        scene.surroundings.set_lease(lease("node-1", 0, 18), now);
        scene.set_advertisement("{}");
        scene
    }

    fn set_advertisement(&mut self, spec: &str) {
        let pool = read(
            "{apiVersion: ferrolb.io/v1beta1, kind: IPAddressPool, metadata: {name: p}, spec: {addresses: [10.0.0.0/24]}}",
        );
        let spec = format!(
            "{{metadata: {{name: l2}}, spec: {spec}, apiVersion: ferrolb.io/v1beta1, kind: L2Advertisement}}"
        );
        self.surroundings.set_objects(&[Arc::new(pool)], &[Arc::new(read(&spec))], self.now);
    }

    fn report(
        &mut self,
        name: &str,
        node: &str,
        role: &str,
        version: u64,
        conditions: &str,
    ) -> Vec<ServiceKey> {
        let role = if role.contains("ips") { role.to_owned() } else { format!("{role}, ips: []") };
        let object = read(&format!(
            "{{apiVersion: ferrolb.io/v1beta1, kind: ServiceL2Status, metadata: {{name: {name}, \
             resourceVersion: '{version}'}}, status: {{node: {node}, serviceName: web, serviceNamespace: default, \
             role: {role}, interfaces: [], reason: R, since: '2026-01-01T00:00:00Z', \
             conditions: {conditions}}}}}"
        ));
        self.surroundings.set_report(name, Report::of(&object))
    }

    fn judge(&mut self, spec: &str) -> String {
        self.judge_again(spec, &[])
    }

    fn judge_again(&mut self, spec: &str, shown: &[Condition]) -> String {
        self.give(&request(spec), &["10.0.0.1"]);
        self.told("web", shown)
    }

    /// A Service has addresses. Returns whom else that concerns.
    fn give(&mut self, request: &Request, addresses: &[&str]) -> Vec<ServiceKey> {
        let mut assignment = Assignment::default();
        for address in addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()) {
            let place = Some(Place { address, pool: "p".into() });
            if address.is_ipv4() { assignment.v4 = place } else { assignment.v6 = place }
        }
        self.surroundings.set_service(request, &assignment)
    }

    fn told(&mut self, service: &str, shown: &[Condition]) -> String {
        let statement = self.surroundings.judge(&key(service), shown);
        let Statement { status, reason, message, .. } = statement.expect("a statement");
        format!("{} {reason}: {message}", if status { "True" } else { "False" })
    }
}

fn request(spec: &str) -> Request {
    request_of("web", spec)
}

fn request_of(name: &str, spec: &str) -> Request {
    let metadata = format!("{{name: {name}, namespace: default, labels: {{app: {name}}}}}");
    let service: Service = read(&format!("{{metadata: {metadata}, spec: {spec}}}"));
    Request::parse(&service)
}

fn key(service: &str) -> ServiceKey {
    ServiceKey::new("default", service)
}

fn node(manifest: &str) -> NodeFacts {
    NodeFacts::new(&read::<Node>(manifest), Speaker::Absent)
}

fn lease(node: &str, version: u64, seconds: u64) -> Observed {
    let renewed = i64::try_from(version).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    Observed {
        node: node.to_owned(),
        duration: Duration::from_secs(seconds),
        renewed,
        links: vec![LeaseLink { name: "eth0".to_owned(), macs: vec![], ipv4: vec![], link_local: None }],
        owned: None,
    }
}

fn read<T: DeserializeOwned>(manifest: &str) -> T {
    serde_saphyr::from_str(manifest).expect("a manifest")
}
