//! Services that share an address.

use super::script::check;

#[test]
fn services_with_one_key_and_different_ports_share_an_address() {
    for scenario in [
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b key=k ports=81 -> 10.0.0.0; usage p 1 255 0 0",
        "pool p 10.0.0.0/24; a key=k ports=53/TCP -> 10.0.0.0; b key=k ports=53/UDP -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k ports=53/UDP -> 10.0.0.0; b key=k ports=53/SCTP -> 10.0.0.0",
        "pool p 10.0.0.1; a key=k ips=10.0.0.1 -> _; b key=k ports=81 ips=10.0.0.1 -> 10.0.0.1",
        "pool p 10.0.0.1; a key=k pool=p -> _; b key=k ports=81 pool=p -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b key=k ports=81 ips=10.0.0.9 -> 10.0.0.9",
        "pool p 10.0.0.0/24; a key=k ns=red -> 10.0.0.0; b key=k ports=81 ns=blue -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k local=web -> 10.0.0.0; b key=k ports=81 local=web -> 10.0.0.0",
        "pool p 10.0.0.0/24 fd00::/64; a key=k prefer -> _; b key=k ports=81 prefer -> 10.0.0.0 fd00::",
        "pool p 10.0.0.0/24 fd00::/64; a key=k prefer -> _; b key=k ports=81 v6 -> fd00::; usage p 1 255 1 9007199254740991",
        "pool p 10.0.0.0/24; a key=k ports=1,2,3 -> 10.0.0.0; b key=k ports=4,5 -> 10.0.0.0; c key=k ports=6 -> 10.0.0.0",
        "pool p 10.0.0.1; a key=k -> _; b key=k ports=81 -> _; delete a; b -> 10.0.0.1; usage p 1 0 0 0; delete b; usage p 0 1 0 0",
        "pool p 10.0.0.1; a key=k -> _; b key=k ports=81 -> _; delete a; c key=k -> 10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn what_bars_sharing_gives_another_address_or_a_refusal() {
    for scenario in [
        "pool p 10.0.0.0/24; a -> 10.0.0.0; b ports=81 -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b key=k -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b key=l ports=81 -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b ports=81 -> 10.0.0.1",
        "pool p 10.0.0.0/24; a -> 10.0.0.0; b key=k ports=81 -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b key=k ports=81 local=web -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k local=web -> 10.0.0.0; b key=k ports=81 local=db -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k ports=1,2,3 -> 10.0.0.0; b key=k ports=4,3 -> 10.0.0.1",
        "pool p 10.0.0.1; a key=k -> _; b key=k ips=10.0.0.1 -> AddressInUse",
        "pool p 10.0.0.1; a key=k -> _; b key=l ports=81 ips=10.0.0.1 -> AddressInUse",
        "pool p 10.0.0.1; a -> _; b ports=81 ips=10.0.0.1 -> AddressInUse",
        "pool p 10.0.0.1; a key=k local=web -> _; b key=k ports=81 ips=10.0.0.1 -> AddressInUse",
        "pool p 10.0.0.1; a key=k -> _; b key=k -> PoolExhausted",
        "policy apart; pool p 10.0.0.0/24; a key=k ns=red -> 10.0.0.0; b key=k ports=81 ns=blue -> 10.0.0.1",
        "policy apart; pool p 10.0.0.0/24; a key=k ns=red -> 10.0.0.0; b key=k ports=81 ns=red -> 10.0.0.0",
        "policy apart; pool p 10.0.0.1; a key=k ns=red -> _; b key=k ports=81 ns=blue ips=10.0.0.1 -> AddressInUse",
    ] {
        check(scenario);
    }
}

#[test]
fn an_automatic_request_joins_where_its_ports_and_pools_allow() {
    for scenario in [
        "pool p 10.0.0.0/24; a key=k -> 10.0.0.0; b key=k -> 10.0.0.1; c key=k ports=81 -> 10.0.0.0; d key=k ports=81 -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k ips=10.0.0.9 -> _; b key=k ports=81 -> 10.0.0.9",
        "pool a 10.0.0.1 manual; pool b 10.0.1.1; s key=k pool=a -> 10.0.0.1; t key=k ports=81 -> 10.0.1.1",
        "pool a 10.0.0.1; s key=k -> _; pool a 10.0.0.1 drain; pool b 10.0.1.1; t key=k ports=81 -> 10.0.1.1",
        "pool a 10.0.0.1 ns=red; pool b 10.0.1.1; s key=k ns=red -> 10.0.0.1; t key=k ports=81 -> 10.0.1.1",
        "pool a 10.0.0.0/30; s key=k -> _; pool a 10.0.0.0/30 !10.0.0.0; t key=k ports=81 -> 10.0.0.1; s -> 10.0.0.0",
        "pool b 10.0.1.0/24; s key=k -> 10.0.1.0; pool a 10.0.0.0/24; t key=k ports=81 -> 10.0.1.0; u -> 10.0.0.0",
        "pool a 10.0.0.1; pool b 10.0.1.1; s key=k pool=b -> 10.0.1.1; t key=k pool=a ports=81 -> 10.0.0.1; u key=k ports=82 -> 10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn a_service_that_stops_fitting_its_set_gives_the_address_up_and_the_others_keep_it() {
    for scenario in [
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; b key=k ports=80 -> 10.0.0.1 -10.0.0.0; a -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; b key=l ports=81 -> 10.0.0.1 -10.0.0.0; a -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; b ports=81 -> 10.0.0.1 -10.0.0.0",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; a key=k local=web -> 10.0.0.1 -10.0.0.0",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; b key=k ports=82 -> 10.0.0.0; c key=k ports=81 -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k -> _; a -> 10.0.0.0; b ports=81 ips=10.0.0.0 key=k -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k -> _; a ports=80 -> 10.0.0.0; b ports=81 key=k -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; b key=k ports=81 ips=10.0.0.9 -> 10.0.0.9 -10.0.0.0; a -> 10.0.0.0",
        "pool p 10.0.0.1; a key=k -> _; b key=k ports=81 -> _; b key=k ports=80 ips=10.0.0.1 -> AddressInUse -10.0.0.1; a -> 10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn a_restart_keeps_sharing_sets_and_the_oldest_keeps_what_cannot_be_shared() {
    for scenario in [
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; restart; b -> 10.0.0.0; a -> 10.0.0.0; usage p 1 255 0 0",
        "pool p 10.0.0.0/24; a age=1 has=10.0.0.5 -> _; b age=2 has=10.0.0.6 -> _; status a 10.0.0.6; restart; b -> 10.0.0.6; a -> 10.0.0.0 -10.0.0.6",
        "pool p 10.0.0.0/24; a key=k age=9 -> 10.0.0.0; b key=k age=1 -> 10.0.0.1; status b 10.0.0.0; restart; a -> 10.0.0.0; b -> 10.0.0.1 -10.0.0.0",
        "pool p 10.0.0.0/24 fd00::/64; a key=k prefer -> _; b key=k ports=81 prefer -> _; restart; a -> 10.0.0.0 fd00::; b -> 10.0.0.0 fd00::",
    ] {
        check(scenario);
    }
}
