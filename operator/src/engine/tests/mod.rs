mod others;
mod random;
mod stage;
mod waiting;

use std::collections::BTreeMap;

use self::stage::{Stage, pool};
use super::*;

#[test]
fn a_service_gets_its_address_in_one_write_and_then_rests() {
    let mut stage = Stage::new("10.0.0.1-10.0.0.2");
    stage.service("web", "");
    let update = stage.next().unwrap();
    assert_eq!(stage.write(&update), "10.0.0.1");
    assert_eq!(stage.next(), None);
    assert_eq!(stage.status("web"), "10.0.0.1 Allocated p");
}

#[test]
fn nothing_is_written_before_the_start_and_nothing_at_a_restart() {
    let mut stage = Stage::new("10.0.0.0/24");
    for name in ["a", "b", "c"] {
        stage.service(name, "");
    }
    stage.settle();
    let shown: Vec<_> = ["a", "b", "c"].map(|name| stage.status(name)).into();

    stage.engine = Engine::new(Settings::default(), stage.now);
    let services: Vec<_> = stage.cluster.values().cloned().collect();
    services.iter().for_each(|service| stage.engine.apply_service(service, stage.now));
    assert_eq!(stage.next(), None, "before the pools are known");
    stage.set_pools(&[("p", "10.0.0.0/24")]);
    stage.engine.start();
    assert_eq!(stage.next(), None);
    assert_eq!(["a", "b", "c"].map(|name| stage.status(name)).to_vec(), shown);
}

#[test]
fn all_addresses_are_adopted_before_one_is_given() {
    let mut stage = Stage::new("10.0.0.0/24");
    stage.service("b", "");
    stage.settle();
    let held = stage.cluster["b"].clone();

    stage.engine = Engine::new(Settings::default(), stage.now);
    stage.set_pools(&[("p", "10.0.0.0/24")]);
    stage.service("a", "");
    stage.engine.apply_service(&held, stage.now);
    stage.engine.start();
    stage.settle();
    assert_eq!(stage.status("a"), "10.0.0.1 Allocated p");
    assert_eq!(stage.status("b"), "10.0.0.0 Allocated p");
}

#[test]
fn a_service_has_one_write_on_its_way_at_most() {
    let mut stage = Stage::new("10.0.0.0/24");
    stage.service("web", "");
    let first = stage.next().unwrap();
    stage.service("web", "ferrolb.io/loadBalancerIPs: 10.0.0.9");
    assert_eq!(stage.next(), None);
    stage.engine.conflicted(&first, Some(&stage.cluster["web"]), stage.now);
    stage.engine.handle_timeout(stage.now);
    let second = stage.next().unwrap();
    assert_eq!(stage.write(&second), "10.0.0.9");
    assert_eq!(stage.next(), None);
}

#[test]
fn what_a_watch_tells_late_is_ignored() {
    let mut stage = Stage::new("10.0.0.0/24");
    stage.service("web", "");
    let stale = stage.cluster["web"].clone();
    stage.settle();
    stage.engine.apply_service(&stale, stage.now);
    assert_eq!(stage.next(), None);
}

#[test]
fn a_change_seen_during_the_write_is_decided_on_after_it() {
    let mut stage = Stage::new("10.0.0.0/24");
    stage.service("web", "");
    let update = stage.next().unwrap();
    let written = stage.patched(&update);
    let mut later = written.clone();
    later
        .metadata
        .annotations
        .get_or_insert_default()
        .insert("ferrolb.io/loadBalancerIPs".into(), "10.0.0.7".into());
    let later = stage.store(later);
    stage.engine.apply_service(&later, stage.now);
    assert_eq!(stage.next(), None);
    stage.engine.applied(&update, &written, stage.now);
    let next = stage.next().unwrap();
    assert_eq!(stage.write(&next), "10.0.0.7");
}

#[test]
fn a_given_up_address_is_free_only_when_the_status_no_longer_shows_it() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("a", "");
    stage.settle();
    stage.service("b", "");
    stage.settle();
    assert_eq!(stage.status("b"), "PoolExhausted");
    stage.service("a", "ferrolb.io/loadBalancerIPs: 10.9.9.9");
    let clearing = stage.next().unwrap();
    assert_eq!(stage.next(), None);
    assert_eq!(stage.write(&clearing), "");
    stage.settle();
    assert_eq!(stage.status("a"), "AddressNotInPool");
    assert_eq!(stage.status("b"), "10.0.0.1 Allocated p");
}

#[test]
fn a_deleted_service_leaves_its_address_to_one_that_waits() {
    let mut stage = Stage::new("10.0.0.1");
    for name in ["a", "b"] {
        stage.service(name, "");
        stage.settle();
    }
    stage.delete("a");
    stage.settle();
    assert_eq!(stage.status("b"), "10.0.0.1 Allocated p");
}

#[test]
fn a_service_deleted_during_its_write_does_not_come_back() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("a", "");
    let update = stage.next().unwrap();
    let written = stage.patched(&update);
    stage.delete("a");
    stage.engine.applied(&update, &written, stage.now);
    stage.service("b", "");
    stage.settle();
    assert_eq!(stage.status("b"), "10.0.0.1 Allocated p");
}

