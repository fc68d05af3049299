//! What a Service is given, and why not.

use super::script::check;

#[test]
fn the_lowest_free_address_is_given() {
    for scenario in [
        "pool p 192.168.1.240-192.168.1.250; a -> 192.168.1.240; b -> 192.168.1.241",
        "pool p 10.0.0.0/30; a -> 10.0.0.0; b -> 10.0.0.1; c -> 10.0.0.2; d -> 10.0.0.3; e -> PoolExhausted",
        "pool p 10.0.0.9 10.0.0.1; a -> 10.0.0.1; b -> 10.0.0.9",
        "pool p 10.0.0.1-10.0.0.3; a -> _; b -> _; c -> _; delete b; d -> 10.0.0.2",
        "pool p fd00::/64; a v6 -> fd00::; b v6 -> fd00::1; usage p 0 0 2 9007199254740991",
        "pool p 10.0.0.0/24 buggy; a -> 10.0.0.1; usage p 1 253 0 0",
        "pool p 10.0.0.255-10.0.1.1 buggy; a -> 10.0.1.1; b -> PoolExhausted",
        "pool p 10.0.0.255 buggy; a -> NoPoolMatches",
        "pool p 10.0.0.0/30 !10.0.0.0-10.0.0.1; a -> 10.0.0.2; b -> 10.0.0.3; c -> PoolExhausted",
        "pool p 10.0.0.1-10.0.0.2; a ips=10.0.0.1 -> 10.0.0.1; b -> 10.0.0.2",
        "a -> NoPoolMatches",
        "pool p fd00::/64; a -> NoPoolMatches",
        "pool p 10.0.0.1; a -> 10.0.0.1; a -> 10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn pools_are_tried_in_order() {
    for scenario in [
        "pool b 10.0.1.1; pool a 10.0.0.1; s -> 10.0.0.1; t -> 10.0.1.1; u -> PoolExhausted",
        "pool a 10.0.0.1; pool z 10.9.0.1 ns=default; s -> 10.9.0.1; t -> 10.0.0.1",
        "pool a 10.0.0.1 ns=default prio=20; pool b 10.0.1.1 ns=default prio=10; s -> 10.0.1.1",
        "pool a 10.0.0.1 ns=default; pool b 10.0.1.1 ns=default prio=99; s -> 10.0.1.1",
        "pool a 10.0.0.1; pool b 10.0.1.1 prio=1; s -> 10.0.0.1",
        "pool a 10.0.0.1 ns=default prio=5; pool b 10.0.1.1 ns=default prio=5; s -> 10.0.0.1",
        "pool a 10.0.0.1 manual; pool b 10.0.1.1; s -> 10.0.1.1; t -> PoolExhausted",
        "pool a 10.0.0.1 manual; s -> NoPoolMatches",
        "pool a 10.0.0.1 drain; pool b 10.0.1.1; s -> 10.0.1.1",
        "pool a 10.0.0.1 drain; s -> NoPoolMatches; usage a 0 0 0 0",
        "pool a 10.0.0.1 unready; s -> NoPoolMatches; usage a 0 0 0 0",
        "pool a fd00::1; pool b 10.0.0.1; s -> 10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn a_pool_serves_only_the_services_that_it_is_for() {
    for scenario in [
        "pool a 10.0.0.1 ns=red,blue; s ns=blue -> 10.0.0.1",
        "pool a 10.0.0.1 ns=red; s -> NoPoolMatches",
        "pool a 10.0.0.1 nssel=team:red; ns default team:red; s -> 10.0.0.1",
        "pool a 10.0.0.1 nssel=team:red; ns default team:blue; s -> NoPoolMatches",
        "pool a 10.0.0.1 nssel=team:red; s -> NoPoolMatches; ns default team:red; s -> 10.0.0.1",
        "pool a 10.0.0.1 ns=default nssel=team:red; ns default team:blue; s -> 10.0.0.1",
        "pool a 10.0.0.1 svcsel=app:web; s app:web -> 10.0.0.1",
        "pool a 10.0.0.1 svcsel=app:web; s app:db -> NoPoolMatches",
        "pool a 10.0.0.1 svcsel=app:web svcsel=app:db; s app:db -> 10.0.0.1",
        "pool a 10.0.0.1 ns=red svcsel=app:web; s app:web -> NoPoolMatches; t ns=red -> NoPoolMatches",
        "pool a 10.0.0.1 ns=red svcsel=app:web; s ns=red app:web -> 10.0.0.1",
        "pool a 10.0.0.1 svcsel=app:web; s pool=a -> NoPoolMatches",
        "pool a 10.0.0.1 svcsel=app:web; s ips=10.0.0.1 -> NoPoolMatches",
    ] {
        check(scenario);
    }
}

#[test]
fn an_explicit_request_gets_what_it_names_or_nothing() {
    for scenario in [
        "pool a 10.0.0.0/24; s ips=10.0.0.7 -> 10.0.0.7; t ips=10.0.0.7 -> AddressInUse; delete s; t -> 10.0.0.7",
        "pool a 10.0.0.0/24; s ips=10.0.1.7 -> AddressNotInPool",
        "pool a 10.0.0.0/24 !10.0.0.7; s ips=10.0.0.7 -> AddressNotInPool",
        "pool a 10.0.0.0/24 buggy; s ips=10.0.0.255 -> AddressNotInPool",
        "pool a 10.0.0.0/24 manual; s ips=10.0.0.7 -> 10.0.0.7",
        "pool a 10.0.0.0/24 drain; s ips=10.0.0.7 -> NoPoolMatches",
        "pool a 10.0.0.0/24 unready; s ips=10.0.0.7 -> NoPoolMatches",
        "pool a 10.0.0.0/24 manual; s pool=a -> 10.0.0.0",
        "pool a 10.0.0.0/24; s pool=b -> NoPoolMatches; pool b 10.0.1.0/24; s -> 10.0.1.0",
        "pool a 10.0.0.1; pool b 10.0.1.1; s pool=b -> 10.0.1.1; t pool=b -> PoolExhausted",
        "pool a 10.0.0.1 drain; pool b 10.0.1.1; s pool=a -> NoPoolMatches",
        "pool a 10.0.0.0/24; pool b 10.0.1.0/24; s ips=10.0.0.1 pool=b -> AddressNotInPool",
        "pool a 10.0.0.0/24; pool b 10.0.1.0/24; s ips=10.0.1.1 pool=b -> 10.0.1.1",
        "pool a 10.0.0.0/24; s ips=10.0.0.1 pool=b -> NoPoolMatches",
        "pool a 10.0.0.0/24; s ips=10.0.0.1 pool=a -> 10.0.0.1; no pool a; pool b 10.0.0.0/24; s -> 10.0.0.1",
        "pool a 10.0.0.0/24; s ips=10.0.0.1,10.0.0.2 -> RequestInvalid",
        "pool a 10.0.0.0/24 fd00::/64; s prefer ips=10.0.0.1 -> FamilyMismatch",
        "pool a 10.0.0.0/24 fd00::/64; s prefer ips=fd00::5,10.0.0.5 -> 10.0.0.5 fd00::5",
        "pool a 10.0.0.0/24 fd00::/64; t v6 ips=fd00::5 -> _; s prefer ips=fd00::5,10.0.0.5 -> AddressInUse",
        "pool a 10.0.0.0/24; pool b fd00::/64; s require ips=fd00::5,10.0.0.5 -> 10.0.0.5 fd00::5",
    ] {
        check(scenario);
    }
}

#[test]
fn dual_stack_prefers_one_pool_with_both_families() {
    for scenario in [
        "pool a 10.0.0.1 fd00::1; s require -> 10.0.0.1 fd00::1; t require -> PoolExhausted",
        "pool a 10.0.0.1; pool b 10.0.1.1 fd00::1; s require -> 10.0.1.1 fd00::1",
        "pool a 10.0.0.1 ns=default prio=1; pool b 10.0.1.1 fd00::1; s prefer -> 10.0.1.1 fd00::1",
        "pool a 10.0.0.1; pool b fd00::1; s require -> 10.0.0.1 fd00::1",
        "pool a 10.0.0.1; s require -> NoPoolMatches; usage a 0 1 0 0",
        "pool a 10.0.0.1 fd00::1; t v6 -> fd00::1; s require -> PoolExhausted; usage a 0 1 1 0",
        "pool a 10.0.0.1; s prefer -> 10.0.0.1; pool b fd00::1; s -> 10.0.0.1 fd00::1",
        "pool a fd00::1; s prefer -> fd00::1; pool b 10.0.0.1; s -> 10.0.0.1 fd00::1",
        "pool a 10.0.0.1 fd00::1; t v6 -> _; s prefer -> 10.0.0.1; delete t; s -> 10.0.0.1 fd00::1",
        "pool b 10.0.0.1; s prefer -> 10.0.0.1; pool a fd00::1; pool b 10.0.0.1 fd00::2; s -> 10.0.0.1 fd00::2",
        "s prefer -> NoPoolMatches; s require -> NoPoolMatches",
        "pool a 10.0.0.1 fd00::1; s v4 -> 10.0.0.1; s require -> 10.0.0.1 fd00::1; s v6 -> fd00::1 -10.0.0.1",
        "pool a 10.0.0.1; s v4 -> 10.0.0.1; s require -> 10.0.0.1 NoPoolMatches",
        "pool a 10.0.0.1 fd00::1; s pool=a require -> 10.0.0.1 fd00::1",
        "pool a 10.0.0.1; pool b fd00::1; s pool=a require -> NoPoolMatches; s pool=a prefer -> 10.0.0.1",
    ] {
        check(scenario);
    }
}
