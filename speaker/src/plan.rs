//! What this node is to announce, from the facts about the whole cluster.
//!
//! Every speaker computes the same order of candidates from the same objects. An address that several Services share
//! is announced by one node: the first Service by name gives the order, and candidates that another one excludes
//! drop out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::L2AdvertisementSpec;
use ferrolb_placement::{
    Endpoints, Exclusion, InterfaceFilter, NodeFacts, Placement, PoolFacts, ServiceFacts, place,
};

use crate::ownership::{Desired, DesiredAddress, ServiceName, Standing};

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// This node.
    pub node: &'a str,
    /// The Services of our class that have addresses.
    pub services: &'a BTreeMap<ServiceName, ServiceFacts>,
    /// Their endpoints; one that is missing has none.
    pub endpoints: &'a BTreeMap<ServiceName, Endpoints>,
    /// All nodes.
    pub nodes: &'a [NodeFacts],
    /// All pools.
    pub pools: &'a [PoolFacts],
    /// All advertisements.
    pub advertisements: &'a [L2AdvertisementSpec],
}

/// Decides for all addresses.
pub fn plan(facts: &Facts<'_>) -> Desired {
    let mut sharing: BTreeMap<IpAddr, Vec<&ServiceName>> = BTreeMap::new();
    for (name, service) in facts.services {
        for &address in &service.addresses {
            sharing.entry(address).or_default().push(name);
        }
    }
    let placements: BTreeMap<&ServiceName, Placement> = facts
        .services
        .iter()
        .filter_map(|(name, service)| {
            let none = Endpoints::default();
            let endpoints = facts.endpoints.get(name).unwrap_or(&none);
            let placement = place(service, endpoints, facts.nodes, facts.pools, facts.advertisements);
            placement.ok().map(|placement| (name, placement))
        })
        .collect();
    sharing
        .into_iter()
        .filter_map(|(address, names)| {
            // An advertisement has to select all Services of a sharing set.
            let placements: Option<Vec<&Placement>> = names.iter().map(|name| placements.get(name)).collect();
            let (standing, interfaces) = stand(facts.node, &placements?)?;
            let services = names.into_iter().cloned().collect::<Arc<[_]>>();
            Some((address, DesiredAddress { services, interfaces, standing }))
        })
        .collect()
}

/// This node's place, and the interfaces on which it may announce.
fn stand(node: &str, placements: &[&Placement]) -> Option<(Standing, InterfaceFilter)> {
    let (first, others) = placements.split_first()?;
    let mut candidates = first.candidates.iter().filter(|candidate| {
        others.iter().all(|other| other.candidates.iter().any(|also| also.node == candidate.node))
    });
    let best = candidates.next();
    let own = best.into_iter().chain(candidates).find(|candidate| candidate.node == node);
    let Some(own) = own else {
        let reason = placements.iter().find_map(|placement| placement.excluded.get(node));
        let reason = reason.copied().unwrap_or(Exclusion::NotSelected);
        return Some((Standing::Excluded { reason }, InterfaceFilter::Matching([].into())));
    };
    let standing = match best {
        Some(best) if best.node != node => Standing::Behind { first: best.node.as_str().into() },
        _ => Standing::First,
    };
    Some((standing, own.interfaces.clone()))
}

#[cfg(test)]
mod tests {
    use ferrolb_crds::AddressRange;
    use ferrolb_placement::{Speaker, rendezvous};

    use super::*;

    const VIP: &str = "192.168.1.240";

    #[test]
    fn exactly_one_node_is_first_and_the_others_know_it() {
        let mut cluster = Cluster::new();
        cluster.service("web", &[VIP]);
        let best = best(&cluster.node_names(), VIP);
        for node in cluster.node_names() {
            let expected =
                if node == best { Standing::First } else { Standing::Behind { first: best.as_str().into() } };
            assert_eq!(cluster.plan(&node)[&address(VIP)].standing, expected, "{node}");
        }
    }

    #[test]
    fn both_addresses_of_a_service_stay_together() {
        let mut cluster = Cluster::new();
        for n in 0..20 {
            cluster.service(&format!("web-{n}"), &[&format!("192.168.1.{n}"), &format!("fd00::{n}")]);
        }
        for node in cluster.node_names() {
            let desired = cluster.plan(&node);
            for n in 0..20 {
                let standing = |text: String| &desired[&address(&text)].standing;
                assert_eq!(standing(format!("192.168.1.{n}")), standing(format!("fd00::{n}")), "{node}");
            }
        }
    }

