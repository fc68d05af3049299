//! Addresses of others, and others who write to our Services.

use ferrolb_crds::condition;
use ferrolb_crds::names::ANNOUNCED_CONDITION;

use super::stage::Stage;
use crate::engine::{Engine, Settings};
use crate::verdict::Shown;

#[test]
fn external_ips_of_any_service_are_given_to_nobody() {
    let mut stage = Stage::new("10.0.0.1-10.0.0.2");
    let mut plain = stage.made("plain", "");
    plain.spec.as_mut().unwrap().type_ = Some("ClusterIP".to_owned());
    plain.spec.as_mut().unwrap().external_ips = Some(vec!["10.0.0.1".to_owned(), "nonsense".to_owned()]);
    let plain = stage.store(plain);
    stage.engine.apply_service(&plain, stage.now);
    stage.service("a", "");
    stage.service("b", "");
    stage.settle();
    assert_eq!(
        (stage.status("a"), stage.status("b")),
        ("10.0.0.2 Allocated p".into(), "PoolExhausted".into())
    );
    stage.delete("plain");
    stage.settle();
    assert_eq!(stage.status("b"), "10.0.0.1 Allocated p");
}

#[test]
fn an_address_that_a_service_of_another_class_shows_is_not_given() {
    let mut stage = Stage::new("10.0.0.1-10.0.0.2");
    stage.service("theirs", "");
    stage.settle();
    let mut theirs = stage.cluster["theirs"].clone();
    theirs.spec.as_mut().unwrap().load_balancer_class = Some("example.org/lb".to_owned());
    let theirs = stage.store(theirs);
    stage.engine = Engine::new(Settings::default(), stage.now);
    stage.set_pools(&[("p", "10.0.0.1-10.0.0.2")]);
    stage.engine.apply_service(&theirs, stage.now);
    stage.engine.start();
    stage.service("ours", "");
    stage.settle();
    assert_eq!(stage.status("ours"), "10.0.0.2 Allocated p");
}

#[test]
fn an_address_is_free_only_when_the_service_that_left_shows_it_no_more() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("a", "");
    stage.settle();
    let mut left = stage.cluster["a"].clone();
    left.spec.as_mut().unwrap().type_ = Some("ClusterIP".to_owned());
    let left = stage.store(left);
    stage.engine.apply_service(&left, stage.now);
    let clearing = stage.next().unwrap();
    stage.service("b", "");
    stage.settle();
    assert_eq!(stage.status("b"), "PoolExhausted");
    stage.write(&clearing);
    stage.settle();
    assert_eq!(stage.status("b"), "10.0.0.1 Allocated p");
}

#[test]
fn who_keeps_overwriting_the_status_is_named_and_then_left_alone_for_a_while() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    for _ in 0..2 {
        stage.overwrite("web", "192.0.2.1");
        stage.settle();
        assert_eq!(stage.status("web"), "10.0.0.1 Allocated p");
    }
    stage.overwrite("web", "192.0.2.1");
    stage.settle();
    assert_eq!(stage.status("web"), "192.0.2.1 ForeignController p");
    assert!(stage.message("web").starts_with("servicelb keeps overwriting"), "{}", stage.message("web"));
    stage.service("other", "");
    stage.settle();
    stage.overwrite("web", "192.0.2.2");
    stage.settle();
    assert_eq!(stage.status("other"), "PoolExhausted", "the address is kept for the Service");
    assert_eq!(stage.status("web"), "192.0.2.2 ForeignController p");

    stage.now = stage.engine.poll_timeout().unwrap();
    stage.engine.handle_timeout(stage.now);
    stage.settle();
    assert_eq!(stage.status("web"), "10.0.0.1 Allocated p", "it is tried again");
}

#[test]
fn a_service_that_leaves_keeps_what_its_next_controller_wrote() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "");
    stage.settle();
    let mut theirs = stage.cluster["web"].clone();
    theirs.spec.as_mut().unwrap().load_balancer_class = Some("example.org/lb".to_owned());
    theirs.status = serde_saphyr::from_str("{loadBalancer: {ingress: [{ip: 192.0.2.1}]}}").unwrap();
    let theirs = stage.store(theirs);
    stage.engine.apply_service(&theirs, stage.now);
    stage.settle();
    assert_eq!(stage.status("web"), "192.0.2.1");
}

#[test]
fn an_address_that_a_rival_writes_from_our_pool_is_given_to_nobody() {
    let mut stage = Stage::new("10.0.0.1-10.0.0.3");
    stage.service("web", "");
    stage.settle();
    for _ in 0..3 {
        stage.overwrite("web", "10.0.0.2");
        stage.settle();
    }
    assert_eq!(stage.status("web"), "10.0.0.2 ForeignController p");
    stage.service("other", "");
    stage.settle();
    assert_eq!(stage.status("other"), "10.0.0.3 Allocated p");
}

#[test]
fn a_claim_that_ends_wakes_those_that_could_share_the_address() {
    let mut stage = Stage::new("10.0.0.1");
    stage.service("web", "ferrolb.io/allow-shared-ip: k");
    let mut plain = stage.made("plain", "");
    plain.spec.as_mut().unwrap().type_ = Some("ClusterIP".to_owned());
    plain.spec.as_mut().unwrap().external_ips = Some(vec!["10.0.0.1".to_owned()]);
    stage.settle();
    let plain = stage.store(plain);
    stage.engine.apply_service(&plain, stage.now);
    let mut sharing = stage.made("sharing", "ferrolb.io/allow-shared-ip: k");
    sharing.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 81;
    let sharing = stage.store(sharing);
    stage.engine.apply_service(&sharing, stage.now);
    stage.settle();
    assert_eq!(stage.status("sharing"), "PoolExhausted");
    stage.delete("plain");
    stage.settle();
    assert_eq!(stage.status("sharing"), "10.0.0.1 Allocated p");
}

#[test]
fn services_that_share_an_address_are_told_together_whether_it_is_announced() {
    let mut stage = Stage::new("10.0.0.1");
    let announced = |stage: &Stage| {
        let conditions = Shown::of(&stage.cluster["web"]).conditions;
        condition::find(&conditions, ANNOUNCED_CONDITION).map(|it| it.message.clone()).unwrap_or_default()
    };
    stage.service("web", "ferrolb.io/allow-shared-ip: k");
    stage.settle();
    assert!(announced(&stage).contains("selects this Service"), "{}", announced(&stage));
    let mut sharing = stage.made("sharing", "ferrolb.io/allow-shared-ip: k");
    sharing.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 81;
    let sharing = stage.store(sharing);
    stage.engine.apply_service(&sharing, stage.now);
    stage.settle();
    assert!(announced(&stage).contains("every Service that shares"), "{}", announced(&stage));
    stage.restart();
    assert!(stage.next().is_none(), "another process says the same");
    stage.delete("sharing");
    stage.settle();
    assert!(announced(&stage).contains("selects this Service"), "{}", announced(&stage));
}
