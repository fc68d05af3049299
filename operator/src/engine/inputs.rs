//! What the watches tell.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ferrolb_crds::L2Advertisement;
use ferrolb_crds::lease::Observed;
use ferrolb_crds::pool::IPAddressPool;
use ferrolb_placement::NodeFacts;
use k8s_openapi::api::core::v1::Service;

use super::Engine;
use super::tracked::{Stance, Tracked};
use crate::announced::{Report, SliceOf, Surroundings};
use crate::key::ServiceKey;
use crate::ledger::{Claimant, Party};
use crate::request::{Request, addresses_of, is_load_balancer, is_ours};
use crate::standing::judge;
use crate::verdict::Shown;

impl Engine {
    /// Takes in a Service as a watch or a write shows it. A version older than the one known is ignored.
    pub fn apply_service(&mut self, service: &Service, now: Instant) {
        let key = ServiceKey::of(&service.metadata);
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        match self.services.get(&key) {
            Some(known) if known.uid != uid => self.end(&key, now),
            Some(known) if known.is_newer_than(service) => return,
            Some(_) | None => {}
        }
        let shown = Shown::of(service);
        let ours = is_ours(service, self.class.as_deref());
        self.set_claims(&Party::Service(key.clone()), claims(service, &key, ours));
        let stance = if ours {
            Stance::Ours(Box::new(Request::parse(service)))
        } else {
            self.waiting.forget(&key);
            self.ledger.retire(&key);
            // A load balancer of another class is another operator's, and the marks that it came with are too.
            let known = self.services.contains_key(&key);
            if !shown.is_marked() || (is_load_balancer(service) && !known) {
                self.ledger.settle(&key);
                self.forget(&key);
                self.wake();
                return;
            }
            self.leave_surroundings(&key);
            Stance::Leaving
        };
        let tracked = self.services.entry(key.clone()).or_insert_with(|| Tracked::new(uid, &shown));
        tracked.observe(shown, stance, now);
        self.enqueue(&key);
        self.wake();
    }

    /// Forgets a Service that is gone, and frees what it had. With a UID, only the one that has it.
    pub fn delete_service(&mut self, key: &ServiceKey, uid: Option<&str>, now: Instant) {
        let another = |uid: &str| self.services.get(key).is_some_and(|known| known.uid != uid);
        if !uid.is_some_and(another) {
            self.end(key, now);
        }
    }

    /// Takes in all pools and advertisements.
    pub fn set_objects(
        &mut self,
        pools: &[Arc<IPAddressPool>],
        advertisements: &[Arc<L2Advertisement>],
        now: Instant,
    ) {
        let mut pools = pools.to_vec();
        pools.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        if self.surroundings.set_objects(&pools, advertisements, now) {
            self.enqueue_all(|_| true);
        }
        let standings = judge(&pools, &mut self.incumbents);
        if standings != self.standings {
            let definitions = standings.iter().map(|standing| standing.definition.clone()).collect();
            self.standings = standings;
            self.ledger.set_pools(definitions, now);
            self.enqueue_all(|_| true);
        }
    }

    /// Takes in the labels of a namespace, or `None` when it is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        if self.ledger.set_namespace(name, labels) {
            self.enqueue_all(|key| *key.namespace == *name);
        }
    }

    /// Takes in a node and its addresses, which are given to no Service, or that it is gone.
    /// Returns whether that is news.
    pub fn set_node(&mut self, name: &str, node: Option<(NodeFacts, Vec<IpAddr>)>) -> bool {
        let (facts, addresses) =
            node.map_or((None, Vec::new()), |(facts, addresses)| (Some(facts), addresses));
        let claimant = Claimant::Node(name.to_owned());
        let claims: Vec<_> = addresses.into_iter().map(|address| (address, claimant.clone())).collect();
        let moved = self.ledger.claims_differ(&Party::Node(name.to_owned()), &claims);
        self.set_claims(&Party::Node(name.to_owned()), claims);
        let differs = self.surroundings.set_node(name, facts);
        self.judge_all(differs);
        self.wake();
        moved || differs
    }

    /// Takes in the Lease of a node's speaker, or that it is gone.
    pub fn set_lease(&mut self, node: &str, observed: Option<Observed>, now: Instant) {
        let differs = match observed {
            Some(observed) => self.surroundings.set_lease(observed, now),
            None => self.surroundings.remove_lease(node, now),
        };
        self.judge_all(differs);
    }

    /// Takes in the operator's own Lease.
    pub fn set_own_lease(&mut self, observed: Observed, now: Instant) {
        let differs = self.surroundings.set_own_lease(observed, now);
        self.judge_all(differs);
    }

    /// Takes in a slice of a Service's endpoints, or that it is gone.
    pub fn set_slice(&mut self, key: ServiceKey, slice: Option<SliceOf>) {
        for service in self.surroundings.set_slice(key, slice) {
            self.enqueue(&service);
        }
    }

    /// Takes in a node's report, or that it is gone.
    pub fn set_report(&mut self, name: &str, report: Option<Report>) {
        for service in self.surroundings.set_report(name, report) {
            self.enqueue(&service);
        }
    }

    /// Who may announce, as far as the operator knows.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }
}

/// The addresses that a Service has without having them from us.
fn claims(service: &Service, key: &ServiceKey, ours: bool) -> Vec<(IpAddr, Claimant)> {
    let external = service.spec.iter().flat_map(|spec| spec.external_ips.iter().flatten());
    let mut claims: Vec<_> = external
        .filter_map(|text| text.parse().ok())
        .map(|address| (address, Claimant::ExternalIps(key.clone())))
        .collect();
    if !ours && is_load_balancer(service) {
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
        let claimant = Claimant::OtherClass(key.clone(), created);
        claims.extend(addresses_of(service).into_iter().map(|address| (address, claimant.clone())));
    }
    claims
}
