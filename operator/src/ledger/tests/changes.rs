//! What a Service keeps and gives up when something changes.

use super::script::check;

#[test]
fn a_legal_address_is_kept() {
    for scenario in [
        "pool a 10.0.0.1-10.0.0.9; s -> _; t -> 10.0.0.2; delete s; t -> 10.0.0.2",
        "pool a 10.0.0.5; s -> _; pool a 10.0.0.0/24; s -> 10.0.0.5",
        "pool a 10.0.0.5; s -> _; pool a 10.0.0.5 manual; s -> 10.0.0.5",
        "pool a 10.0.0.5; s -> _; pool a 10.0.0.5 drain; s -> 10.0.0.5; usage a 1 0 0 0",
        "pool a 10.0.0.5; s -> _; pool a 10.0.0.5 unready; s -> 10.0.0.5; usage a 1 0 0 0",
        "pool a 10.0.0.5; s -> _; pool a 10.0.0.4/30 !10.0.0.5; s -> 10.0.0.5; usage a 1 3 0 0",
        "pool a 10.0.0.0; s -> _; pool a 10.0.0.0/24 buggy; s -> 10.0.0.0; usage a 1 254 0 0",
        "pool a 10.0.0.5; s -> _; pool b 10.0.1.1 ns=default prio=1; s -> 10.0.0.5",
        "pool a 10.0.0.5; s -> _; s pool=a -> 10.0.0.5; s ips=10.0.0.5 -> 10.0.0.5",
        "pool a 10.0.0.5; s pool=a -> _; no pool a; pool b 10.0.0.5; s -> 10.0.0.5; wait 30; s -> 10.0.0.5",
        "pool a 10.0.0.5; s -> _; s ips=nonsense -> 10.0.0.5 RequestInvalid; s -> 10.0.0.5 RequestInvalid",
        "pool a 10.0.0.5 nssel=team:red; ns default team:red; s -> _; restart; s -> 10.0.0.5",
    ] {
        check(scenario);
    }
}

#[test]
fn an_address_is_given_up_for_a_reason_only() {
    for scenario in [
        "pool a 10.0.0.0/24; s -> _; s ips=10.0.0.9 -> 10.0.0.9 -10.0.0.0",
        "pool a 10.0.0.0/24; s -> _; t ips=10.0.0.9 -> _; s ips=10.0.0.9 -> AddressInUse -10.0.0.0",
        "pool a 10.0.0.1; pool b 10.0.1.1; s -> _; s pool=b -> 10.0.1.1 -10.0.0.1",
        "pool a 10.0.0.1; pool b 10.0.1.1; s -> _; t pool=b -> _; s pool=b -> PoolExhausted -10.0.0.1",
        "pool a 10.0.0.1; s -> _; pool a 10.0.0.1 ns=red; s -> NoPoolMatches -10.0.0.1",
        "pool a 10.0.0.1; s -> _; pool a 10.0.0.1 svcsel=app:web; s -> NoPoolMatches -10.0.0.1",
        "pool a 10.0.0.1 svcsel=app:web; s app:web -> _; s app:db -> NoPoolMatches -10.0.0.1",
        "pool a 10.0.0.1 nssel=t:r; ns default t:r; s -> _; ns default t:b; s -> NoPoolMatches -10.0.0.1",
        "pool a 10.0.0.1 fd00::1; s require -> _; s v4 -> 10.0.0.1 -fd00::1",
        "pool a 10.0.0.1; pool b 10.0.1.1; s ips=10.0.0.1 -> _; s ips=10.0.0.1 pool=b -> 10.0.0.1 AddressNotInPool",
    ] {
        check(scenario);
    }
}

