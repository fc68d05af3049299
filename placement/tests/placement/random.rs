//! Random changes, one after another: what was decided anew only where a change touches is compared with an oracle
//! that decides on everything from nothing, as the rules say it and with no thought of cost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_placement::{Exclusion, GRACE, Touched, rendezvous};
use proptest::prelude::*;

use crate::world::{World, address, live, names, service, slice};

const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2", "fd00::1"];
const POOLS: [&str; 3] = ["10.0.0.0/24", "10.0.1.0/24", "10.0.1.1', 'fd00::/64"];

/// A change of one of a few objects; `None` takes it away.
#[derive(Clone, Debug)]
enum Change {
    Service(u8, Option<Service>),
    Slice(u8, Option<(u8, Vec<(u8, bool)>)>),
    Node(u8, Option<(bool, bool)>),
    Speaker(u8, bool),
    Pool(u8, Option<bool>),
    Ad(u8, Option<Ad>),
    Wait,
}

#[derive(Clone, Debug)]
struct Service {
    addresses: BTreeSet<usize>,
    local: bool,
    preferred: Option<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct Ad {
    pool: Option<u8>,
    service: Option<u8>,
    node: Option<u8>,
    prefers: Option<u8>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_changes_leave_behind_is_what_a_plan_from_nothing_would_be(changes in prop::collection::vec(change(), 1..60)) {
        let mut world = World::new();
        let mut oracle = Oracle::default();
        empty(&mut world);
        let mut plan: BTreeMap<IpAddr, String> = BTreeMap::new();
        for change in changes {
            let touched = apply(&mut world, &change);
            let stale = match touched {
                Touched::All => world.planner.addresses().chain(plan.keys().copied()).collect(),
                Touched::Addresses(addresses) => addresses,
            };
            for address in stale {
                let text = address.to_string();
                match world.place(&text) {
                    Ok(placement) => {
                        let excluded = placement.excluded().map(|(node, why)| format!("{node} {why:?}"));
                        let excluded: BTreeSet<_> = excluded.collect();
                        plan.insert(address, format!("{} {excluded:?}", names(&placement)));
                    }
                    Err(why) => drop(plan.insert(address, format!("{why:?}"))),
                }
            }
            plan.retain(|_, told| told != "NoAddress");
            prop_assert_eq!(&plan, &oracle.plan(&change), "{:?}", change);
        }
    }
}

fn empty(world: &mut World) {
    for (kind, name) in [("no service", "web"), ("no pool", "main"), ("no ad", "all")] {
        assert!(!world.touch(kind, name).is_empty());
    }
    for node in crate::world::NODES {
        assert_eq!(world.touch("no node", node), Touched::All);
    }
}

fn apply(world: &mut World, change: &Change) -> Touched {
    match change {
        Change::Service(name, None) => world.touch("no service", &name.to_string()),
        Change::Service(name, Some(Service { addresses, local, preferred })) => {
            let ingress: Vec<_> = addresses.iter().map(|n| format!("{{ip: '{}'}}", ADDRESSES[*n])).collect();
            let policy = if *local { "externalTrafficPolicy: Local" } else { "" };
            let preferred = preferred.map(|node| format!("ferrolb.io/preferred-node: node-{node}"));
            let manifest = service(
                &format!("'{name}'"),
                &preferred.unwrap_or_default(),
                policy,
                &format!("[{}]", ingress.join(", ")),
            );
            world.touch("service", &manifest)
        }
        Change::Slice(name, None) => world.touch("no slice", &format!("slice-{name}")),
        Change::Slice(name, Some((of, endpoints))) => {
            let endpoint = |(node, ready): &(u8, bool)| {
                format!(
                    "{{addresses: [a], nodeName: node-{node}, conditions: {{ready: {ready}, terminating: true}}}}"
                )
            };
            let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
            world.touch(
                "slice",
                &slice(&format!("slice-{name}"), &format!("'{of}'"), "IPv4", &endpoints.join(", ")),
            )
        }
        Change::Node(name, None) => world.touch("no node", &format!("node-{name}")),
        Change::Node(name, Some((ready, excluded))) => {
            let label = "node.kubernetes.io/exclude-from-external-load-balancers: ''";
            let label = if *excluded { label } else { "" };
            let status = format!("status: {{conditions: [{{type: Ready, status: '{ready}'}}]}}")
                .replace("true", "True");
            world.touch(
                "node",
                &format!("metadata: {{name: node-{name}, labels: {{n: n{name}, {label}}}}}, {status}"),
            )
        }
        Change::Speaker(name, up) => {
            let node = format!("node-{name}");
            let known: BTreeMap<_, _> =
                world.planner.nodes().map(|it| (it.name.clone(), it.speaker.clone())).collect();
            let state = if *up { live(&["eth0"]) } else { Default::default() };
            world.planner.set_speakers(|it| if it == node { state.clone() } else { known[it].clone() })
        }
        Change::Pool(name, None) => world.touch("no pool", &format!("pool-{name}")),
        Change::Pool(name, Some(ready)) => {
            let status = format!(
                "{{type: Ready, status: '{ready}', reason: R, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}}"
            )
            .replace("true", "True");
            let range = POOLS[usize::from(*name)];
            world.touch(
                "pool",
                &format!(
                    "metadata: {{name: pool-{name}}}, spec: {{addresses: ['{range}']}}, status: {{conditions: [{status}]}}"
                ),
            )
        }
        Change::Ad(name, None) => world.touch("no ad", &format!("ad-{name}")),
        Change::Ad(name, Some(Ad { pool, service, node, prefers })) => {
            let labelled = |key: &str, value| format!("matchLabels: {{{key}: {value}}}");
            let fields = [
                pool.map(|pool| format!("ipAddressPools: [pool-{pool}]")),
                service.map(|it| format!("serviceSelectors: [{{{}}}]", labelled("app", format!("'{it}'")))),
                node.map(|it| format!("nodeSelectors: [{{{}}}]", labelled("n", format!("n{it}")))),
                prefers.map(|it| {
                    let preference = labelled("n", format!("n{it}"));
                    format!("preferredNodeSelectors: [{{weight: 5, preference: {{{preference}}}}}]")
                }),
            ];
            let fields: Vec<_> = fields.into_iter().flatten().collect();
            world.touch("ad", &format!("metadata: {{name: ad-{name}}}, spec: {{{}}}", fields.join(", ")))
        }
        Change::Wait => {
            world.now += GRACE;
            world.planner.handle_timeout(world.now)
        }
    }
}

/// Everything as it is, and what counted for each address last while a pool contained it.
#[derive(Default)]
struct Oracle {
    services: BTreeMap<u8, Service>,
    slices: BTreeMap<u8, (u8, Vec<(u8, bool)>)>,
    nodes: BTreeMap<u8, (bool, bool)>,
    live: BTreeSet<u8>,
    pools: BTreeMap<u8, bool>,
    ads: BTreeMap<u8, Ad>,
    last: BTreeMap<usize, Vec<Ad>>,
}

fn put<V>(map: &mut BTreeMap<u8, V>, key: u8, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

impl Oracle {
    fn plan(&mut self, change: &Change) -> BTreeMap<IpAddr, String> {
        let mut over = false;
        match change.clone() {
            Change::Service(name, value) => {
                put(&mut self.services, name, value.filter(|it| !it.addresses.is_empty()))
            }
            Change::Slice(name, value) => put(&mut self.slices, name, value),
            Change::Node(name, value) => {
                // Such a node comes with a speaker.
                self.live.insert(name);
                put(&mut self.nodes, name, value);
            }
            Change::Speaker(name, true) => drop(self.live.insert(name)),
            Change::Speaker(name, false) => drop(self.live.remove(&name)),
            Change::Pool(name, value) => put(&mut self.pools, name, value),
            Change::Ad(name, value) => put(&mut self.ads, name, value),
            Change::Wait => over = true,
        }
        let mut plan = BTreeMap::new();
        for (number, text) in ADDRESSES.iter().enumerate() {
            let sharing: Vec<_> =
                self.services.iter().filter(|(_, it)| it.addresses.contains(&number)).collect();
            let Some(&(_, first)) = sharing.first() else {
                self.last.remove(&number);
                continue;
            };
            let counting = match self.home(number) {
                Some(pool) => {
                    let selects = |ad: &&Ad| {
                        ad.pool.is_none_or(|it| it == pool)
                            && sharing.iter().all(|(name, _)| ad.service.is_none_or(|it| it == **name))
                    };
                    self.last.insert(number, self.ads.values().filter(selects).cloned().collect());
                    self.last[&number].clone()
                }
                None => {
                    if over {
                        self.last.remove(&number);
                    }
                    self.last.get(&number).cloned().unwrap_or_default()
                }
            };
            let told = if counting.is_empty() {
                let why = if self.home(number).is_some() { "NoAdvertisement" } else { "NoPool" };
                if why == "NoPool" {
                    self.last.remove(&number);
                }
                why.to_owned()
            } else {
                let hashed = address(ADDRESSES[first.addresses.iter().copied().min().unwrap_or_default()]);
                let preferred = sharing.iter().find_map(|(_, it)| it.preferred);
                self.nodes_for(text, &sharing, &counting, hashed, preferred)
            };
            plan.insert(address(text), told);
        }
        plan
    }

    fn home(&self, number: usize) -> Option<u8> {
        let of: &[u8] = [&[0][..], &[0], &[1, 2], &[1], &[2]][number];
        let containing = || of.iter().filter(|pool| self.pools.contains_key(pool));
        containing().find(|pool| self.pools[pool]).or_else(|| containing().next()).copied()
    }

    fn nodes_for(
        &self,
        address: &str,
        sharing: &[(&u8, &Service)],
        counting: &[Ad],
        hashed: IpAddr,
        preferred: Option<u8>,
    ) -> String {
        let mut candidates = Vec::new();
        let mut excluded = BTreeSet::new();
        for (&node, &(ready, labelled)) in &self.nodes {
            let name = format!("node-{node}");
            let selecting: Vec<_> =
                counting.iter().filter(|ad| ad.node.is_none_or(|it| it == node)).collect();
            let local = sharing.iter().filter(|(_, it)| it.local);
            let why = if selecting.is_empty() {
                Exclusion::NotSelected
            } else if labelled {
                Exclusion::ExcludeLabel
            } else if !self.live.contains(&node) {
                Exclusion::NoSpeaker
            } else if local.into_iter().any(|(service, _)| !self.has_endpoint(**service, address, node)) {
                Exclusion::NoLocalEndpoint
            } else {
                let weight = selecting.iter().filter(|ad| ad.prefers == Some(node)).count();
                let rank = (ready, preferred == Some(node), weight, rendezvous(&name, hashed));
                candidates.push((rank, node.to_string()));
                continue;
            };
            excluded.insert(format!("{name} {why:?}"));
        }
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        let names: Vec<_> = candidates.into_iter().map(|(_, name)| name).collect();
        format!("{} {excluded:?}", names.join(" "))
    }

    fn has_endpoint(&self, service: u8, address: &str, node: u8) -> bool {
        let slices = self.slices.values().filter(|(of, _)| *of == service && !address.contains(':'));
        let endpoints: Vec<_> = slices.flat_map(|(_, endpoints)| endpoints).collect();
        let any_ready = endpoints.iter().any(|(_, ready)| *ready);
        endpoints.iter().any(|(on, ready)| *on == node && (*ready || !any_ready))
    }
}

fn change() -> impl Strategy<Value = Change> {
    let service =
        (prop::collection::btree_set(0..ADDRESSES.len(), 0..3), any::<bool>(), prop::option::of(0..4u8))
            .prop_map(|(addresses, local, preferred)| Service { addresses, local, preferred });
    let endpoints = prop::collection::vec((0..4u8, any::<bool>()), 0..3);
    let [pool, of_service, node, prefers] = [3u8, 4, 4, 4].map(|of| prop::option::weighted(0.4, 0..of));
    let ad = (pool, of_service, node, prefers).prop_map(|(pool, service, node, prefers)| Ad {
        pool,
        service,
        node,
        prefers,
    });
    prop_oneof![
        4 => (0..4u8, prop::option::weighted(0.8, service)).prop_map(|(name, it)| Change::Service(name, it)),
        3 => (0..4u8, prop::option::weighted(0.8, (0..4u8, endpoints))).prop_map(|(name, it)| Change::Slice(name, it)),
        3 => (0..4u8, prop::option::weighted(0.8, any::<(bool, bool)>())).prop_map(|(name, it)| Change::Node(name, it)),
        1 => (0..4u8, any::<bool>()).prop_map(|(name, up)| Change::Speaker(name, up)),
        3 => (0..3u8, prop::option::weighted(0.7, any::<bool>())).prop_map(|(name, it)| Change::Pool(name, it)),
        3 => (0..3u8, prop::option::weighted(0.7, ad)).prop_map(|(name, it)| Change::Ad(name, it)),
        1 => Just(Change::Wait),
    ]
}
