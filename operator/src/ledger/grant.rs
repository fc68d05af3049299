//! Which free addresses a Service is given.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_crds::range::Family;

use super::Ledger;
use super::assignment::{Assignment, Place};
use super::pool::{Admission, Pool};
use crate::refusal::{PoolBar, Refusal};
use crate::request::{Addresses, Families, Request, Source, Wish};

impl Ledger {
    /// Gives the Service what it lacks, and returns whether it lacks nothing any more.
    ///
    /// # Errors
    /// When it does not get what it has to have; then it is given nothing new.
    pub(super) fn grant(&mut self, request: &Request, wish: &Wish) -> Result<bool, Refusal> {
        let has = self.assignment(&request.service).cloned().unwrap_or_default();
        let missing: Vec<Family> = Families::ALL
            .into_iter()
            .filter(|family| wish.families.include(*family) && has.get(*family).is_none())
            .collect();
        let chosen = match &wish.source {
            Source::Addresses { addresses, pool } => {
                if let Some(pool) = pool {
                    self.check_pool(addresses, pool, missing.is_empty())?;
                }
                self.choose_named(request, &missing, addresses)?
            }
            Source::Pool(_) | Source::Automatic if missing.is_empty() => Vec::new(),
            Source::Pool(name) => match self.pools.get(name) {
                Some(pool) => self.choose_free(request, wish, &has, &missing, &[pool])?,
                None if suffices(wish, &has, &[], &missing) => Vec::new(),
                None => return Err(Refusal::UnknownPool(name.clone())),
            },
            Source::Automatic => {
                let pools: Vec<_> = self.pools.iter().collect();
                self.choose_free(request, wish, &has, &missing, &pools)?
            }
        };
        let complete = chosen.len() == missing.len();
        for place in chosen {
            self.take(&request.service, place);
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
    ) -> Result<Vec<Place>, Refusal> {
        let asked = missing.iter().filter_map(|family| addresses.get(*family));
        asked.map(|address| self.choose_one(request, address)).collect()
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
        match self.tenants.get(&address) {
            Some(by) if *by != request.service => Err(Refusal::InUse { address, by: by.clone() }),
            Some(_) | None => Ok(Place { address, pool: pool.name().clone() }),
        }
    }

    /// The lowest free address of each missing family: from one pool that has both if there is one, else from the
    /// pool of the address that the Service has already, else from the first pool that has one.
    fn choose_free(
        &self,
        request: &Request,
        wish: &Wish,
        has: &Assignment,
        missing: &[Family],
        pools: &[&Pool],
    ) -> Result<Vec<Place>, Refusal> {
        let automatic = wish.source == Source::Automatic;
        let bar = |pool: &Pool| {
            self.bar(request, pool)
                .or((automatic && !pool.definition.spec.auto_assign).then_some(PoolBar::NotAutomatic))
        };
        let open: Vec<&Pool> = pools.iter().copied().filter(|pool| bar(pool).is_none()).collect();
        let all_of = |pool: &&Pool| -> Option<Vec<Place>> {
            missing.iter().map(|family| pool.lowest_free(*family)).collect()
        };
        let held_pool = |pool: &&&Pool| {
            let mut own = has.iter().filter_map(|place| self.pools.pool_of(place.address));
            own.any(|own| own.name() == pool.name())
        };
        let preferred = open.iter().find(held_pool).into_iter().chain(&open);
        let chosen = preferred.clone().find_map(all_of).unwrap_or_else(|| {
            missing
                .iter()
                .filter_map(|family| preferred.clone().find_map(|pool| pool.lowest_free(*family)))
                .collect()
        });
        if suffices(wish, has, &chosen, missing) { Ok(chosen) } else { Err(refuse(pools, bar, missing)) }
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
