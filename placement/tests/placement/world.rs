//! A small cluster, as a user writes it.

use std::net::IpAddr;
use std::time::Instant;

use ferrolb_crds::{IPAddressPool, L2Advertisement};
use ferrolb_placement::{
    Hindrance, NodeFacts, Placement, Planner, PoolFacts, ServiceFacts, Slice, Speaker, Touched, Unannounced,
};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;

pub(crate) const VIP: &str = "192.168.1.240";
pub(crate) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
pub(crate) const READY: &str = "status: {conditions: [{type: Ready, status: 'True'}]}";

/// Three nodes, a pool, an advertisement of everything, and the Service `web`.
pub(crate) struct World {
    pub(crate) planner: Planner<String>,
    pub(crate) now: Instant,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    pub(crate) fn new() -> Self {
        let mut world = Self { planner: Planner::default(), now: Instant::now() };
        for name in NODES {
            world.set("node", &format!("metadata: {{name: {name}, labels: {{name: {name}}}}}, {READY}"));
        }
        world.set(
            "pool",
            "metadata: {name: main, labels: {tier: front}}, \
             spec: {addresses: [192.168.1.240-192.168.1.250, 'fd00::f0/124']}",
        );
        world.set("ad", "metadata: {name: all}, spec: {}");
        world.set("service", &web("", "[{ip: 192.168.1.240}]"));
        world
    }

    /// Takes in an object.
    pub(crate) fn set(&mut self, kind: &str, manifest: &str) {
        drop(self.touch(kind, manifest));
    }

    /// Takes in an object, or that there is none of a name. A node's speaker is live, with eth0.
    pub(crate) fn touch(&mut self, kind: &str, manifest: &str) -> Touched {
        let manifest = format!("{{{manifest}}}");
        match kind {
            "service" => {
                let service: Service = read(&manifest);
                let name = service.metadata.name.clone().unwrap_or_default();
                self.planner.set_service(&name, Some(ServiceFacts::from(&service)))
            }
            "slice" => {
                let slice: EndpointSlice = read(&manifest);
                let service = Slice::service_name(&slice).map(str::to_owned);
                let name = slice.metadata.name.clone().unwrap_or_default();
                self.planner.set_slice(name, service.zip(Slice::read(&slice)))
            }
            "node" => {
                let facts = NodeFacts::new(&read::<Node>(&manifest), live(&["eth0"]));
                self.planner.set_node(&facts.name.clone(), Some(facts))
            }
            "pool" => {
                let facts = PoolFacts::from(&read::<IPAddressPool>(&manifest));
                self.planner.set_pool(&facts.name.clone(), Some(facts), self.now)
            }
            "ad" => {
                let object: L2Advertisement = read(&manifest);
                self.planner.set_advertisement(&object.metadata.name.unwrap_or_default(), Some(object.spec))
            }
            "no service" => self.planner.set_service(&manifest_name(&manifest), None),
            "no slice" => self.planner.set_slice(manifest_name(&manifest), None),
            "no node" => self.planner.set_node(&manifest_name(&manifest), None),
            "no pool" => self.planner.set_pool(&manifest_name(&manifest), None, self.now),
            "no ad" => self.planner.set_advertisement(&manifest_name(&manifest), None),
            _ => panic!("{kind}"),
        }
    }

    /// Says of some nodes what their speakers are; the others are live, with eth0.
    pub(crate) fn speakers(&mut self, states: &[(&str, Speaker)]) {
        let state =
            |node: &str| states.iter().find(|(name, _)| *name == node).map(|(_, state)| state.clone());
        assert_eq!(
            self.planner.set_speakers(|node| state(node).unwrap_or_else(|| live(&["eth0"]))),
            Touched::All
        );
    }

    pub(crate) fn place(&mut self, address: &str) -> Result<Placement, Unannounced> {
        let address = self::address(address);
        let placed = self.planner.place(address);
        // What keeps an address from being announced is told exactly when there is no candidate.
        match (&placed, self.planner.hindrance(address)) {
            (Err(unannounced), hindered) => {
                assert_eq!(hindered, Some(Hindrance::Unannounced(*unannounced)));
            }
            (Ok(placement), None) => assert!(!placement.candidates.is_empty()),
            (Ok(placement), Some(Hindrance::NoNode(reasons))) => {
                assert!(placement.candidates.is_empty());
                assert_eq!(reasons.values().sum::<usize>(), placement.excluded().count());
            }
            (Ok(_), Some(Hindrance::Unannounced(unannounced))) => panic!("{unannounced:?}"),
        }
        placed
    }

    /// The candidates in order, without what is the same in all names; or why there are none.
    pub(crate) fn order(&mut self, address: &str) -> String {
        match self.place(address) {
            Ok(placement) => names(&placement),
            Err(unannounced) => format!("{unannounced:?}"),
        }
    }

    /// The candidates by name.
    pub(crate) fn candidates(&mut self, address: &str) -> String {
        let order = self.order(address);
        let mut names: Vec<_> = order.split(' ').collect();
        names.sort_unstable();
        names.join(" ")
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn names(placement: &Placement) -> String {
    let names = placement.candidates.iter().map(|candidate| candidate.node.trim_start_matches("node-"));
    names.collect::<Vec<_>>().join(" ")
}

pub(crate) fn live(interfaces: &[&str]) -> Speaker {
    Speaker::Live { interfaces: interfaces.iter().map(|name| name.to_string()).collect() }
}

/// The Service `web`, with a spec and ingress points.
pub(crate) fn web(spec: &str, ingress: &str) -> String {
    service("web", "", spec, ingress)
}

/// A Service that is labelled with its name.
pub(crate) fn service(name: &str, annotations: &str, spec: &str, ingress: &str) -> String {
    format!(
        "metadata: {{name: {name}, labels: {{app: {name}}}, annotations: {{{annotations}}}}}, spec: {{{spec}}}, \
         status: {{loadBalancer: {{ingress: {ingress}}}}}"
    )
}

/// A slice of a Service's endpoints.
pub(crate) fn slice(name: &str, service: &str, family: &str, endpoints: &str) -> String {
    format!(
        "metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {service}}}}}, addressType: {family}, \
         endpoints: [{endpoints}]"
    )
}

fn manifest_name(manifest: &str) -> String {
    manifest.trim_matches(['{', '}']).to_owned()
}

fn read<K: DeserializeOwned>(yaml: &str) -> K {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}
