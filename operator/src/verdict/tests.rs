use std::net::IpAddr;

use super::*;
use crate::ledger::{GivenUp, Place};
use crate::notice::Kind;
use crate::refusal::Refusal;

const ALLOCATED_A: &str = "{type: ferrolb.io/Allocated, status: 'True', reason: Allocated, \
                           message: 10.0.0.1 from pool a, lastTransitionTime: '1970-01-01T00:00:00Z'}";

#[test]
fn a_new_address_is_one_write_of_ingress_condition_and_annotation() {
    let patch = write(&service("", "", ""), &granted("10.0.0.1@a fd00::1@b")).unwrap();
    assert_eq!(
        patch.body,
        json!({
            "metadata": {
                "resourceVersion": "7",
                "annotations": { "ferrolb.io/ip-allocated-from-pool": "a,b" },
            },
            "status": {
                "loadBalancer": { "ingress": [
                    { "ip": "10.0.0.1", "ipMode": "VIP" },
                    { "ip": "fd00::1", "ipMode": "VIP" },
                ] },
                "conditions": [{
                    "type": "ferrolb.io/Allocated", "status": "True", "reason": "Allocated",
                    "message": "10.0.0.1 from pool a, fd00::1 from pool b",
                    "lastTransitionTime": "1970-01-01T00:00:00Z",
                }],
            },
        })
    );
    assert_eq!(told(&patch), "Allocated: assigned 10.0.0.1 from pool a, fd00::1 from pool b");
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let shown = service("ferrolb.io/ip-allocated-from-pool: a", "{ip: 10.0.0.1, ipMode: VIP}", ALLOCATED_A);
    assert_eq!(write(&shown, &granted("10.0.0.1@a")), None);
    let order = "{ip: 'fd00::1'}, {ip: 10.0.0.1}";
    let message = ALLOCATED_A.replace("10.0.0.1 from pool a", "'10.0.0.1 from pool a, fd00::1 from pool a'");
    let shown = service("ferrolb.io/ip-allocated-from-pool: a", order, &message);
    assert_eq!(write(&shown, &granted("10.0.0.1@a fd00::1@a")), None, "in the order of another controller");
}

#[test]
fn an_adopted_address_is_marked_and_left_as_it_is() {
    let patch = write(&service("", "{ip: 10.0.0.1}", ""), &granted("10.0.0.1@a")).unwrap();
    assert_eq!(patch.body["status"].get("loadBalancer"), None);
    assert!(patch.notices.is_empty());
}

