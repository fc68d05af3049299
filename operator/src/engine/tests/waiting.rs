//! Whose turn it is when something becomes free.

use super::stage::Stage;

#[test]
fn an_address_that_becomes_free_wakes_one_after_the_other_until_it_is_taken() {
    let mut stage = Stage::new("10.0.0.1");
    for name in ["a", "b", "c", "d"] {
        stage.service(name, "");
        stage.settle();
    }
    stage.service("c", "ferrolb.io/address-pool: p");
    stage.settle();
    stage.delete("a");
    let update = stage.next().unwrap();
    assert_eq!((&*update.service.name, stage.write(&update)), ("b", "10.0.0.1".to_owned()));
    assert_eq!(stage.next(), None, "the others still wait, and are not decided on");
    // The next in turn is held back by a failed write: the one after it takes its turn.
    stage.service("c", "ferrolb.io/address-pool: unknown");
    let failed = stage.next().unwrap();
    stage.service("c", "ferrolb.io/address-pool: p");
    stage.engine.failed(&failed, stage.now);
    stage.delete("b");
    stage.settle();
    assert_eq!(stage.status("d"), "10.0.0.1 Allocated p");
}

#[test]
fn who_waits_for_an_address_gets_it_when_it_is_shared_or_free() {
    let mut stage = Stage::new("10.0.0.1-10.0.0.9");
    stage.service("a", "ferrolb.io/loadBalancerIPs: 10.0.0.5");
    stage.settle();
    for name in ["b", "c"] {
        let asks = format!("ferrolb.io/loadBalancerIPs: 10.0.0.5, ferrolb.io/allow-shared-ip: {name}");
        stage.service(name, &asks);
        stage.settle();
        assert_eq!(stage.status(name), "AddressInUse");
    }
    stage.delete("a");
    stage.settle();
    assert_eq!(stage.status("b"), "10.0.0.5 Allocated p");
    assert_eq!(stage.status("c"), "AddressInUse");
    let mut other_port =
        stage.made("b", "ferrolb.io/loadBalancerIPs: 10.0.0.5, ferrolb.io/allow-shared-ip: c");
    other_port.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 81;
    let other_port = stage.store(other_port);
    stage.engine.apply_service(&other_port, stage.now);
    stage.settle();
    assert_eq!(stage.status("b"), "10.0.0.5 Allocated p");
    assert_eq!(stage.status("c"), "10.0.0.5 Allocated p", "they share it");
}
