//! What the speaker knows of the cluster: facts, kept from watches, and the plan that follows from them.

mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ferrolb_crds::lease::Observed;
use ferrolb_crds::{IPAddressPool, L2Advertisement};
use ferrolb_placement::{Liveness, NodeFacts, Planner, Speaker, Touched};
use ferrolb_runtime::listing::{Key, Listing, Updates};
use ferrolb_runtime::watch::{Shown, Undecodable};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::watch::Change;
use crate::ownership::{Desired, NodeId, Peer, PeerLink, Peers, ServiceName};
use crate::plan::Plan;

/// Which objects count.
#[derive(Clone, Debug)]
pub struct Scope {
    /// This node.
    pub node: String,
    /// The Services' loadBalancerClass; `None`: Services without one.
    pub class: Option<String>,
    /// Whether the label that excludes nodes from load balancing is ignored.
    pub ignore_exclude_label: bool,
}

/// The cluster as the watches show it.
#[derive(Debug)]
pub struct Index {
    scope: Scope,
    planner: Planner<ServiceName>,
    plan: Plan,
    liveness: Liveness,
    /// The state of this node's speaker, as it knows it itself.
    own: Speaker,
    own_uid: Option<String>,
    /// The UIDs of the Services that count.
    uids: BTreeMap<ServiceName, Arc<str>>,
    /// Whose Lease each one is, by its name.
    leases: BTreeMap<String, String>,
    /// The links that each node's Lease told last: their hardware addresses are a speaker's, also when it is gone.
    links: BTreeMap<String, Vec<PeerLink>>,
    peers: Arc<Peers>,
    listings: Listings,
}

impl Key for ServiceName {
    fn of(Undecodable { namespace, name }: &Undecodable) -> Self {
        Self::new(namespace.as_deref().unwrap_or_default(), name)
    }
}

/// What was listed of each kind.
#[derive(Debug, Default)]
struct Listings {
    services: Listing<ServiceName>,
    slices: Listing<ServiceName>,
    nodes: Listing<String>,
    pools: Listing<String>,
    advertisements: Listing<String>,
    leases: Listing<String>,
}

impl Listings {
    fn are_loaded(&self) -> bool {
        let Self { services, slices, nodes, pools, advertisements, leases } = self;
        services.is_loaded()
            && slices.is_loaded()
            && nodes.is_loaded()
            && pools.is_loaded()
            && advertisements.is_loaded()
            && leases.is_loaded()
    }
}

