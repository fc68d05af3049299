//! What this node is to announce, from the placement of every address.
//!
//! Every speaker computes the same placement from the same objects. The plan is kept, and only what a change touches
//! is decided anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_placement::{Exclusion, InterfaceFilter, Placement, Planner, Touched};

use crate::ownership::{Candidate, Desired, DesiredAddress, NodeId, ServiceName};

/// What this node is to announce, and which of it has to be decided anew.
#[derive(Debug)]
pub struct Plan {
    node: String,
    nodes: Nodes,
    /// Candidates in their order, each order once in memory: of few nodes there are few, for however many addresses.
    orders: HashSet<Arc<[Candidate]>>,
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
        Self {
            node: node.to_owned(),
            nodes: Nodes::new(node),
            orders: HashSet::new(),
            desired: Arc::default(),
            stale: Stale::default(),
        }
    }

    /// Notes what has to be decided anew.
    pub fn note(&mut self, touched: Touched) {
        match touched {
            Touched::Addresses(addresses) => self.stale.addresses.extend(addresses),
            Touched::All => self.stale.all = true,
        }
    }

    /// Decides what has to be decided anew. Says whether that changed something.
    pub fn update(&mut self, planner: &mut Planner<ServiceName>) -> bool {
        let Stale { all, mut addresses } = std::mem::take(&mut self.stale);
        if all {
            addresses.extend(planner.addresses().chain(self.desired.keys().copied()));
        }
        let mut changed = 0;
        for address in addresses {
            let wanted = self.decide(planner, address);
            if self.desired.get(&address) == wanted.as_ref() {
                continue;
            }
            changed += 1;
            // What others hold of the plan stays as it is.
            let desired = Arc::make_mut(&mut self.desired);
            match wanted {
                Some(wanted) => drop(desired.insert(address, wanted)),
                None => drop(desired.remove(&address)),
            }
        }
        if changed > self.desired.len() / 2 {
            planner.compact();
            // As there: it was filled in the order of its keys.
            let desired = Arc::make_mut(&mut self.desired);
            *desired = std::mem::take(desired).into_iter().collect();
        }
        if self.orders.len() > self.desired.len() {
            self.orders.retain(|order| Arc::strong_count(order) > 1);
        }
        changed > 0
    }

    /// What this node is to announce.
    pub fn desired(&self) -> Arc<Desired> {
        Arc::clone(&self.desired)
    }

    /// The number by which the machine knows a node.
    pub fn node_id(&mut self, name: &str) -> NodeId {
        self.nodes.id(name)
    }

    fn order(&mut self, candidates: Vec<Candidate>) -> Arc<[Candidate]> {
        if let Some(known) = self.orders.get(&candidates[..]) {
            return known.clone();
        }
        let order = Arc::<[Candidate]>::from(candidates);
        self.orders.insert(order.clone());
        order
    }

    fn decide(&mut self, planner: &mut Planner<ServiceName>, address: IpAddr) -> Option<DesiredAddress> {
        let placement = planner.place(address).ok()?;
        let (excluded, interfaces) = stand(&self.node, &placement);
        let services = planner.shared_services_at(address);
        let first = services.first().and_then(|name| planner.service(name)?.addresses.first().copied());
        let candidates: Vec<Candidate> =
            placement.candidates.iter().map(|candidate| self.nodes.candidate(candidate)).collect();
        let candidates = self.order(candidates);
        Some(DesiredAddress {
            services,
            interfaces,
            candidates,
            excluded,
            first_address: first.unwrap_or(address),
        })
    }
}

/// The numbers of nodes; this node's is [`NodeId::OWN`].
#[derive(Debug)]
struct Nodes {
    ids: BTreeMap<String, NodeId>,
}

impl Nodes {
    fn new(own: &str) -> Self {
        Self { ids: BTreeMap::from([(own.to_owned(), NodeId::OWN)]) }
    }

    fn id(&mut self, name: &str) -> NodeId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = NodeId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        self.ids.insert(name.to_owned(), id);
        id
    }

    fn candidate(&mut self, candidate: &ferrolb_placement::Candidate) -> Candidate {
        let weight = u32::try_from(candidate.weight).unwrap_or(u32::MAX - 1);
        Candidate {
            node: self.id(&candidate.node),
            demoted: candidate.demoted,
            preference: if candidate.preferred { u32::MAX } else { weight.min(u32::MAX - 1) },
        }
    }
}

/// Why this node may not announce, and the interfaces on which it may.
fn stand(node: &str, placement: &Placement) -> (Option<Exclusion>, InterfaceFilter) {
    match placement.candidates.iter().find(|candidate| &*candidate.node == node) {
        Some(own) => (None, own.interfaces.clone()),
        None => {
            let reason = placement.exclusion(node).unwrap_or(Exclusion::NotSelected);
            (Some(reason), InterfaceFilter::none())
        }
    }
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
            let planned = &cluster.plan(node)[&address(VIP)];
            assert_eq!(planned.candidates[0].node == NodeId::OWN, node == best, "{node}");
            assert_eq!((planned.candidates.len(), planned.excluded), (3, None));
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
        let next = &cluster.plan(self::best(&left, VIP))[&address(VIP)];
        assert_eq!((next.candidates[0].node, next.candidates.len()), (NodeId::OWN, 2));
        let excluded = &cluster.plan(best)[&address(VIP)];
        assert_eq!(excluded.excluded, Some(Exclusion::NoSpeaker));
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
        assert_eq!(*services, ["a", "b", "c"].map(name));
    }

    #[test]
    fn addresses_outside_every_pool_are_not_desired() {
        let mut cluster = Cluster::new();
        cluster.service("web", &["10.9.9.9"]);
        assert!(cluster.plan(NODES[0]).is_empty());
    }

    const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

    struct Cluster {
        planner: Planner<ServiceName>,
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

    fn name(service: &str) -> ServiceName {
        ServiceName::new("default", service)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