#[test]
fn conditions_of_others_are_kept() {
    let other = "{type: example.org/Other, status: 'True', reason: X, message: '', \
                 lastTransitionTime: '1970-01-01T00:00:00Z'}";
    let patch = write(&service("", "", other), &granted("10.0.0.1@a")).unwrap();
    let types = |patch: &Patch| {
        let list = patch.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        list.iter().map(|condition| condition["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(types(&patch), ["example.org/Other", "ferrolb.io/Allocated"]);
    let marked = service("", "{ip: 10.0.0.1}", &format!("{other}, {ALLOCATED_A}"));
    assert_eq!(types(&clear(&Shown::of(&marked), true).unwrap()), ["example.org/Other"]);
}

#[test]
fn a_refusal_is_told_once() {
    let decision = refused(Refusal::OutsidePools(ip("10.9.9.9")), &[]);
    let patch = write(&service("", "", ""), &decision).unwrap();
    assert_eq!(patch.body["status"]["conditions"][0]["reason"], "AddressNotInPool");
    assert_eq!(patch.body["status"].get("loadBalancer"), None);
    assert!(told(&patch).starts_with("AllocationFailed: AddressNotInPool: 10.9.9.9 is in no pool"));

    let conditions = patch.body["status"]["conditions"].to_string();
    let shown = service("", "", conditions.trim_matches(['[', ']']));
    assert_eq!(write(&shown, &decision), None);
    let other_address = refused(Refusal::OutsidePools(ip("10.9.9.8")), &[]);
    assert_eq!(told(&write(&shown, &other_address).unwrap()), "");
}

#[test]
fn a_refusal_takes_away_only_what_is_ours() {
    let outside = refused(Refusal::UnknownPool("x".into()), &[("10.9.9.9", Cause::OutsidePools)]);
    let ingress = |patch: Option<Patch>| patch.unwrap().body["status"].get("loadBalancer").cloned();
    let cleared = Some(json!({ "ingress": null }));
    assert_eq!(ingress(write(&service("", "{ip: 10.9.9.9}", ""), &outside)), None);
    assert_eq!(ingress(write(&service("", "{ip: 10.9.9.9}", ALLOCATED_A), &outside)), None);
    let noted = service("ferrolb.io/ip-allocated-from-pool: a", "{ip: 10.9.9.9}", "");
    assert_eq!(ingress(write(&noted, &outside)), cleared);
    let inside = refused(Refusal::UnknownPool("x".into()), &[("10.0.0.1", Cause::AsksForAnother)]);
    let patch = write(&service("", "{ip: 10.0.0.1}", ""), &inside);
    assert!(told(patch.as_ref().unwrap()).starts_with("Released: gave up 10.0.0.1: the Service asks"));
    assert_eq!(ingress(patch), cleared);
}

#[test]
fn host_names_and_other_modes_give_way_to_an_address() {
    for ingress in
        ["{hostname: lb.example.org}", "{ip: 10.0.0.1, ipMode: Proxy}", "{ip: 10.0.0.1}, {ip: 10.0.0.1}"]
    {
        let patch = write(&service("", ingress, ""), &granted("10.0.0.1@a")).unwrap();
        let points = &patch.body["status"]["loadBalancer"]["ingress"];
        assert_eq!(*points, json!([{ "ip": "10.0.0.1", "ipMode": "VIP" }]), "{ingress}");
    }
}

#[test]
fn a_service_that_left_shows_nothing_of_us() {
    let shown = service("ferrolb.io/ip-allocated-from-pool: a", "{ip: 10.0.0.1}", ALLOCATED_A);
    let patch = clear(&Shown::of(&shown), true).unwrap();
    let annotations = json!({ "ferrolb.io/ip-allocated-from-pool": null });
    assert_eq!(patch.body["metadata"]["annotations"], annotations);
    assert_eq!(patch.body["status"], json!({ "loadBalancer": { "ingress": null }, "conditions": null }));
    assert!(told(&patch).starts_with("Released: "));
    assert_eq!(clear(&Shown::of(&service("", "{ip: 10.0.0.1}", "")), true), None);
}

#[test]
fn messages_stay_short_whatever_a_service_asks_for() {
    let decision = refused(Refusal::NotAnAddress("é".repeat(100_000)), &[]);
    let patch = write(&service("", "", ""), &decision).unwrap();
    let message = patch.body["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.len() <= LONGEST_MESSAGE && message.ends_with("é…"), "{message}");
}

fn write(service: &Service, decision: &Decision) -> Option<Patch> {
    state(&Shown::of(service), &Request::parse(service), decision, None, Timestamp::UNIX_EPOCH)
}

fn told(patch: &Patch) -> String {
    let lines = patch.notices.iter().map(|notice| {
        assert_eq!(notice.kind.is_warning(), matches!(notice.kind, Kind::AllocationFailed(_)));
        format!("{}: {}", notice.kind.as_str(), notice.note)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn service(annotations: &str, ingress: &str, conditions: &str) -> Service {
    serde_saphyr::from_str(&format!(
        "{{metadata: {{resourceVersion: '7', annotations: {{{annotations}}}}}, \
         status: {{loadBalancer: {{ingress: [{ingress}]}}, conditions: [{conditions}]}}}}"
    ))
    .unwrap()
}

fn granted(places: &str) -> Decision {
    let mut assignment = Assignment::default();
    for (address, pool) in places.split(' ').map(|place| place.split_once('@').unwrap()) {
        let place = Some(Place { address: ip(address), pool: pool.into() });
        if ip(address).is_ipv4() { assignment.v4 = place } else { assignment.v6 = place }
    }
    Decision { assignment, refusal: None, wants_more: false, waits_for: Vec::new(), given_up: Vec::new() }
}

fn refused(refusal: Refusal, given_up: &[(&str, Cause)]) -> Decision {
    let given_up =
        given_up.iter().map(|(address, cause)| GivenUp { address: ip(address), cause: cause.clone() });
    Decision {
        assignment: Assignment::default(),
        refusal: Some(refusal),
        wants_more: true,
        waits_for: Vec::new(),
        given_up: given_up.collect(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
