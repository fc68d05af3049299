//! Whether a Service's addresses can be announced, and what to say if not.
//!
//! This is placement's answer from the same objects that the speakers see, so that a tenant who can read nothing but
//! the Service is told. It names no node: that an address moves writes nothing.

mod by_service;
mod reports;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ferrolb_crds::condition::{self, Statement};
use ferrolb_crds::lease::Observed;
use ferrolb_crds::names::ANNOUNCED_CONDITION;
use ferrolb_crds::pool::IPAddressPool;
use ferrolb_crds::{L2Advertisement, L2AdvertisementSpec};
use ferrolb_placement::{
    Endpoints, Exclusion, Hindrance, Liveness, NodeFacts, PoolFacts, ServiceFacts, Unannounced, hindrance,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use self::reports::{Report, Reports};
use self::slices::Slices;
pub use self::slices::{Slice, read_slice};
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
    nodes: BTreeMap<String, NodeFacts>,
    pools: Vec<PoolFacts>,
    advertisements: Vec<L2AdvertisementSpec>,
    slices: Slices,
    reports: Reports,
    liveness: Liveness,
    ignore_exclude_label: bool,
}

impl Surroundings {
    /// Nothing is known yet. Speakers that ignore the label which excludes nodes have to be asked with the same.
    pub fn new(ignore_exclude_label: bool) -> Self {
        Self {
            nodes: BTreeMap::new(),
            pools: Vec::new(),
            advertisements: Vec::new(),
            slices: Slices::default(),
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
        if self.nodes.get(name) == facts.as_ref() {
            return false;
        }
        match facts {
            Some(facts) => drop(self.nodes.insert(name.to_owned(), facts)),
            None => drop(self.nodes.remove(name)),
        }
        true
    }

    /// Replaces all pools and advertisements. Returns whether a judgement may differ.
    pub fn set_objects(
        &mut self,
        pools: &[Arc<IPAddressPool>],
        advertisements: &[Arc<L2Advertisement>],
    ) -> bool {
        let pools: Vec<_> = pools.iter().map(|pool| PoolFacts::from(&**pool)).collect();
        let advertisements: Vec<_> = advertisements.iter().map(|it| it.spec.clone()).collect();
        let differs = pools != self.pools || advertisements != self.advertisements;
        (self.pools, self.advertisements) = (pools, advertisements);
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
    pub fn set_slice(&mut self, key: ServiceKey, slice: Option<Slice>) -> Vec<ServiceKey> {
        self.slices.set(key, slice)
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
        self.nodes.values()
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.liveness.poll_timeout()
    }

    /// Expires Leases. Returns whether a judgement may differ.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        self.ask_liveness(|liveness| liveness.handle_timeout(now))
    }

    /// What to say on a Service that has these addresses and shows these conditions; nothing if it has no address.
    pub fn judge(
        &self,
        request: &Request,
        assignment: &Assignment,
        shown: &[Condition],
    ) -> Option<Statement> {
        if assignment.is_empty() {
            return None;
        }
        let local = matches!(request.sharing.backend, Backend::Local(_));
        let service = ServiceFacts {
            addresses: assignment.iter().map(|place| place.address).collect(),
            labels: request.labels.clone(),
            local,
            preferred_node: None,
        };
        let endpoints = if local { self.slices.endpoints(&request.service) } else { Endpoints::default() };
        let hindrance =
            hindrance(&service, &endpoints, self.nodes.values(), &self.pools, &self.advertisements);
        let (status, (reason, message)) = match (&hindrance, self.reports.conflict(&request.service)) {
            (Some(hindrance), _) => (false, explain(hindrance)),
            (None, Some(conflict)) => (false, ("AddressConflict", conflict.to_owned())),
            (None, None) => (true, ("Announced", "a node announces it".to_owned())),
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

    /// Tells the record of Leases something. Returns whether a judgement may differ.
    fn ask_liveness(&mut self, tell: impl FnOnce(&mut Liveness) -> bool) -> bool {
        let in_doubt = self.liveness.is_in_doubt();
        let differs = tell(&mut self.liveness) && self.update_speakers();
        differs || in_doubt != self.liveness.is_in_doubt()
    }

    fn update_speakers(&mut self) -> bool {
        let mut differs = false;
        for (name, facts) in &mut self.nodes {
            let speaker = self.liveness.speaker(name);
            differs |= facts.speaker != speaker;
            facts.speaker = speaker;
        }
        differs
    }
}

/// The reason and the message of a hindrance.
fn explain(hindrance: &Hindrance) -> (&'static str, String) {
    match hindrance {
        Hindrance::Unannounced(Unannounced::NoAddress | Unannounced::NoPool) => {
            ("NoAdvertisement", "no pool contains the addresses, so no L2Advertisement can select them".to_owned())
        }
        Hindrance::Unannounced(Unannounced::NoAdvertisement) => (
            "NoAdvertisement",
            "no L2Advertisement selects this Service and the pools of its addresses: create one".to_owned(),
        ),
        Hindrance::NoNode(excluded) if excluded.contains_key(&Exclusion::NoLocalEndpoint) => (
            "NoServingEndpoint",
            "externalTrafficPolicy is Local, and no node that may announce the addresses has a serving endpoint"
                .to_owned(),
        ),
        Hindrance::NoNode(excluded) => {
            let reasons: Vec<_> = excluded.keys().map(ToString::to_string).collect();
            let reasons = if reasons.is_empty() { "there is no node".to_owned() } else { reasons.join("; ") };
            ("NoEligibleNode", format!("no node may announce the addresses: {reasons}"))
        }
    }
}
