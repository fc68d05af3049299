//! Which free addresses a Service is given.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_crds::range::Family;

use super::Ledger;
use super::assignment::{Assignment, Place};
use super::pool::{Admission, Pool};
use super::topic::Topic;
use crate::refusal::{PoolBar, Refusal};
use crate::request::{Addresses, Families, Request, Source, Wish};

impl Ledger {
    /// Gives the Service what it lacks, and returns whether it lacks nothing any more. What it waits for otherwise
    /// goes to `topics`.
    ///
    /// # Errors
    /// When it does not get what it has to have; then it is given nothing new.
    pub(super) fn grant(
        &mut self,
        request: &Request,
        wish: &Wish,
        topics: &mut Vec<Topic>,
    ) -> Result<bool, Refusal> {
        let has = self.assignment(&request.service);
        let missing: Vec<Family> = Families::ALL
            .into_iter()
            .filter(|family| {
                wish.families.include(*family) && has.is_none_or(|has| has.get(*family).is_none())
            })
            .collect();
        let none = Assignment::default();
        let has = has.unwrap_or(&none);
        let chosen = match &wish.source {
            Source::Addresses { addresses, pool } => {
                if let Some(pool) = pool {
                    self.check_pool(addresses, pool, missing.is_empty())?;
                }
                self.choose_named(request, &missing, addresses, topics)?
            }
            Source::Pool(_) | Source::Automatic if missing.is_empty() => Vec::new(),
            Source::Pool(name) => match self.pools.get(name) {
                Some(pool) => self.choose_free(request, wish, has, &missing, &[pool], topics)?,
                None if suffices(wish, has, &[], &missing) => Vec::new(),
                None => return Err(Refusal::UnknownPool(name.clone())),
            },
            Source::Automatic => {
                let pools: Vec<_> = self.pools.iter().collect();
                self.choose_free(request, wish, has, &missing, &pools, topics)?
            }
        };
        let complete = chosen.len() == missing.len();
        for place in chosen {
            self.take(request, place);
        }
        if !missing.is_empty() {
            let kept = self.reservations.end(&request.service);
            kept.into_iter().for_each(|address| self.mark(address));
        }
        Ok(complete)
    }

