//! Whether a Service's addresses can be announced, and what to say if not.
//!
//! This is placement's answer from the same objects that the speakers see, so that a tenant who can read nothing but
//! the Service is told. It names no node: that an address moves writes nothing.

mod by_service;
mod explain;
mod reports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ferrolb_crds::L2Advertisement;
use ferrolb_crds::condition::{self, Statement};
use ferrolb_crds::lease::Observed;
use ferrolb_crds::names::ANNOUNCED_CONDITION;
use ferrolb_crds::pool::IPAddressPool;
use ferrolb_placement::{
    Hindrance, Labels, Liveness, NodeFacts, Planner, PoolFacts, ServiceFacts, Slice, Touched,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};

use self::explain::explain;
pub use self::reports::{Report, Reports};
use crate::key::ServiceKey;
use crate::ledger::Assignment;
use crate::request::{Backend, Request};

/// The name under which the operator's own Lease is known to [`Liveness`]; no node has it.
const OWN: &str = "";

/// Reasons that a silent speaker may lead to.
const OF_SILENCE: [&str; 2] = ["NoServingEndpoint", "NoEligibleNode"];

/// What decides who may announce an address.
#[derive(Debug)]
pub struct Surroundings {
    planner: Planner<ServiceKey>,
    reports: Reports,
    liveness: Liveness,
    ignore_exclude_label: bool,
}

/// A slice of a Service's endpoints.
pub type SliceOf = (ServiceKey, Slice);

/// Reads a slice; `None` if it belongs to no Service, or says nothing.
pub fn read_slice(slice: &EndpointSlice) -> Option<SliceOf> {
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    let service = Slice::service_name(slice)?;
    Some((ServiceKey::new(namespace, service), Slice::read(slice)?))
}

impl Surroundings {
    /// Nothing is known yet. Speakers that ignore the label which excludes nodes have to be asked with the same.
    pub fn new(ignore_exclude_label: bool) -> Self {
        Self {
            planner: Planner::default(),
            reports: Reports::default(),
            liveness: Liveness::new(OWN),
            ignore_exclude_label,
        }
    }

    /// Takes in a node, or that it is gone. Returns whether a judgement may differ.
    pub fn set_node(&mut self, name: &str, facts: Option<NodeFacts>) -> bool {
        let facts = facts.map(|mut facts| {
            facts.excluded &= !self.ignore_exclude_label;
            facts.speaker = self.liveness.speaker(name);
            facts
        });
        !self.planner.set_node(name, facts).is_empty()
    }

    /// Replaces all pools and advertisements. Returns whether a judgement may differ.
    pub fn set_objects(
        &mut self,
        pools: &[Arc<IPAddressPool>],
        advertisements: &[Arc<L2Advertisement>],
        now: Instant,
    ) -> bool {
        let pools: BTreeMap<_, _> =
            pools.iter().map(|it| (name(&it.metadata), PoolFacts::from(&**it))).collect();
        let gone = self::gone(self.planner.pools(), &pools);
        let mut differs = false;
        for (name, facts) in gone.into_iter().chain(present(pools)) {
            differs |= !self.planner.set_pool(&name, facts, now).is_empty();
        }
        let advertisements = advertisements.iter().map(|it| (name(&it.metadata), it.spec.clone())).collect();
        let gone = self::gone(self.planner.advertisements(), &advertisements);
        for (name, spec) in gone.into_iter().chain(present(advertisements)) {
            differs |= !self.planner.set_advertisement(&name, spec).is_empty();
        }
        differs
    }

    /// Takes in the Lease of a node's speaker. Returns whether a judgement may differ.
    pub fn set_lease(&mut self, observed: Observed, now: Instant) -> bool {
        self.ask_liveness(|liveness| liveness.observe(observed, now))
    }

    /// Takes in that the Lease of a node's speaker is gone. Returns whether a judgement may differ.
    pub fn remove_lease(&mut self, node: &str, now: Instant) -> bool {
        self.ask_liveness(|liveness| liveness.remove(node, now))
    }

    /// Takes in the operator's own Lease: that its renewals come back through the watch is what makes the silence of
    /// a speaker's Lease mean something.
    pub fn set_own_lease(&mut self, observed: Observed, now: Instant) -> bool {
        self.set_lease(Observed { node: OWN.to_owned(), ..observed }, now)
    }

    /// Doubts all Leases: nobody knows yet which of them are still renewed. Until that is clear, nothing that a silent
    /// speaker led to is taken back.
    pub fn doubt_leases(&mut self) {
        self.liveness.doubt_all();
    }

    /// Takes in a slice of a Service's endpoints, or that it is gone. Returns whose judgement may differ.
    pub fn set_slice(&mut self, key: ServiceKey, slice: Option<SliceOf>) -> Vec<ServiceKey> {
        match self.planner.set_slice(key, slice) {
            Touched::Addresses(addresses) => self.services_at(&addresses),
            Touched::All => self.planner.services().cloned().collect(),
        }
    }

