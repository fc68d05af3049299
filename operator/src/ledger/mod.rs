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
mod grant;
mod legality;
mod pool;
mod pool_set;
pub(crate) mod ranges;
mod runs;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ferrolb_crds::range::Family;

pub use self::assignment::{Assignment, Cause, Decision, GivenUp, Place};
pub use self::pool::{PoolDefinition, Usage};
use self::pool_set::PoolSet;
use crate::key::ServiceKey;
use crate::request::Request;

/// How long an address may be outside every pool before it is given up, counted from the last change of pools:
/// a rename or a split of a pool in two steps costs nothing.
pub const GRACE: Duration = Duration::from_secs(30);

/// Who has which address.
#[derive(Clone, Debug)]
pub struct Ledger {
    pools: PoolSet,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    tenants: HashMap<IpAddr, ServiceKey>,
    holdings: HashMap<ServiceKey, Holding>,
    /// Services with an address that is at home in no pool.
    outside: BTreeSet<ServiceKey>,
    /// Until when such an address is kept.
    grace: Option<Instant>,
    freed: bool,
}

/// What the ledger has on a Service.
#[derive(Clone, Debug, Default)]
struct Holding {
    assignment: Assignment,
    /// Addresses that it gave up and that its status may still show.
    leaving: Vec<Place>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(now: Instant) -> Self {
        Self {
            pools: PoolSet::default(),
            namespaces: HashMap::new(),
            tenants: HashMap::new(),
            holdings: HashMap::new(),
            outside: BTreeSet::new(),
            grace: Some(now + GRACE),
            freed: false,
        }
    }

    /// Replaces all pools. Ready ones must not overlap. Nobody loses an address by this: the next decision on each
    /// Service tells.
    pub fn set_pools(&mut self, definitions: Vec<PoolDefinition>, now: Instant) {
        self.pools = PoolSet::new(definitions);
        self.grace = Some(now + GRACE);
        self.outside.clear();
        for (service, holding) in &mut self.holdings {
            let Holding { assignment: Assignment { v4, v6 }, leaving } = holding;
            for place in v4.iter_mut().chain(v6).chain(leaving) {
                if let Some(pool) = self.pools.pool_of(place.address) {
                    place.pool = pool.name().clone();
                }
                match self.pools.home_mut(place) {
                    Some(pool) => pool.occupy(place.address),
                    None => drop(self.outside.insert(service.clone())),
                }
            }
        }
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

    /// Takes over the addresses of a Service's status that are legal and free, for the families that it has none
    /// of; others that are free stay taken until [`Self::settle`]. At the start this is done for all Services, the
    /// oldest first, before any is given something new.
    ///
    /// An address that no pool contains, and that the operator did not note a pool for, is none of ours.
    pub fn adopt(&mut self, request: &Request) {
        for address in &request.held {
            let Some(place) = self.place_of(request, *address) else { continue };
            let tenant = self.tenants.get(address);
            if tenant.is_some_and(|tenant| *tenant != request.service) {
                continue;
            }
            let known = tenant.is_some();
            let has = self.assignment(&request.service);
            let vacant = has.is_none_or(|has| has.get(Family::of(*address)).is_none());
            if vacant && self.legality(request, &place).is_ok() {
                self.take(&request.service, place);
            } else if !known {
                self.occupy(&request.service, &place);
                self.holdings.entry(request.service.clone()).or_default().leaving.push(place);
            }
        }
    }

    /// Decides on a request: keeps what is legal, gives up what is not, and gives what is missing.
    pub fn decide(&mut self, request: &Request) -> Decision {
        self.adopt(request);
        self.give_up(request);
        let granted = match &request.wish {
            Ok(wish) => self.grant(request, wish),
            Err(refusal) => Err(refusal.clone()),
        };
        let assignment = self.assignment(&request.service).cloned().unwrap_or_default();
        let given_up = self.lost(request, &assignment);
        match granted {
            Ok(complete) => Decision { assignment, refusal: None, wants_more: !complete, given_up },
            Err(refusal) => {
                let wants_more = request.wish.is_ok();
                Decision { assignment, refusal: Some(refusal), wants_more, given_up }
            }
        }
    }

    /// Notes that the Service's status shows its assignment and nothing else.
    pub fn settle(&mut self, service: &ServiceKey) {
        let Some(holding) = self.holdings.get_mut(service) else { return };
        let leaving = std::mem::take(&mut holding.leaving);
        if holding.assignment.is_empty() {
            self.holdings.remove(service);
        }
        for place in leaving {
            self.free(&place);
        }
    }

    /// Frees everything that a Service has. Returns whether it had anything.
    pub fn release(&mut self, service: &ServiceKey) -> bool {
        self.outside.remove(service);
        let Some(holding) = self.holdings.remove(service) else { return false };
        for place in holding.assignment.iter().chain(&holding.leaving) {
            self.free(place);
        }
        true
    }

    /// Whether an address became free since this was asked last: Services that want more may get it now.
    pub fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    /// What a Service has.
    pub fn assignment(&self, service: &ServiceKey) -> Option<&Assignment> {
        self.holdings.get(service).map(|holding| &holding.assignment)
    }

    /// How much of a pool is given and left.
    pub fn usage(&self, pool: &str) -> Option<Usage> {
        self.pools.get(pool).map(pool::Pool::usage)
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.grace.filter(|_| !self.outside.is_empty())
    }

    /// Ends the grace of addresses outside every pool when it is over. Returns the Services that have to be
    /// decided on again.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<ServiceKey> {
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
            noted.map(|pool| pool.as_str().into())
        });
        pool.map(|pool| Place { address, pool })
    }

    /// Gives a free address to a Service that has none of its family.
    fn take(&mut self, service: &ServiceKey, place: Place) {
        self.occupy(service, &place);
        if self.pools.home(&place).is_none() {
            self.outside.insert(service.clone());
        }
        let holding = self.holdings.entry(service.clone()).or_default();
        holding.leaving.retain(|leaving| leaving.address != place.address);
        let family = Family::of(place.address);
        *holding.assignment.slot_mut(family) = Some(place);
    }

    fn occupy(&mut self, service: &ServiceKey, place: &Place) {
        let new = self.tenants.insert(place.address, service.clone()).is_none();
        if new && let Some(pool) = self.pools.home_mut(place) {
            pool.occupy(place.address);
        }
    }

    fn free(&mut self, place: &Place) {
        self.freed = true;
        self.tenants.remove(&place.address);
        if let Some(pool) = self.pools.home_mut(place) {
            pool.vacate(place.address);
        }
    }
}