#[test]
fn an_old_service_that_is_gone_is_not_the_new_one_of_its_name() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    let web = ServiceKey::new("default", "web");
    stage.engine.delete_service(&web, Some("another"), stage.now);
    stage.service("other", "");
    stage.settle();
    assert_eq!(stage.status("other"), "PoolExhausted");
    let uid = stage.cluster["web"].metadata.uid.clone();
    stage.engine.delete_service(&web, uid.as_deref(), stage.now);
    stage.settle();
    assert_eq!(stage.status("other"), "10.0.0.1 Allocated p");
}

#[test]
fn a_service_of_the_same_name_is_another_one() {
    let mut stage = Stage::new("10.0.0.0/24");
    stage.service("web", "ferrolb.io/loadBalancerIPs: 10.0.0.9");
    stage.settle();
    stage.cluster.remove("web");
    stage.service("web", "ferrolb.io/loadBalancerIPs: 10.0.0.7");
    stage.settle();
    assert_eq!(stage.status("web"), "10.0.0.7 Allocated p");
    stage.service("other", "ferrolb.io/loadBalancerIPs: 10.0.0.9");
    stage.settle();
    assert_eq!(stage.status("other"), "10.0.0.9 Allocated p");
}

#[test]
fn a_service_that_is_ours_no_longer_is_cleared_and_others_are_left_alone() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    let mut service = stage.cluster["web"].clone();
    service.spec.as_mut().unwrap().type_ = Some("ClusterIP".to_owned());
    let service = stage.store(service);
    stage.engine.apply_service(&service, stage.now);
    let update = stage.next().unwrap();
    assert_eq!(stage.write(&update), "");
    assert_eq!(stage.status("web"), "");
    assert_eq!(stage.next(), None);
    stage.service("other", "");
    stage.settle();
    assert_eq!(stage.status("other"), "10.0.0.1 Allocated p");
}

#[test]
fn the_marks_of_another_class_are_left_to_its_operator() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    let shown = stage.cluster["web"].clone();
    stage.engine = Engine::new(
        Settings { class: Some("ferrolb.io/other".to_owned()), ..Settings::default() },
        stage.now,
    );
    stage.engine.apply_service(&shown, stage.now);
    stage.engine.start();
    assert_eq!(stage.next(), None);
}

#[test]
fn a_failed_write_is_tried_again_later_and_later() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    let mut delays = Vec::new();
    for _ in 0..12 {
        let update = stage.next().unwrap();
        delays.push(stage.engine.failed(&update, stage.now));
        assert_eq!(stage.next(), None);
        stage.now = stage.engine.poll_timeout().unwrap();
        stage.engine.handle_timeout(stage.now);
    }
    assert_eq!(delays[..3], [100, 200, 400].map(Duration::from_millis));
    assert_eq!(delays[11], Duration::from_secs(30));
    let update = stage.next().unwrap();
    assert_eq!(stage.write(&update), "10.0.0.1");
}

#[test]
fn conflicts_in_a_row_wait_longer_and_longer() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    let mut waits = Vec::new();
    for _ in 0..3 {
        let update = stage.next().unwrap();
        stage.engine.conflicted(&update, Some(&stage.cluster["web"]), stage.now);
        waits.push(stage.engine.poll_timeout().unwrap() - stage.now);
        stage.now = stage.engine.poll_timeout().unwrap();
        stage.engine.handle_timeout(stage.now);
    }
    assert_eq!(waits, [0, 200, 400].map(Duration::from_millis));
}

#[test]
fn a_pool_that_goes_leaves_its_services_thirty_seconds() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    stage.set_pools(&[]);
    stage.settle();
    assert_eq!(stage.status("web"), "10.0.0.1 Allocated p");
    stage.now = stage.engine.poll_timeout().unwrap();
    stage.engine.handle_timeout(stage.now);
    stage.settle();
    assert_eq!(stage.status("web"), "NoPoolMatches");
}

#[test]
fn a_new_pool_and_a_new_label_of_a_namespace_help_those_who_wait() {
    let mut stage = Stage::new("fd00::/64");
    stage.service("web", "");
    stage.settle();
    assert_eq!(stage.status("web"), "NoPoolMatches");
    let selector =
        "{addresses: [10.0.0.1], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}]}}";
    stage.engine.set_objects(&[pool("q", selector)], &[], stage.now);
    stage.engine.set_namespace("default", Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])));
    stage.settle();
    assert_eq!(stage.status("web"), "10.0.0.1 Allocated q");
}

#[test]
fn an_address_kept_in_spite_of_a_refusal_is_cleared_with_the_last_mark_of_it() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    stage.service("web", "ferrolb.io/loadBalancerIPs: none");
    stage.settle();
    assert_eq!(stage.status("web"), "10.0.0.1 RequestInvalid p");
    // What is applied over it removes our annotation too.
    stage.leave_class(stage.made("web", ""));
    stage.service("other", "");
    stage.settle();
    assert_eq!((stage.status("web").as_str(), stage.status("other").as_str()), ("", "10.0.0.1 Allocated p"));
}

#[test]
fn a_start_with_ten_thousand_addresses_given_writes_nothing() {
    let mut stage = Stage::new("10.0.0.0/16");
    for number in 0..10_000 {
        stage.service(&format!("s{number}"), "");
    }
    stage.settle();
    assert_eq!(stage.duplicates(), Vec::<String>::new());
    stage.restart();
    assert!(stage.next().is_none());
    stage.rest();
    assert_eq!(stage.engine.usage("p").assigned_v4, 10_000);
}