    /// The addresses asked for and the pool asked for have to agree. A Service that has what it asks for is not
    /// troubled because its pool was renamed.
    fn check_pool(&self, addresses: &Addresses, name: &str, satisfied: bool) -> Result<(), Refusal> {
        if self.pools.get(name).is_none() {
            return if satisfied { Ok(()) } else { Err(Refusal::UnknownPool(name.to_owned())) };
        }
        let stray = addresses
            .iter()
            .find(|address| self.pools.pool_of(*address).is_some_and(|contains| **contains.name() != *name));
        match stray {
            Some(address) => Err(Refusal::OutsideRequestedPool { address, pool: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn choose_named(
        &self,
        request: &Request,
        missing: &[Family],
        addresses: &Addresses,
        topics: &mut Vec<Topic>,
    ) -> Result<Vec<Place>, Refusal> {
        let asked = missing.iter().filter_map(|family| addresses.get(*family));
        topics.extend(asked.clone().map(Topic::Address));
        let chosen = asked.map(|address| self.choose_one(request, address)).collect::<Result<_, _>>()?;
        topics.clear();
        Ok(chosen)
    }

    fn choose_one(&self, request: &Request, address: IpAddr) -> Result<Place, Refusal> {
        let pool = self.pools.pool_of(address).ok_or(Refusal::OutsidePools(address))?;
        let name = || pool.name().to_string();
        if let Some(bar) = self.bar(request, pool) {
            return Err(Refusal::PoolBarred { address, pool: name(), bar });
        }
        if !pool.hands_out(address) {
            return Err(Refusal::Excluded { address, pool: name() });
        }
        if let Some(by) = self.claims.on(address) {
            return Err(Refusal::Claimed { address, by: by.clone() });
        }
        match self.sharing_bar(request, address) {
            Some((by, bar)) => Err(Refusal::InUse { address, by: by.clone(), bar }),
            None => Ok(Place { address, pool: pool.name().clone() }),
        }
    }

    /// An address of each missing family: the one that is kept for the Service if there is one, else a place in a
    /// sharing set with its key, else the lowest free one. That is taken from one pool that has all that is missing
    /// if there is one, else from the pool of what the Service has already, else from the first pool that has one.
    fn choose_free(
        &self,
        request: &Request,
        wish: &Wish,
        has: &Assignment,
        missing: &[Family],
        pools: &[&Pool],
        topics: &mut Vec<Topic>,
    ) -> Result<Vec<Place>, Refusal> {
        let automatic = wish.source == Source::Automatic;
        let bar = |pool: &Pool| {
            self.bar(request, pool)
                .or((automatic && !pool.definition.spec.auto_assign).then_some(PoolBar::NotAutomatic))
        };
        let open: Vec<&Pool> = pools.iter().copied().filter(|pool| bar(pool).is_none()).collect();
        let mut chosen: Vec<Place> = missing
            .iter()
            .filter_map(|family| {
                self.kept_for(request, *family, &open).or_else(|| self.shared_by(request, *family, &open))
            })
            .collect();
        let found =
            |chosen: &[Place], family: Family| chosen.iter().any(|place| Family::of(place.address) == family);
        let rest: Vec<Family> = missing.iter().copied().filter(|family| !found(&chosen, *family)).collect();
        let own: Vec<_> = has
            .iter()
            .chain(&chosen)
            .filter_map(|place| self.pools.pool_of(place.address))
            .map(Pool::name)
            .collect();
        let preferred = open.iter().find(|pool| own.contains(&pool.name())).into_iter().chain(&open);
        let all_of = |pool: &&Pool| -> Option<Vec<Place>> {
            rest.iter().map(|family| pool.lowest_free(*family)).collect()
        };
        chosen.extend(preferred.clone().find_map(all_of).unwrap_or_else(|| {
            rest.iter()
                .filter_map(|family| preferred.clone().find_map(|pool| pool.lowest_free(*family)))
                .collect()
        }));
        chosen.sort_by_key(|place| Family::of(place.address));

        for family in missing.iter().filter(|family| !found(&chosen, **family)) {
            let waited = open.iter().filter(|pool| pool.has(*family));
            topics.extend(waited.map(|pool| Topic::Pool(pool.name().clone(), *family)));
            topics.extend(request.sharing.key.clone().map(Topic::Key));
        }
        if suffices(wish, has, &chosen, missing) { Ok(chosen) } else { Err(refuse(pools, bar, missing)) }
    }

    /// The address that is kept for the Service, if its pool would still give it.
    fn kept_for(&self, request: &Request, family: Family, open: &[&Pool]) -> Option<Place> {
        let address = self.reservations.get(&request.service, family)?.address;
        self.could_give(request, address, open)
    }

    /// The place in a sharing set with the Service's key: the lowest address in the first pool that has one.
    fn shared_by(&self, request: &Request, family: Family, open: &[&Pool]) -> Option<Place> {
        let addresses = self.sharers.addresses(family, &request.sharing);
        let places = addresses.filter_map(|address| self.could_give(request, address, open));
        places.min_by_key(|place| (self.pools.position(&place.pool), place.address))
    }

    fn could_give(&self, request: &Request, address: IpAddr, open: &[&Pool]) -> Option<Place> {
        let pool = self.pools.pool_of(address)?;
        let gives = open.iter().any(|open| open.name() == pool.name()) && pool.hands_out(address);
        let free = self.claims.on(address).is_none() && self.sharing_bar(request, address).is_none();
        (gives && free).then(|| Place { address, pool: pool.name().clone() })
    }

    /// What keeps a pool from giving the Service anything new.
    fn bar(&self, request: &Request, pool: &Pool) -> Option<PoolBar> {
        pool.closed().or_else(|| match pool.admits(request, self.namespace_labels(request)) {
            Admission::Yes => None,
            Admission::No | Admission::Unknown => Some(PoolBar::OtherServices),
        })
    }

    pub(super) fn namespace_labels(&self, request: &Request) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(&*request.service.namespace)
    }
}

/// Whether a Service has what it has to have, with what it is to get of what is missing.
fn suffices(wish: &Wish, has: &Assignment, chosen: &[Place], missing: &[Family]) -> bool {
    match wish.families {
        Families::One(_) | Families::RequireBoth => chosen.len() == missing.len(),
        Families::PreferBoth => !chosen.is_empty() || !has.is_empty(),
    }
}

fn refuse(pools: &[&Pool], bar: impl Fn(&Pool) -> Option<PoolBar>, missing: &[Family]) -> Refusal {
    let tried = pools.iter().flat_map(|pool| {
        let bars: Vec<_> = match bar(pool) {
            Some(bar) => vec![bar],
            None => missing
                .iter()
                .filter(|family| pool.lowest_free(**family).is_none())
                .map(|family| match pool.has(*family) {
                    true => PoolBar::Full(*family),
                    false => PoolBar::WithoutFamily(*family),
                })
                .collect(),
        };
        bars.into_iter().map(|bar| (pool.name().to_string(), bar))
    });
    Refusal::NothingFree { tried: tried.collect() }
}
