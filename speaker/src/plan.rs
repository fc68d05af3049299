//! What this node is to announce, from the placement of every address.
//!
//! Every speaker computes the same placement from the same objects. The plan is kept, and only what a change touches
//! is decided anew.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_placement::{Exclusion, InterfaceFilter, Placement, Planner, Touched};

use crate::ownership::{Desired, DesiredAddress, ServiceName, Standing};

/// What this node is to announce, and which of it has to be decided anew.
#[derive(Debug)]
pub struct Plan {
    node: String,
    desired: Arc<Desired>,
    stale: Stale,
}

#[derive(Debug, Default)]
struct Stale {
    all: bool,
    addresses: BTreeSet<IpAddr>,
}

impl Plan {
    /// A plan of nothing, for this node.
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), desired: Arc::default(), stale: Stale::default() }
    }

    /// Notes what has to be decided anew.
    pub fn note(&mut self, touched: Touched) {
        match touched {
            Touched::Addresses(addresses) => self.stale.addresses.extend(addresses),
            Touched::All => self.stale.all = true,
        }
    }

    /// Decides what has to be decided anew. Says whether that changed something.
    pub fn update(&mut self, planner: &mut Planner<Arc<ServiceName>>) -> bool {
        let Stale { all, mut addresses } = std::mem::take(&mut self.stale);
        if all {
            addresses.extend(planner.addresses().chain(self.desired.keys().copied()));
        }
        let mut changed = false;
        for address in addresses {
            let wanted = self.decide(planner, address);
            if self.desired.get(&address) == wanted.as_ref() {
                continue;
            }
            changed = true;
            // What others hold of the plan stays as it is.
            let desired = Arc::make_mut(&mut self.desired);
            match wanted {
                Some(wanted) => drop(desired.insert(address, wanted)),
                None => drop(desired.remove(&address)),
            }
        }
        changed
    }

    /// What this node is to announce.
    pub fn desired(&self) -> Arc<Desired> {
        Arc::clone(&self.desired)
    }

    fn decide(&self, planner: &mut Planner<Arc<ServiceName>>, address: IpAddr) -> Option<DesiredAddress> {
        let placement = planner.place(address).ok()?;
        let (standing, interfaces) = stand(&self.node, &placement);
        let names = planner.services_at(address);
        let known = self.desired.get(&address).map(|known| &known.services);
        let known = known.filter(|known| known.iter().eq(names.iter().map(|name| &**name)));
        let services = known.cloned().unwrap_or_else(|| names.iter().map(|name| (**name).clone()).collect());
        Some(DesiredAddress { services, interfaces, standing })
    }
}