#[test]
fn outside_every_pool_an_address_is_kept_for_thirty_seconds_after_the_last_change() {
    for scenario in [
        "pool a 10.0.0.1; s -> _; no pool a; s -> 10.0.0.1; wait 29; s -> 10.0.0.1",
        "pool a 10.0.0.1; s -> _; no pool a; wait 30; s -> NoPoolMatches -10.0.0.1",
        "pool a 10.0.0.1; s -> _; no pool a; wait 29; pool b 10.0.1.1; wait 29; s -> 10.0.0.1",
        "pool a 10.0.0.1; s -> _; no pool a; wait 29; pool b 10.0.1.1; wait 30; s -> 10.0.1.1 -10.0.0.1",
        "pool a 10.0.0.1; s -> _; no pool a; wait 29; pool b 10.0.0.1; wait 99; s -> 10.0.0.1; usage b 1 0 0 0",
        "pool a 10.0.0.0/24; s ips=10.0.0.9 -> _; pool a 10.0.0.0/29; s -> 10.0.0.9; wait 30; s -> AddressNotInPool -10.0.0.9",
        "pool a 10.0.0.0/31; s -> _; t -> _; pool a 10.0.0.0; pool b 10.0.0.1; wait 30; t -> 10.0.0.1",
        "pool a 10.0.0.1; s -> _; no pool a; restart; s -> 10.0.0.1; wait 30; s -> NoPoolMatches -10.0.0.1",
        "pool a 10.0.0.1; s pool=a -> _; no pool a; s -> 10.0.0.1; wait 30; s -> NoPoolMatches -10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn a_pool_that_is_not_ready_keeps_its_assignments() {
    for scenario in [
        "pool a 10.0.0.1-10.0.0.9; s -> _; pool a 10.9.0.1 unready; wait 99; s -> 10.0.0.1; usage a 1 0 0 0; restart; wait 99; s -> 10.0.0.1; usage a 1 0 0 0; delete s; usage a 0 0 0 0",
        "pool a 10.0.0.1; s -> _; pool a 10.0.0.0/24 unready; pool b 10.0.0.2; t -> 10.0.0.2; s -> 10.0.0.1; usage b 1 0 0 0",
        "pool a 10.0.0.1; s -> _; pool a unready; delete s; t -> NoPoolMatches; pool a 10.0.0.1; t -> 10.0.0.1",
    ] {
        check(scenario);
    }
}

#[test]
fn a_restart_changes_nothing_and_the_older_service_keeps_a_duplicate() {
    for scenario in [
        "pool a 10.0.0.0/24; s -> _; t -> _; u -> _; delete s; restart; u -> 10.0.0.2; t -> 10.0.0.1; v -> 10.0.0.0",
        "pool a 10.0.0.0/24; s age=1 -> 10.0.0.0; t age=2 -> 10.0.0.1; status t 10.0.0.0; restart; s -> 10.0.0.1 -10.0.0.0; t -> 10.0.0.0",
        "pool a 10.0.0.0/24; s age=1 -> 10.0.0.0; t age=2 -> 10.0.0.1; status t 10.0.0.0; t -> 10.0.0.1 -10.0.0.0",
        "pool a 10.0.0.0/24; s age=1 has=10.0.0.7,10.0.0.8 -> 10.0.0.7 -10.0.0.8",
        "pool a 10.0.0.0/24; s has=192.0.2.1 from=b -> 192.0.2.1; wait 30; s -> 10.0.0.0 -192.0.2.1",
        "pool a 10.0.0.0/24; wait 30; s has=192.0.2.1 from=b -> 10.0.0.0 -192.0.2.1",
        "pool a 10.0.0.0/24; s has=192.0.2.1 -> 10.0.0.0 -192.0.2.1",
        "s has=10.0.0.7 -> NoPoolMatches -10.0.0.7; status s 10.0.0.7; pool a 10.0.0.0/24; s -> 10.0.0.7",
        "pool a 10.0.0.0/24; s has=10.0.0.9 ips=10.0.0.8 -> 10.0.0.8 -10.0.0.9",
        "pool a 10.0.0.0/24 manual; s has=10.0.0.9 -> 10.0.0.9",
        "pool a 10.0.0.0/24 !10.0.0.9; s has=10.0.0.9 -> 10.0.0.9",
        "pool a 10.0.0.0/24 fd00::/64; s prefer has=fd00::7,10.0.0.7 -> 10.0.0.7 fd00::7",
        "pool a 10.0.0.0/24 fd00::/64; s prefer has=fd00::7 -> 10.0.0.0 fd00::7",
        "pool a 10.0.0.0/24; s has=10.0.0.7,fd00::7 -> 10.0.0.7 -fd00::7",
    ] {
        check(scenario);
    }
}