    /// Takes in a Service and the addresses that it is given. Returns the others whose judgement differs by that:
    /// they share an address with it.
    pub fn set_service(&mut self, request: &Request, assignment: &Assignment) -> Vec<ServiceKey> {
        let addresses: Box<[IpAddr]> = assignment.iter().map(|place| place.address).collect();
        let facts = ServiceFacts {
            addresses,
            labels: Labels::from(&request.labels),
            local: matches!(request.sharing.backend, Backend::Local(_)),
            preferred_node: None,
        };
        self.replace_service(&request.service, Some(facts))
    }

    /// Takes in that a Service is gone, or none of ours any more. Returns the others whose judgement differs by that.
    pub fn remove_service(&mut self, service: &ServiceKey) -> Vec<ServiceKey> {
        self.replace_service(service, None)
    }

    /// Takes in a node's report, or that it is gone. Returns whose judgement may differ.
    pub fn set_report(&mut self, name: &str, report: Option<Report>) -> Vec<ServiceKey> {
        self.reports.set(name, report)
    }

    /// What nodes report.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// The nodes, with what their Leases say.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeFacts> + Clone {
        self.planner.nodes()
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.liveness.poll_timeout(), self.planner.poll_timeout()].into_iter().flatten().min()
    }

    /// Expires Leases, and what counted for a while only. Returns whether a judgement may differ.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let touched = self.planner.handle_timeout(now);
        self.ask_liveness(|liveness| liveness.handle_timeout(now)) || !touched.is_empty()
    }

    /// What to say on a Service that shows these conditions; nothing if it has no address.
    pub fn judge(&mut self, service: &ServiceKey, shown: &[Condition]) -> Option<Statement> {
        let addresses = self.planner.service(service)?.addresses.clone();
        let hindrances: Vec<_> = addresses
            .iter()
            .filter_map(|&address| Some((address, self.planner.hindrance(address)?)))
            .collect();
        let shared = addresses.iter().any(|address| self.planner.services_at(*address).len() > 1);
        let (status, (reason, message)) = match self.reports.conflict(service) {
            _ if !hindrances.is_empty() => (false, explain(&hindrances, addresses.len(), shared)),
            Some(conflict) => (false, ("AddressConflict", conflict.to_owned())),
            None => (true, ("Announced", "a node announces it".to_owned())),
        };
        let before = condition::find(shown, ANNOUNCED_CONDITION)
            .filter(|before| status && before.status == "False" && self.liveness.is_in_doubt());
        let kept = before.and_then(|before| {
            let reason = OF_SILENCE.into_iter().find(|reason| *reason == before.reason)?;
            Some((false, reason, before.message.clone()))
        });
        let (status, reason, message) = kept.unwrap_or((status, reason, message));
        Some(Statement { type_: ANNOUNCED_CONDITION, status, reason, message })
    }

    fn replace_service(&mut self, key: &ServiceKey, facts: Option<ServiceFacts>) -> Vec<ServiceKey> {
        let had = self.planner.service(key).map(|facts| facts.addresses.clone()).unwrap_or_default();
        let has = facts.as_ref().map(|facts| facts.addresses.clone()).unwrap_or_default();
        let shared: BTreeSet<IpAddr> = had.iter().chain(&has).copied().collect();
        let others = |planner: &Planner<ServiceKey>, address| {
            planner.services_at(address).iter().any(|service| service != key)
        };
        let shared: Vec<_> = shared.into_iter().filter(|address| others(&self.planner, *address)).collect();
        let before: Vec<_> = shared.iter().map(|address| self.hindrance_and_sharers(*address)).collect();
        if self.planner.set_service(key, facts).is_empty() {
            return Vec::new();
        }
        let differing = shared.into_iter().zip(before);
        let differing: Vec<_> = differing
            .filter_map(|(address, before)| {
                (self.hindrance_and_sharers(address) != before).then_some(address)
            })
            .collect();
        self.services_at(&differing).into_iter().filter(|service| service != key).collect()
    }

    /// What keeps an address from being announced, and, as that is told, whether it is shared.
    fn hindrance_and_sharers(&mut self, address: IpAddr) -> Option<(Hindrance, bool)> {
        let hindrance = self.planner.hindrance(address)?;
        Some((hindrance, self.planner.services_at(address).len() > 1))
    }

    fn services_at(&self, addresses: &[IpAddr]) -> Vec<ServiceKey> {
        let services: BTreeSet<_> =
            addresses.iter().flat_map(|address| self.planner.services_at(*address)).cloned().collect();
        services.into_iter().collect()
    }

    /// Tells the record of Leases something. Returns whether a judgement may differ.
    fn ask_liveness(&mut self, tell: impl FnOnce(&mut Liveness) -> bool) -> bool {
        let in_doubt = self.liveness.is_in_doubt();
        let differs = tell(&mut self.liveness)
            && !self.planner.set_speakers(|node| self.liveness.speaker(node)).is_empty();
        differs || in_doubt != self.liveness.is_in_doubt()
    }
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// What is known and not there any more.
fn gone<'a, T>(
    known: impl Iterator<Item = &'a str>,
    there: &BTreeMap<String, T>,
) -> Vec<(String, Option<T>)> {
    known.filter(|name| !there.contains_key(*name)).map(|name| (name.to_owned(), None)).collect()
}

fn present<T>(there: BTreeMap<String, T>) -> impl Iterator<Item = (String, Option<T>)> {
    there.into_iter().map(|(name, value)| (name, Some(value)))
}