/// This node's place, and the interfaces on which it may announce.
fn stand(node: &str, placement: &Placement) -> (Standing, InterfaceFilter) {
    let Some(own) = placement.candidates.iter().find(|candidate| &*candidate.node == node) else {
        let reason = placement.exclusion(node).unwrap_or(Exclusion::NotSelected);
        return (Standing::Excluded { reason }, InterfaceFilter::none());
    };
    let standing = match placement.candidates.first() {
        Some(best) if &*best.node != node => Standing::Behind { first: best.node.clone() },
        Some(_) | None => Standing::First,
    };
    (standing, own.interfaces.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ferrolb_crds::L2AdvertisementSpec;
    use ferrolb_placement::{NodeFacts, PoolFacts, ServiceFacts, Speaker, rendezvous};

    use super::*;

    const VIP: &str = "192.168.1.240";

    #[test]
    fn exactly_one_node_is_first_and_the_others_know_it() {
        let mut cluster = Cluster::new();
        cluster.service("web", &[VIP]);
        let best = best(&NODES, VIP);
        for node in NODES {
            let expected =
                if node == best { Standing::First } else { Standing::Behind { first: best.into() } };
            assert_eq!(cluster.plan(node)[&address(VIP)].standing, expected, "{node}");
        }
    }

    #[test]
    fn a_node_without_a_live_lease_is_passed_over() {
        let mut cluster = Cluster::new();
        cluster.service("web", &[VIP]);
        let best = best(&NODES, VIP);
        let silent = NodeFacts { speaker: Speaker::Absent, ..node(best) };
        let touched = cluster.planner.set_node(best, Some(silent));
        assert_eq!(touched, Touched::All);
        let left = NODES.into_iter().filter(|node| *node != best).collect::<Vec<_>>();
        assert_eq!(cluster.plan(self::best(&left, VIP))[&address(VIP)].standing, Standing::First);
        let excluded = &cluster.plan(best)[&address(VIP)];
        assert_eq!(excluded.standing, Standing::Excluded { reason: Exclusion::NoSpeaker });
        assert_eq!(excluded.interfaces, InterfaceFilter::none());
    }

    #[test]
    fn only_what_a_change_touches_is_decided_anew() {
        let mut cluster = Cluster::new();
        let mut plan = Plan::new(NODES[0]);
        let (touched_a, touched_b) = (cluster.touch("a", &[VIP]), cluster.touch("b", &["192.168.1.241"]));
        plan.note(touched_a);
        assert!(plan.update(&mut cluster.planner));
        assert_eq!(plan.desired().len(), 1, "nobody told of the other");
        plan.note(touched_b);
        assert!(plan.update(&mut cluster.planner));
        plan.note(Touched::All);
        assert!(!plan.update(&mut cluster.planner), "nothing changed");
        let held = plan.desired();
        plan.note(cluster.planner.set_service(&name("a"), None));
        assert!(plan.update(&mut cluster.planner));
        assert_eq!((held.len(), plan.desired().len()), (2, 1));
    }

    #[test]
    fn the_services_of_an_address_come_in_the_order_of_their_names() {
        let mut cluster = Cluster::new();
        for service in ["b", "c", "a"] {
            cluster.service(service, &[VIP]);
        }
        let services = cluster.plan(NODES[0])[&address(VIP)].services.clone();
        assert_eq!(*services, ["a", "b", "c"].map(|service| (*name(service)).clone()));
    }

    #[test]
    fn addresses_outside_every_pool_are_not_desired() {
        let mut cluster = Cluster::new();
        cluster.service("web", &["10.9.9.9"]);
        assert!(cluster.plan(NODES[0]).is_empty());
    }

    const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

    struct Cluster {
        planner: Planner<Arc<ServiceName>>,
    }

    impl Cluster {
        /// Three nodes, one pool, and an advertisement of everything.
        #[expect(clippy::disallowed_methods, reason = "time does not matter here")]
        fn new() -> Self {
            let mut planner = Planner::default();
            let pool = PoolFacts {
                name: "pool".into(),
                ranges: vec!["192.168.1.0/24".parse().unwrap()],
                ..Default::default()
            };
            let told = NODES.map(|name| planner.set_node(name, Some(node(name))));
            assert_eq!(told, [const { Touched::All }; 3]);
            assert_eq!(planner.set_pool("pool", Some(pool), Instant::now()), Touched::All);
            let everything = L2AdvertisementSpec::default();
            assert_eq!(planner.set_advertisement("all", Some(everything)), Touched::All);
            Self { planner }
        }

        fn service(&mut self, service: &str, addresses: &[&str]) {
            assert!(!self.touch(service, addresses).is_empty());
        }

        fn touch(&mut self, service: &str, addresses: &[&str]) -> Touched {
            let addresses = addresses.iter().map(|text| address(text)).collect();
            self.planner.set_service(&name(service), Some(ServiceFacts { addresses, ..Default::default() }))
        }

        fn plan(&mut self, node: &str) -> Arc<Desired> {
            let mut plan = Plan::new(node);
            plan.note(Touched::All);
            plan.update(&mut self.planner);
            plan.desired()
        }
    }

    fn node(name: &str) -> NodeFacts {
        let speaker = Speaker::Live { interfaces: vec!["eth0".into()] };
        NodeFacts { name: name.into(), ready: true, speaker, ..Default::default() }
    }

    fn best<'a>(nodes: &[&'a str], first_address: &str) -> &'a str {
        nodes.iter().max_by_key(|node| rendezvous(node, address(first_address))).unwrap()
    }

    fn name(service: &str) -> Arc<ServiceName> {
        Arc::new(ServiceName { namespace: "default".into(), name: service.into() })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
