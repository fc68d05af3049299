//! Random lives of addresses, judged by what an announcer promises at every moment.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ADDRESSES: u32 = 400;

#[derive(Clone, Debug)]
enum Step {
    /// These addresses, on one link.
    Start(bool, std::ops::Range<u32>),
    Stop(bool, std::ops::Range<u32>),
    Gateways(bool, u8),
    Run(u64),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_budget_is_exceeded_and_no_address_forgotten(
        steps in prop::collection::vec(step(), 1..40), lateness in 0..20u64,
    ) {
        let mut node = Node { lateness: Duration::from_millis(lateness), ..Node::new() };
        // What is announced, since when.
        let mut owned = BTreeMap::new();
        for step in steps {
            let before = node.sent.len();
            match step {
                Step::Start(second, range) => for address in range.map(address) {
                    node.start(link(second), address);
                    owned.insert((link(second), address), node.now - node.begin);
                },
                Step::Stop(second, range) => for address in range.map(address) {
                    node.announcer.stop(link(second), address);
                    owned.remove(&(link(second), address));
                },
                Step::Gateways(second, count) => {
                    let gateways = (0..count).map(|n| Ipv4Addr::new(10, 0, 0, n)).collect();
                    node.announcer.set_link(link(second), gateways);
                }
                Step::Run(milliseconds) => node.run_for(Duration::from_millis(milliseconds)),
            }
            for (_, sent) in &node.sent[before..] {
                prop_assert!(owned.contains_key(&(sent.link, sent.address)), "{sent:?} is nobody's");
            }
        }
        // All bursts at once, and all refreshes after them.
        node.run_for(Duration::from_secs(300));
        for link in [ETH0, ETH1] {
            prop_assert!(node.most_within(SECOND, |sent| sent.link == link) <= 500);
        }
        prop_assert!(node.most_within(SECOND, |sent| sent.kind == Kind::Refresh) <= 20);
        let mut by_address = BTreeMap::<_, Vec<_>>::new();
        for (at, sent) in &node.sent {
            by_address.entry((sent.link, sent.address)).or_default().push((*at, sent.kind));
        }
        for (key, &since) in &owned {
            let sent = by_address.get(key).into_iter().flatten().filter(|(at, _)| *at >= since);
            let kinds: Vec<_> = sent.map(|(_, kind)| *kind).collect();
            let burst = kinds.iter().filter(|kind| **kind != Kind::Refresh).count();
            let whole = if key.1.is_ipv4() { 10 } else { 3 };
            prop_assert!(burst >= whole && kinds.contains(&Kind::Refresh), "{key:?}: {kinds:?}");
        }
        for (link, address) in owned.into_keys() {
            node.announcer.stop(link, address);
        }
        prop_assert_eq!(node.announcer.poll_timeout(), None);
        prop_assert!(node.announcer.waiting().all(|(_, count)| count == 0));
    }
}

fn step() -> impl Strategy<Value = Step> {
    let range =
        || (0..ADDRESSES, 1..ADDRESSES).prop_map(|(first, count)| first..(first + count).min(ADDRESSES));
    prop_oneof![
        3 => (any::<bool>(), range()).prop_map(|(link, range)| Step::Start(link, range)),
        2 => (any::<bool>(), range()).prop_map(|(link, range)| Step::Stop(link, range)),
        1 => (any::<bool>(), 0..4u8).prop_map(|(link, count)| Step::Gateways(link, count)),
        3 => (0..3000u64).prop_map(Step::Run),
        1 => (0..100_000u64).prop_map(Step::Run),
    ]
}

fn link(second: bool) -> LinkId {
    if second { ETH1 } else { ETH0 }
}

/// Of both families.
fn address(n: u32) -> IpAddr {
    if n.is_multiple_of(3) { v6(n) } else { v4(n) }
}
