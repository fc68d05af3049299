//! The driver, as another host's kernel sees it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::segment::{OUR_MAC, PATIENCE, Segment, ip, route_by_peer};
use crate::speaker::Speaker;

pub(crate) const VIP: &str = "192.168.1.240";
pub(crate) const VIP6: &str = "fd00::240";

pub(crate) fn another_host_resolves_owned_addresses() {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    speaker.desire(&addresses(&[VIP, VIP6]));
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_asks_for(address), names_us);
    }
    let group = ip("-6 maddress show dev lan0");
    assert!(group.contains("ff02::1:ff00:240"), "{group}");
}

pub(crate) fn other_and_withdrawn_addresses_are_silent() {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    speaker.desire(&addresses(&[VIP, VIP6]));
    for (address, other) in [(VIP, "192.168.1.241"), (VIP6, "fd00::241")] {
        // Whoever answers for the one would have answered for the other, which is asked for before.
        segment.peer_asks_for(other);
        eventually(|| segment.peer_asks_for(address), names_us);
        let entry = segment.peer_entry(other);
        assert!(!entry.contains("lladdr"), "{entry}");
    }
    speaker.desire(&[]);
    speaker.await_settled();
    let groups = ip("-6 maddress show dev lan0");
    assert!(!groups.contains("ff02::1:ff00:240"), "{groups}");
    for address in [VIP, VIP6] {
        segment.peer_ip(&format!("neighbor delete {address} dev eth0"));
        segment.peer_asks_for(address);
    }
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_entry(address), |entry| entry.contains("FAILED"));
    }
}

pub(crate) fn a_neighbor_follows_the_announcement_at_once() {
    let segment = Segment::new();
    for address in [VIP, VIP6] {
        segment.peer_ip(&format!("neighbor add {address} lladdr 02:00:00:00:00:99 dev eth0 nud stale"));
    }
    let mut speaker = Speaker::start();
    speaker.desire(&addresses(&[VIP, VIP6]));
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_entry(address), names_us);
    }
}

pub(crate) fn an_interface_that_disappears_and_comes_again() {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    speaker.desire(&addresses(&[VIP, VIP6]));
    eventually(|| segment.peer_asks_for(VIP), names_us);
    ip("link delete lan0");
    segment.plug_in();
    route_by_peer("lan0");
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_asks_for(address), names_us);
    }
    drop(segment);
    assert!(speaker.is_running());
}

pub(crate) fn an_interface_that_gets_ipv6_late_joins_the_groups_then() {
    let segment = Segment::new();
    ip("link set lan0 mtu 1000");
    let mut speaker = Speaker::start();
    speaker.desire(&addresses(&[VIP, VIP6]));
    // Groups are joined before anything is answered: it has been tried by now.
    eventually(|| segment.peer_asks_for(VIP), names_us);
    ip("link set lan0 mtu 1500");
    eventually(|| ip("-6 maddress show dev lan0"), |groups| groups.contains("ff02::1:ff00:240"));
}

pub(crate) fn an_interface_that_is_without_ipv6_for_a_while_joins_the_groups_again() {
    let segment = Segment::new();
    let mut speaker = Speaker::start();
    speaker.desire(&addresses(&[VIP, VIP6]));
    let link_local = || ip("-6 address show dev lan0 scope link -tentative");
    eventually(link_local, |addresses| addresses.contains("fe80::"));
    eventually(|| segment.peer_asks_for(VIP6), names_us);
    let groups = || ip("-6 maddress show dev lan0");
    ip("link set lan0 mtu 1000");
    assert!(!groups().contains("ff02::1:ff00:240"), "the kernel forgot it");
    ip("link set lan0 mtu 1500");
    eventually(groups, |groups| groups.contains("ff02::1:ff00:240"));
    segment.peer_ip("neighbor flush dev eth0");
    eventually(|| segment.peer_asks_for(VIP6), names_us);
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn names_us(entry: &str) -> bool {
    entry.contains(&OUR_MAC.to_string())
}

#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
pub(crate) fn eventually(mut ask: impl FnMut() -> String, wanted: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let answer = ask();
        if wanted(&answer) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "never as wanted: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
