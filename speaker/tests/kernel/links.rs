//! Links by netlink.

use ferrolb_speaker::link::{Link, Links};
use ferrolb_speaker::net::LinkWatch;
use ferrolb_speaker::net::exclusion::DEFAULT_PATTERNS;
use tokio::time::timeout;

use crate::segment::{OUR_MAC, PATIENCE, Segment, ip, ip_batch, runtime};

pub(crate) fn links_are_told_as_they_change() {
    runtime().block_on(async {
        let mut watch = LinkWatch::open(DEFAULT_PATTERNS.parse().unwrap()).unwrap();
        assert_eq!(watch.changed().await.unwrap(), Links::new());

        let _segment = Segment::new();
        let link = until(&mut watch, |link| link.is_some_and(|link| link.up)).await.unwrap();
        assert_eq!((link.name.as_str(), link.mac, link.router), ("lan0", OUR_MAC, false));

        ip("address add 192.168.1.11/24 dev lan0");
        until(&mut watch, |link| link.is_some_and(|link| link.ipv4().any(|a| a.octets()[3] == 11))).await;
        until(&mut watch, |link| link.is_some_and(|link| link.link_local().is_some())).await;

        let has = |link: Option<&Link>, gateways: &[&str]| {
            let texts = link.map(|link| link.gateways.iter().map(ToString::to_string).collect::<Vec<_>>());
            texts.is_some_and(|texts| texts == gateways)
        };
        ip("route add default via 192.168.1.1");
        until(&mut watch, |link| has(link, &["192.168.1.1"])).await;
        ip("route replace default via 192.168.1.2");
        until(&mut watch, |link| has(link, &["192.168.1.2"])).await;
        ip("address delete 192.168.1.11/24 dev lan0");
        until(&mut watch, |link| has(link, &[])).await;

        std::fs::write("/proc/sys/net/ipv6/conf/lan0/forwarding", "1").unwrap();
        until(&mut watch, |link| link.is_some_and(|link| link.router)).await;

        ip("link set lan0 address 02:00:00:00:00:02");
        until(&mut watch, |link| link.is_some_and(|link| link.mac.0[5] == 2)).await;

        ip("link set lan0 down");
        until(&mut watch, |link| link.is_some_and(|link| !link.up)).await;
        ip("link set lan0 name lan1");
        until(&mut watch, |link| link.is_some_and(|link| link.name == "lan1")).await;
        ip("link set lan1 name lan0");

        ip("link add br0 type bridge");
        ip("link set lan0 master br0");
        until_none(&mut watch, "lan0").await;
        ip("link set lan0 nomaster");
        until(&mut watch, |link| link.is_some_and(|link| link.name == "lan0")).await;
        ip("link delete br0");

        ip("link delete lan0");
        until(&mut watch, |link| link.is_none()).await;
    });
}

pub(crate) fn what_changed_unseen_is_told_when_the_kernel_had_no_room_for_it() {
    /// A multiple of what a socket's queue has room for.
    const CHANGES: u32 = 1_000;
    let _segment = Segment::new();
    runtime().block_on(async {
        let mut watch = LinkWatch::open(DEFAULT_PATTERNS.parse().unwrap()).unwrap();
        until(&mut watch, |link| link.is_some_and(|link| link.up)).await;
        let changes = (0..CHANGES).map(|number| format!("link set lan0 mtu {}\n", 1400 + number % 100));
        ip_batch(&changes.collect::<String>());
        ip("link set lan0 address 02:00:00:00:00:02");
        until(&mut watch, |link| link.is_some_and(|link| link.mac.0[5] == 2)).await;
        ip("link set lan0 address 02:00:00:00:00:03");
        until(&mut watch, |link| link.is_some_and(|link| link.mac.0[5] == 3)).await;
    });
}

pub(crate) fn excluded_interfaces_are_not_told() {
    let _segment = Segment::new();
    ip("link add docker0 type bridge");
    ip("link add child0 link lan0 type macvlan");
    ip("link set lo up");
    runtime().block_on(async {
        let mut watch = LinkWatch::open(DEFAULT_PATTERNS.parse().unwrap()).unwrap();
        let links = watch.changed().await.unwrap();
        assert_eq!(links.values().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["lan0"]);

        let mut watch = LinkWatch::open("lan*".parse().unwrap()).unwrap();
        let links = watch.changed().await.unwrap();
        assert_eq!(links.values().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["docker0"]);
    });
    ip("link delete docker0");
}

/// Waits until the first link is as wanted.
async fn until(watch: &mut LinkWatch, wanted: impl Fn(Option<&Link>) -> bool) -> Option<Link> {
    let changed = async {
        loop {
            let links = watch.changed().await.unwrap();
            if wanted(links.values().next()) {
                return links.into_values().next();
            }
        }
    };
    timeout(PATIENCE, changed).await.expect("the link never was as wanted")
}

async fn until_none(watch: &mut LinkWatch, name: &str) {
    let gone = async { while watch.changed().await.unwrap().values().any(|link| link.name == name) {} };
    timeout(PATIENCE, gone).await.expect("the link never went");
}