    #[test]
    fn a_node_without_a_live_lease_is_passed_over() {
        let mut cluster = Cluster::new();
        cluster.service("web", &[VIP]);
        let best = best(&cluster.node_names(), VIP);
        for node in &mut cluster.nodes {
            if node.name == best {
                node.speaker = Speaker::Absent;
            }
        }
        let left: Vec<_> = cluster.node_names().into_iter().filter(|node| *node != best).collect();
        let second = self::best(&left, VIP);
        assert_eq!(cluster.plan(&second)[&address(VIP)].standing, Standing::First);
        assert_eq!(
            cluster.plan(&best)[&address(VIP)].standing,
            Standing::Excluded { reason: Exclusion::NoSpeaker }
        );
    }

    #[test]
    fn services_that_share_an_address_have_one_owner_with_endpoints_of_all() {
        let mut cluster = Cluster::new();
        cluster.service("a", &[VIP]);
        cluster.service("b", &[VIP, "fd00::1"]);
        for (service, nodes) in [("a", ["node-1", "node-2"]), ("b", ["node-2", "node-3"])] {
            cluster.services.get_mut(&name(service)).unwrap().local = true;
            let ready = nodes.map(str::to_owned).into();
            cluster.endpoints.insert(name(service), Endpoints { ready, ..Default::default() });
        }
        let wanted = &cluster.plan("node-2")[&address(VIP)];
        assert_eq!(wanted.standing, Standing::First);
        assert_eq!(*wanted.services, [name("a"), name("b")]);
        for node in ["node-1", "node-3"] {
            let excluded = Standing::Excluded { reason: Exclusion::NoLocalEndpoint };
            assert_eq!(cluster.plan(node)[&address(VIP)].standing, excluded, "{node}");
        }
    }

    #[test]
    fn an_advertisement_must_select_every_service_of_a_sharing_set() {
        let mut cluster = Cluster::new();
        cluster.service("a", &[VIP]);
        cluster.service("b", &[VIP]);
        cluster.services.get_mut(&name("b")).unwrap().labels = [("app".into(), "b".into())].into();
        cluster.advertisements[0].service_selectors =
            vec![serde_json::from_str(r#"{"matchLabels":{"app":"b"}}"#).unwrap()];
        assert!(cluster.plan("node-1").is_empty());
    }

    #[test]
    fn addresses_outside_every_pool_or_without_advertisement_are_not_desired() {
        let mut cluster = Cluster::new();
        cluster.service("web", &["10.9.9.9"]);
        assert!(cluster.plan("node-1").is_empty());
        cluster.service("web", &[VIP]);
        assert_eq!(cluster.plan("node-1").len(), 1);
        cluster.advertisements.clear();
        assert!(cluster.plan("node-1").is_empty());
    }

    struct Cluster {
        services: BTreeMap<ServiceName, ServiceFacts>,
        endpoints: BTreeMap<ServiceName, Endpoints>,
        nodes: Vec<NodeFacts>,
        pools: Vec<PoolFacts>,
        advertisements: Vec<L2AdvertisementSpec>,
    }

    impl Cluster {
        /// Three nodes, one pool, and an advertisement of everything.
        fn new() -> Self {
            let range = |text: &str| text.parse::<AddressRange>().unwrap();
            let node = |n| NodeFacts {
                name: format!("node-{n}"),
                ready: true,
                speaker: Speaker::Live { interfaces: vec!["eth0".into()] },
                ..Default::default()
            };
            Self {
                services: BTreeMap::new(),
                endpoints: BTreeMap::new(),
                nodes: (1..=3).map(node).collect(),
                pools: vec![PoolFacts {
                    name: "pool".into(),
                    ranges: vec![range("192.168.1.0/24"), range("fd00::/64")],
                    ..Default::default()
                }],
                advertisements: vec![L2AdvertisementSpec::default()],
            }
        }

        fn service(&mut self, service: &str, addresses: &[&str]) {
            let addresses = addresses.iter().map(|text| address(text)).collect();
            self.services.insert(name(service), ServiceFacts { addresses, ..Default::default() });
        }

        fn node_names(&self) -> Vec<String> {
            self.nodes.iter().map(|node| node.name.clone()).collect()
        }

        fn plan(&self, node: &str) -> Desired {
            let Self { services, endpoints, nodes, pools, advertisements } = self;
            plan(&Facts { node, services, endpoints, nodes, pools, advertisements })
        }
    }

    fn best(nodes: &[String], first_address: &str) -> String {
        nodes.iter().max_by_key(|node| rendezvous(node, address(first_address))).unwrap().clone()
    }

    fn name(service: &str) -> ServiceName {
        ServiceName { namespace: "default".into(), name: service.into() }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
