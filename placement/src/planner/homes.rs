//! Which pool an address belongs to, which advertisements count for it, and for how long they do while no pool
//! contains it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::L2AdvertisementSpec;

use super::compact;
use crate::facts::{PoolFacts, ServiceFacts};
use crate::place::Unannounced;
use crate::select::{Advertisement, Selection, home, selects_pool};

/// For how long the advertisements count that counted for an address last, while no pool contains it: from the last
/// change of a pool on, so that one renamed or split in two steps changes nothing. It is longer than the operator
/// waits until it takes such an address from its Services.
pub const GRACE: Duration = Duration::from_secs(35);

/// All pools and advertisements, and what counts for each address.
#[derive(Debug, Default)]
pub(super) struct Homes {
    pools: BTreeMap<String, PoolFacts>,
    advertisements: BTreeMap<String, Arc<Advertisement>>,
    /// The advertisements that select each pool, as far as that was asked.
    of_pool: BTreeMap<String, Vec<Arc<Advertisement>>>,
    /// Every selection, once in memory.
    selections: BTreeSet<Selection>,
    counting: BTreeMap<IpAddr, Counting>,
    /// Addresses that no pool contains, and for which the advertisements of before count.
    homeless: BTreeSet<IpAddr>,
    /// Until when these count.
    grace: Option<Instant>,
    /// How often a pool or an advertisement has changed.
    revision: u64,
}

/// What counts for an address.
#[derive(Debug)]
struct Counting {
    selection: Result<Selection, Unannounced>,
    /// The revision that this was found out in; `None` if it may have changed since.
    seen: Option<u64>,
}

impl Homes {
    /// Returns whether that is news.
    pub(super) fn set_pool(&mut self, name: &str, facts: Option<PoolFacts>, now: Instant) -> bool {
        if self.pools.get(name) == facts.as_ref() {
            return false;
        }
        match facts {
            Some(facts) => drop(self.pools.insert(name.to_owned(), facts)),
            None => drop(self.pools.remove(name)),
        }
        self.grace = Some(now + GRACE);
        self.revise();
        true
    }

    /// Returns whether that is news.
    pub(super) fn set_advertisement(&mut self, name: &str, spec: Option<L2AdvertisementSpec>) -> bool {
        if self.advertisements.get(name).map(|known| &known.spec) == spec.as_ref() {
            return false;
        }
        self.revise();
        let revision = self.revision;
        match spec {
            Some(spec) => {
                let advertisement = Arc::new(Advertisement { revision, spec });
                self.advertisements.insert(name.to_owned(), advertisement);
            }
            None => drop(self.advertisements.remove(name)),
        }
        true
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.grace.filter(|_| !self.homeless.is_empty())
    }

    /// Returns the addresses for which nothing counts any more.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<IpAddr> {
        if self.grace.is_none_or(|until| now < until) {
            return Vec::new();
        }
        self.grace = None;
        let homeless: Vec<_> = std::mem::take(&mut self.homeless).into_iter().collect();
        homeless.iter().for_each(|address| self.look_again(*address));
        homeless
    }

    /// Notes that something of a Service changed that has the address.
    pub(super) fn look_again(&mut self, address: IpAddr) {
        if let Some(counting) = self.counting.get_mut(&address) {
            counting.seen = None;
        }
    }

    pub(super) fn compact(&mut self) {
        compact(&mut self.counting);
    }

    /// Notes that no Service has the address any more.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.counting.remove(&address);
        self.homeless.remove(&address);
    }

    /// The advertisements that count for an address that these Services have.
    pub(super) fn selection<'a>(
        &mut self,
        address: IpAddr,
        services: impl Iterator<Item = &'a ServiceFacts>,
    ) -> Result<&Selection, Unannounced> {
        let seen = Some(self.revision);
        if self.counting.get(&address).is_none_or(|known| known.seen != seen) {
            let selection = self.look(address, &services.collect::<Vec<_>>());
            self.counting.insert(address, Counting { selection, seen });
        }
        match &self.counting.get(&address).ok_or(Unannounced::NoAddress)?.selection {
            Ok(selection) => Ok(selection),
            Err(unannounced) => Err(*unannounced),
        }
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &str> {
        self.pools.keys().map(String::as_str)
    }

    pub(super) fn advertisements(&self) -> impl Iterator<Item = &str> {
        self.advertisements.keys().map(String::as_str)
    }

    fn look(&mut self, address: IpAddr, services: &[&ServiceFacts]) -> Result<Selection, Unannounced> {
        let Some(pool) = home(address, self.pools.values()) else {
            let last = self.counting.get(&address).and_then(|known| known.selection.as_ref().ok());
            let last = last.filter(|_| self.grace.is_some()).cloned().ok_or(Unannounced::NoPool)?;
            self.homeless.insert(address);
            return Ok(last);
        };
        self.homeless.remove(&address);
        if !self.of_pool.contains_key(&pool.name) {
            let all = self.advertisements.values();
            let selecting = all.filter(|advertisement| selects_pool(&advertisement.spec, pool)).cloned();
            self.of_pool.insert(pool.name.clone(), selecting.collect());
        }
        let of_pool = self.of_pool.get(&pool.name).into_iter().flatten();
        let selection = Selection::of(services, of_pool).ok_or(Unannounced::NoAdvertisement)?;
        if let Some(known) = self.selections.get(&selection) {
            return Ok(known.clone());
        }
        self.selections.insert(selection.clone());
        Ok(selection)
    }

    fn revise(&mut self) {
        self.revision += 1;
        self.of_pool.clear();
        self.selections.clear();
    }
}
