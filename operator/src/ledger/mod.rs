//! Who has which address.
//!
//! The ledger is pure and deterministic: it is told of pools, namespaces and requests, and answers each request
//! with a [`Decision`]. It holds every address that a Service has been given, also while the API server has not
//! shown it yet, so an address is never given twice. Nothing in it walks over addresses: an IPv6 /64 costs what a
//! /24 costs.
//!
//! An address that leaves a Service's status stays taken until [`Ledger::settle`] says that the status was
//! written, so that no two Services ever show it at once.

mod assignment;
mod claims;
mod grant;
mod legality;
mod occupancy;
mod pool;
mod pool_set;
pub(crate) mod ranges;
mod reservations;
mod runs;
mod sharers;
mod slots;
mod tenancy;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::range::{AddressRange, Family};

pub use self::assignment::{Assignment, Cause, Decision, GivenUp, Place};
use self::claims::Claims;
pub use self::claims::{Claimant, Party};
pub use self::pool::{PoolDefinition, Usage};
use self::pool_set::PoolSet;
use self::reservations::Reservations;
use self::sharers::Sharers;
use self::tenancy::Tenancy;
pub use self::topic::Topic;
use crate::key::ServiceKey;
use crate::request::Request;

/// How long an address may be outside every pool before it is given up, counted from the last change of pools:
/// a rename or a split of a pool in two steps costs nothing.
pub const GRACE: Duration = Duration::from_secs(30);

/// What the user decides for the whole ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long the addresses of a deleted Service are kept for one of the same name; zero for not at all.
    pub hold: Duration,
    /// Whether Services of different namespaces may share an address.
    pub share_across_namespaces: bool,
}

/// Who has which address.
#[derive(Clone, Debug)]
pub struct Ledger {
    policy: Policy,
    pools: PoolSet,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    tenancies: HashMap<IpAddr, Tenancy>,
    holdings: HashMap<ServiceKey, Holding>,
    sharers: Sharers,
    claims: Claims,
    reservations: Reservations,
    /// Services with an address that is at home in no pool.
    outside: BTreeSet<ServiceKey>,
    /// Until when such an address is kept.
    grace: Option<Instant>,
    /// What became free.
    freed: BTreeSet<Topic>,
}

/// What the ledger has on a Service.
#[derive(Clone, Debug, Default)]
struct Holding {
    assignment: Assignment,
    /// Addresses that it gave up and that its status may still show.
    leaving: Vec<Place>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { hold: Duration::from_secs(300), share_across_namespaces: true }
    }
}

