//! Addresses that are kept for a name, and addresses that somebody else has.

use super::script::check;

#[test]
fn the_addresses_of_a_deleted_service_are_kept_for_its_name() {
    for scenario in [
        "pool p 10.0.0.0/24; a -> 10.0.0.0; delete a; b -> 10.0.0.1; a -> 10.0.0.0",
        "pool p 10.0.0.0/24; a -> 10.0.0.0; delete a; b ips=10.0.0.0 -> 10.0.0.0; a -> 10.0.0.1",
        "pool p 10.0.0.0/31; a -> _; delete a; b -> 10.0.0.1; c -> 10.0.0.0; a -> PoolExhausted",
        "pool p 10.0.0.0/24; a -> _; delete a; wait 299; b -> 10.0.0.1; wait 1; c -> 10.0.0.0",
        "pool p 10.0.0.0/24; a ns=red -> 10.0.0.0; delete a; b ns=red -> 10.0.0.1",
        "pool p 10.0.0.0/24; a -> _; delete a; a -> 10.0.0.0; delete a; wait 299; b -> 10.0.0.1",
        "pool p 10.0.0.0/24 fd00::/64; a prefer -> _; delete a; b prefer -> 10.0.0.1 fd00::1; a prefer -> 10.0.0.0 fd00::",
        "pool p 10.0.0.0/24 fd00::/64; a prefer -> _; delete a; b v6 ips=fd00:: -> fd00::; a prefer -> 10.0.0.0 fd00::1",
        "pool p 10.0.0.0/24; a -> _; delete a; pool p 10.0.0.0/25; b -> 10.0.0.1; a -> 10.0.0.0",
        "pool p 10.0.0.0/24; a -> _; delete a; pool p 10.0.0.0/24 drain; pool q 10.0.1.1; a -> 10.0.1.1",
        "pool p 10.0.0.0/24; a -> _; delete a; no pool p; pool q 10.0.1.1; a -> 10.0.1.1",
        "pool p 10.0.0.0/24; a -> _; delete a; restart; b -> 10.0.0.0",
        "pool p 10.0.0.0/24; a -> _; delete a; usage p 0 256 0 0",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; delete a; wait 200; delete b; wait 100; c -> 10.0.0.1; b key=k ports=81 -> 10.0.0.0",
        "policy hold=0; pool p 10.0.0.0/24; a -> _; delete a; b -> 10.0.0.0",
        "policy hold=10; pool p 10.0.0.0/24; a -> _; delete a; b -> 10.0.0.1; wait 10; c -> 10.0.0.0",
        "pool p 10.0.0.0/24; a key=k ips=10.0.0.9 -> _; delete a; b key=k ports=81 -> 10.0.0.0; a key=k -> 10.0.0.9",
        "pool p 10.0.0.0/24; a key=k -> _; b key=k ports=81 -> _; delete b; c -> 10.0.0.1; b key=k ports=82 -> 10.0.0.0",
    ] {
        check(scenario);
    }
}

#[test]
fn an_address_that_somebody_else_has_is_not_given() {
    for scenario in [
        "claim x 10.0.0.0; pool p 10.0.0.0/24; a -> 10.0.0.1; usage p 1 254 0 0",
        "pool p 10.0.0.0/24; claim x 10.0.0.0,10.0.0.1; a -> 10.0.0.2",
        "pool p 10.0.0.1; claim x 10.0.0.1; a -> PoolExhausted; claim x; a -> 10.0.0.1",
        "pool p 10.0.0.1; claim x 10.0.0.1; a ips=10.0.0.1 -> AddressInUse",
        "pool p 10.0.0.1; claim a 10.0.0.1; a ips=10.0.0.1 -> AddressInUse",
        "pool p 10.0.0.1; a -> _; claim x 10.0.0.1; a -> 10.0.0.1; usage p 1 0 0 0; delete a; b -> PoolExhausted",
        "pool p 10.0.0.1; a -> _; claim x 10.0.0.1; restart; a -> 10.0.0.1",
        "pool p 10.0.0.1; claim x 10.0.0.1; claim y 10.0.0.1; claim x; a -> PoolExhausted; claim y; a -> 10.0.0.1",
        "pool p 10.0.0.0/24; a key=k ips=10.0.0.5 -> _; claim x 10.0.0.5; b key=k ports=81 -> 10.0.0.0",
        "pool p 10.0.0.0/24; a -> 10.0.0.0; delete a; claim x 10.0.0.0; a -> 10.0.0.1",
        "pool p fd00::/126; claim x fd00::,fd00::1; a v6 -> fd00::2; usage p 0 0 1 1",
    ] {
        check(scenario);
    }
}

#[test]
fn of_two_services_of_different_classes_the_older_keeps_the_address() {
    for scenario in [
        "class x age=1 10.0.0.0; pool p 10.0.0.0/24; a -> 10.0.0.1",
        "class x age=1 10.0.0.0; pool p 10.0.0.0/24; usage p 1 255 0 0; a -> _; usage p 2 254 0 0; class x age=1; usage p 1 255 0 0",
        "pool p 10.0.0.0/24; a -> 10.0.0.0; class x age=1 10.0.0.5; claim x 10.0.0.5; usage p 1 254 0 0",
        "pool p 10.0.0.0/24; a age=5 -> 10.0.0.0; class x age=1 10.0.0.0; usage p 1 255 0 0; delete a; usage p 1 255 0 0; class x age=1; usage p 0 256 0 0",
        "pool p 10.0.0.0/24; a age=5 -> 10.0.0.0; class x age=1 10.0.0.0; a -> 10.0.0.0",
        "pool p 10.0.0.0/24; a age=5 -> 10.0.0.0; class x age=9 10.0.0.0; a -> 10.0.0.1 -10.0.0.0",
        "pool p 10.0.0.0/24; class x age=9 10.0.0.0; a age=5 has=10.0.0.0 -> 10.0.0.1 -10.0.0.0",
        "pool p 10.0.0.0/24; class x age=1 10.0.0.0; a age=5 has=10.0.0.0 -> 10.0.0.0",
        "pool p 10.0.0.1; class x age=9 10.0.0.1; a ips=10.0.0.1 -> AddressInUse; class x age=9; a -> 10.0.0.1",
    ] {
        check(scenario);
    }
}