impl Index {
    /// Knows nothing yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            planner: Planner::default(),
            plan: Plan::new(&scope.node),
            liveness: Liveness::new(&scope.node),
            own: Speaker::Absent,
            own_uid: None,
            uids: BTreeMap::new(),
            leases: BTreeMap::new(),
            links: BTreeMap::new(),
            peers: Arc::default(),
            listings: Listings::default(),
            scope,
        }
    }

    /// Takes up a change. Says whether the plan may differ.
    pub fn apply(&mut self, change: &Change, now: Instant) -> bool {
        let was_loaded = self.is_loaded();
        let differs = match change {
            Change::Service(event) => self.apply_services(event),
            Change::EndpointSlice(event) => self.apply_slices(event),
            Change::Node(event) => self.apply_nodes(event),
            Change::Pool(event) => self.apply_pools(event, now),
            Change::Advertisement(event) => self.apply_advertisements(event),
            Change::Lease(event) => self.apply_leases(event, now),
        };
        differs || was_loaded != self.is_loaded()
    }

    /// Ends what counted for a time only. Says whether the plan may differ.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let own = self.own_is_live();
        let expired = self.liveness.handle_timeout(now);
        let touched = self.planner.handle_timeout(now);
        self.note(touched) | (expired && self.update_speakers()) | (own != self.own_is_live())
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.liveness.poll_timeout(), self.planner.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether every kind was listed once; a plan made before would be wrong.
    pub fn is_loaded(&self) -> bool {
        self.listings.are_loaded()
    }

    /// How many speakers have a Lease.
    pub fn speakers(&self) -> usize {
        self.leases.len()
    }

    /// The UID of this node's object, if there is one.
    pub fn own_uid(&self) -> Option<&str> {
        self.own_uid.as_deref()
    }

    /// The UID of a Service that counts.
    pub fn uid(&self, service: &ServiceName) -> Option<Arc<str>> {
        self.uids.get(service).cloned()
    }

    /// Brings the plan up to date, with this node's own interfaces as it knows them itself. Says whether it changed.
    pub fn plan(&mut self, own: Speaker) -> bool {
        if self.own != own {
            self.own = own;
            self.update_speakers();
        }
        let peers = self.update_peers();
        self.plan.update(&mut self.planner) | peers
    }

    /// All speakers that were ever seen, as of the last plan.
    pub fn peers(&self) -> Arc<Peers> {
        Arc::clone(&self.peers)
    }

    /// The number by which the machine knows a node.
    pub fn node_id(&mut self, name: &str) -> NodeId {
        self.plan.node_id(name)
    }

    /// Whether this node is about to go: a speaker that stops there hands over what it owns.
    pub fn is_going(&self) -> bool {
        let own = self.planner.nodes().find(|node| node.name == self.scope.node);
        own.is_none_or(|node| {
            node.unschedulable || node.excluded || node.out_of_service || node.shutting_down
        })
    }

    /// Works out anew who the peers are. Says whether that changed.
    fn update_peers(&mut self) -> bool {
        let Self { planner, plan, liveness, links, scope, .. } = self;
        let usable: BTreeMap<&str, bool> =
            planner.nodes().map(|node| (node.name.as_str(), node.is_usable())).collect();
        let leases: BTreeMap<&str, (Option<u32>, bool)> =
            liveness.leases().map(|(lease, live)| (lease.node.as_str(), (lease.owned, live))).collect();
        let own = (scope.node.clone(), Vec::new());
        let known = links.iter().map(|(name, links)| (name.clone(), links.clone()));
        let peers: Peers = std::iter::once(own)
            .chain(known)
            .map(|(name, links)| {
                let (owned, live) = leases.get(name.as_str()).copied().unwrap_or((None, false));
                let usable = usable.get(name.as_str()).copied().unwrap_or(false);
                (plan.node_id(&name), Peer { name: name.into(), live, usable, owned, links })
            })
            .collect();
        let differs = *self.peers != peers;
        if differs {
            self.peers = Arc::new(peers);
        }
        differs
    }

    /// What this node is to announce, as of the last plan.
    pub fn desired(&self) -> Arc<Desired> {
        self.plan.desired()
    }

    fn apply_services(&mut self, event: &Shown<Service>) -> bool {
        let known = || self.planner.services().cloned();
        let updates = self.listings.services.take_in(event, |it| read::service(it, &self.scope), known);
        let mut touched = Vec::new();
        for (key, service) in updates {
            let (facts, uid) = service.unzip();
            match uid.flatten() {
                Some(uid) => drop(self.uids.insert(key.clone(), uid)),
                None => drop(self.uids.remove(&key)),
            }
            touched.push(self.planner.set_service(&key, facts));
        }
        self.note_all(touched)
    }

    fn apply_slices(&mut self, event: &Shown<EndpointSlice>) -> bool {
        let known = || self.planner.slices().cloned();
        let updates = self.listings.slices.take_in(event, read::slice, known);
        let touched: Vec<_> =
            updates.into_iter().map(|(key, slice)| self.planner.set_slice(key, slice)).collect();
        self.note_all(touched)
    }

    fn apply_nodes(&mut self, event: &Shown<Node>) -> bool {
        let known = || self.planner.nodes().map(|node| node.name.clone());
        let updates = self.listings.nodes.take_in(event, |it| read::node(it, &self.scope), known);
        let mut touched = Vec::new();
        for (name, node) in updates {
            let (facts, uid) = node.unzip();
            if name == self.scope.node {
                self.own_uid = uid.flatten();
            }
            let speaker = self.speaker(&name);
            let facts = facts.map(|facts| NodeFacts { speaker, ..facts });
            touched.push(self.planner.set_node(&name, facts));
        }
        self.note_all(touched)
    }

    fn apply_pools(&mut self, event: &Shown<IPAddressPool>, now: Instant) -> bool {
        let known = || self.planner.pools().map(str::to_owned);
        let updates = self.listings.pools.take_in(event, read::pool, known);
        let touched: Vec<_> =
            updates.into_iter().map(|(name, facts)| self.planner.set_pool(&name, facts, now)).collect();
        self.note_all(touched)
    }

    fn apply_advertisements(&mut self, event: &Shown<L2Advertisement>) -> bool {
        let known = || self.planner.advertisements().map(str::to_owned);
        let updates = self.listings.advertisements.take_in(event, read::advertisement, known);
        let touched: Vec<_> =
            updates.into_iter().map(|(name, spec)| self.planner.set_advertisement(&name, spec)).collect();
        self.note_all(touched)
    }

    fn apply_leases(&mut self, event: &Shown<Lease>, now: Instant) -> bool {
        let known = || self.leases.keys().cloned();
        let updates: Updates<String, Observed> = self.listings.leases.take_in(event, read::lease, known);
        let (mut differs, mut news) = (false, false);
        let own = self.own_is_live();
        for (name, observed) in updates {
            let holder = observed.as_ref().map(|observed| observed.node.clone());
            let before = match holder.clone() {
                Some(node) => self.leases.insert(name, node),
                None => self.leases.remove(&name),
            };
            if let Some(node) = before.filter(|node| Some(node) != holder.as_ref()) {
                differs |= self.liveness.remove(&node, now);
            }
            if let Some(observed) = observed {
                news |= self.take_links(&observed);
                differs |= self.liveness.observe(observed, now);
            }
        }
        (differs && self.update_speakers()) | news | (own != self.own_is_live())
    }

    /// Whether this node's own Lease is renewed in time, as far as the watch shows.
    fn own_is_live(&self) -> bool {
        self.liveness.leases().any(|(lease, live)| live && lease.node == self.scope.node)
    }

    /// Notes the links that a Lease tells. Says whether they are news. How much the node owns is none: it is looked up
    /// when there is something to place.
    fn take_links(&mut self, lease: &Observed) -> bool {
        let told: Vec<PeerLink> = lease.links.iter().map(read::peer_link).collect();
        let known = self.links.get(&lease.node);
        // A speaker that stops, or whose link went down, is still known by what it had.
        let news = known.is_none() || (!told.is_empty() && known != Some(&told));
        if news {
            self.links.insert(lease.node.clone(), told);
        }
        news
    }

    /// Tells the planner whose speakers are live. Says whether the plan may differ.
    fn update_speakers(&mut self) -> bool {
        let Self { scope, own, liveness, planner, .. } = self;
        let speaker_of = |node: &str| if node == scope.node { own.clone() } else { liveness.speaker(node) };
        let touched = planner.set_speakers(speaker_of);
        self.note(touched)
    }

    fn speaker(&self, node: &str) -> Speaker {
        if node == self.scope.node { self.own.clone() } else { self.liveness.speaker(node) }
    }

    fn note_all(&mut self, touched: Vec<Touched>) -> bool {
        touched.into_iter().fold(false, |differs, touched| self.note(touched) | differs)
    }

    /// Has the plan decide anew what a change touches. Says whether that is anything.
    fn note(&mut self, touched: Touched) -> bool {
        let differs = !touched.is_empty();
        self.plan.note(touched);
        differs
    }
}