impl Ledger {
    /// An empty ledger.
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            pools: PoolSet::default(),
            namespaces: HashMap::new(),
            tenancies: HashMap::new(),
            holdings: HashMap::new(),
            sharers: Sharers::default(),
            claims: Claims::default(),
            reservations: Reservations::default(),
            outside: BTreeSet::new(),
            grace: Some(now + GRACE),
            freed: BTreeSet::new(),
        }
    }

    /// Replaces all pools. Ready ones must not overlap. Nobody loses an address by this: the next decision on each
    /// Service tells.
    pub fn set_pools(&mut self, definitions: Vec<PoolDefinition>, now: Instant) {
        self.pools = PoolSet::new(definitions);
        self.grace = Some(now + GRACE);
        self.outside.clear();
        for (service, Holding { assignment: Assignment { v4, v6 }, leaving }) in &mut self.holdings {
            for place in v4.iter_mut().chain(v6).chain(leaving) {
                if let Some(pool) = self.pools.pool_of(place.address) {
                    place.pool = pool.name().clone();
                }
                if self.pools.home(place).is_none() {
                    self.outside.insert(service.clone());
                }
            }
        }
        self.reoccupy();
    }

    /// Sets or, with `None`, removes the labels of a namespace. Returns whether that is news.
    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) -> bool {
        let news = self.namespaces.get(name) != labels.as_ref();
        match labels {
            Some(labels) => drop(self.namespaces.insert(name.to_owned(), labels)),
            None => drop(self.namespaces.remove(name)),
        }
        news
    }

    /// Replaces the addresses that a party claims for itself: they are given to no Service any more. A Service that
    /// has one of them already keeps it, unless an older Service of another class has it too. Returns the Services
    /// that have one of them.
    pub fn set_claims(&mut self, party: &Party, claims: Vec<(IpAddr, Claimant)>) -> Vec<ServiceKey> {
        let concerned = self.claims.of(party).iter().chain(&claims).map(|(address, _)| *address);
        let counted: BTreeMap<_, _> = concerned.map(|address| (address, self.is_counted(address))).collect();
        let changed = self.claims.set(party, claims);
        for (address, before) in counted {
            let change = i64::from(self.is_counted(address)) - i64::from(before);
            if let Some(pool) = self.pools.pool_of_mut(address).filter(|_| change != 0) {
                pool.count(address, change);
            }
        }
        for address in &changed {
            self.mark(*address);
            if self.claims.on(*address).is_none() {
                self.offer_sharing(*address);
            }
        }
        changed.iter().flat_map(|address| self.tenancies.get(address)).flat_map(Tenancy::tenants).collect()
    }

    /// Whether a party claims something else than the ledger knows.
    pub fn claims_differ(&self, party: &Party, claims: &[(IpAddr, Claimant)]) -> bool {
        self.claims.of(party) != claims
    }

    /// A node that has an address in one of these ranges: the first by name.
    pub fn node_in(&self, ranges: &[AddressRange]) -> Option<(&str, IpAddr)> {
        self.claims.node_in(ranges)
    }

    /// Takes over the addresses of a Service's status that are legal and free, for the families that it has none
    /// of; others that are free stay taken until [`Self::settle`]. At the start this is done for all Services, the
    /// oldest first, before any is given something new.
    ///
    /// An address that no pool contains, and that the operator did not note a pool for, is none of ours.
    pub fn adopt(&mut self, request: &Request) {
        for address in &request.held {
            let Some(place) = self.place_of(request, *address) else { continue };
            let tenancy = self.tenancies.get(address);
            let known = tenancy.is_some_and(|tenancy| tenancy.has(&request.service));
            if !known && self.sharing_bar(request, *address).is_some() {
                continue;
            }
            let has = self.assignment(&request.service);
            let vacant = has.is_none_or(|has| has.get(Family::of(*address)).is_none());
            if vacant && self.legality(request, &place).is_ok() {
                self.take(request, place);
            } else if !known {
                self.occupy(request, &place);
                self.holdings.entry(request.service.clone()).or_default().leaving.push(place);
            }
        }
    }

    /// Decides on a request: keeps what is legal, gives up what is not, and gives what is missing.
    pub fn decide(&mut self, request: &Request) -> Decision {
        self.adopt(request);
        self.give_up(request);
        self.renegotiate(request);
        let mut topics = Vec::new();
        let granted = match &request.wish {
            Ok(wish) => self.grant(request, wish, &mut topics),
            Err(refusal) => Err(refusal.clone()),
        };
        let assignment = self.assignment(&request.service).cloned().unwrap_or_default();
        let given_up = self.lost(request, &assignment);
        let (refusal, complete) = match granted {
            Ok(complete) => (None, complete),
            Err(refusal) => (Some(refusal), request.wish.is_err()),
        };
        Decision { assignment, refusal, wants_more: !complete, waits_for: topics, given_up }
    }

    /// Notes that the Service's status shows its assignment and nothing else.
    pub fn settle(&mut self, service: &ServiceKey) {
        let Some(holding) = self.holdings.get_mut(service) else { return };
        let leaving = std::mem::take(&mut holding.leaving);
        if holding.assignment.is_empty() {
            self.holdings.remove(service);
        }
        for place in leaving {
            self.free(service, &place);
        }
    }

    /// Takes everything from a Service that wants no address any more. What its status shows stays taken until
    /// [`Self::settle`].
    pub fn retire(&mut self, service: &ServiceKey) {
        self.outside.remove(service);
        if let Some(Holding { assignment, leaving }) = self.holdings.get_mut(service) {
            let Assignment { v4, v6 } = std::mem::take(assignment);
            leaving.extend(v4.into_iter().chain(v6));
        }
    }

    /// Frees everything that a Service has at once.
    pub fn release(&mut self, service: &ServiceKey) {
        self.outside.remove(service);
        let Some(holding) = self.holdings.remove(service) else { return };
        for place in holding.assignment.iter().chain(&holding.leaving) {
            self.free(service, place);
        }
    }

    /// Frees everything that a deleted Service has, but keeps its addresses for one of the same name that may
    /// come: others get them only when they ask for them by name, or when nothing else is left.
    pub fn delete(&mut self, service: &ServiceKey, now: Instant) {
        let left = self.assignment(service).filter(|has| !has.is_empty()).cloned();
        self.release(service);
        if let Some(left) = left.filter(|_| !self.policy.hold.is_zero()) {
            let addresses: Vec<_> = left.iter().map(|place| place.address).collect();
            let until = now + self.policy.hold;
            let ended = self.reservations.keep(service, left, until);
            ended.into_iter().chain(addresses).for_each(|address| self.mark(address));
        }
    }

    /// What became free since this was asked last: Services that wait for it may get it now.
    pub fn take_freed(&mut self) -> BTreeSet<Topic> {
        std::mem::take(&mut self.freed)
    }

    /// Whether there is something to be had still of what became free.
    pub fn has_free(&self, pool: &str, family: Family) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.lowest_free(family).is_some())
    }

    /// What a Service has.
    pub fn assignment(&self, service: &ServiceKey) -> Option<&Assignment> {
        self.holdings.get(service).map(|holding| &holding.assignment)
    }

    /// Whether a Service has an address, or still shows one that it gave up.
    pub fn is_tenant(&self, service: &ServiceKey, address: IpAddr) -> bool {
        self.tenancies.get(&address).is_some_and(|tenancy| tenancy.has(service))
    }

    /// Whether an address belongs to any pool.
    pub fn is_in_a_pool(&self, address: IpAddr) -> bool {
        self.pools.pool_of(address).is_some()
    }

    /// How much of a pool is given and left.
    pub fn usage(&self, pool: &str) -> Option<Usage> {
        self.pools.get(pool).map(pool::Pool::usage)
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let grace = self.grace.filter(|_| !self.outside.is_empty());
        [grace, self.reservations.poll_timeout()].into_iter().flatten().min()
    }

    /// Ends what is over: addresses kept for names that did not come back, and the grace of addresses outside every
    /// pool. Returns the Services that have to be decided on again.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<ServiceKey> {
        let expired = self.reservations.expire(now);
        expired.into_iter().for_each(|address| self.mark(address));
        if self.grace.is_none_or(|until| now < until) {
            return Vec::new();
        }
        self.grace = None;
        self.outside.iter().cloned().collect()
    }

    /// The place of an address in the Service's status, if it has to do with any pool.
    fn place_of(&self, request: &Request, address: IpAddr) -> Option<Place> {
        let pool = self.pools.pool_of(address).map(|pool| pool.name().clone()).or_else(|| {
            let index = request.held.iter().position(|held| *held == address)?;
            let noted = request.held_from.get(index).or(request.held_from.first());
            noted.map(|pool| Arc::from(pool.as_str()))
        });
        pool.map(|pool| Place { address, pool })
    }
}
