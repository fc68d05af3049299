//! Which addresses a Service may keep.

use std::net::IpAddr;

use ferrolb_crds::range::Family;

use super::assignment::{Assignment, Cause, GivenUp, Place};
use super::pool::Admission;
use super::{Holding, Ledger};
use crate::request::{Families, Request, Source};

impl Ledger {
    /// Whether the Service may keep or adopt an address. A request that can't be read asks for nothing else, and so
    /// does one for a pool that there is not: what it has stays.
    pub(super) fn legality(&self, request: &Request, place: &Place) -> Result<(), Cause> {
        let address = place.address;
        let pool = self.pools.pool_of(address);
        if let Ok(wish) = &request.wish {
            if !wish.families.include(Family::of(address)) {
                return Err(Cause::FamilyNotWanted(Family::of(address)));
            }
            let asks_for_another = match &wish.source {
                Source::Automatic => false,
                Source::Pool(name) => {
                    self.pools.get(name).is_some() && pool.is_some_and(|pool| **pool.name() != **name)
                }
                Source::Addresses { addresses, .. } => addresses.get(Family::of(address)) != Some(address),
            };
            if asks_for_another {
                return Err(Cause::AsksForAnother);
            }
        }
        if let Some((other, bar)) = self.sharing_bar(request, address) {
            return Err(Cause::HeldBy(other.clone(), bar));
        }
        if let Some((created, older)) = self.claims.other_class(address)
            && (created, older) < (request.created, &request.service)
        {
            return Err(Cause::OtherClass(older.clone()));
        }
        match self.pools.home(place) {
            Some(pool) => match pool.admits(request, self.namespace_labels(request)) {
                Admission::Yes | Admission::Unknown => Ok(()),
                Admission::No => Err(Cause::PoolForOthers(pool.name().clone())),
            },
            None if self.grace.is_some() => Ok(()),
            None => Err(Cause::OutsidePools),
        }
    }

    /// Takes from the Service what it may not keep. What its status shows stays taken until the status is
    /// written.
    pub(super) fn give_up(&mut self, request: &Request) {
        if !self.holdings.contains_key(&request.service) {
            return;
        }
        for family in Families::ALL {
            let place = self.assignment(&request.service).and_then(|has| has.get(family));
            if place.is_none_or(|place| self.legality(request, place).is_ok()) {
                continue;
            }
            let Some(holding) = self.holdings.get_mut(&request.service) else { continue };
            let Some(place) = holding.assignment.slot_mut(family).take() else { continue };
            if request.held.contains(&place.address) {
                holding.leaving.push(place);
            } else {
                self.free(&request.service, &place);
            }
        }
        self.forget_if_done(request);
    }

    /// The addresses of the Service's status that it does not have, with the reason.
    pub(super) fn lost(&self, request: &Request, has: &Assignment) -> Vec<GivenUp> {
        let lost = request.held.iter().filter(|address| !has.has(**address));
        lost.map(|address| GivenUp { address: *address, cause: self.cause(request, *address) }).collect()
    }

    fn cause(&self, request: &Request, address: IpAddr) -> Cause {
        match self.place_of(request, address).map(|place| self.legality(request, &place)) {
            Some(Ok(())) => Cause::Surplus(Family::of(address)),
            Some(Err(cause)) => cause,
            None => Cause::OutsidePools,
        }
    }

    fn forget_if_done(&mut self, request: &Request) {
        let Some(Holding { assignment, leaving }) = self.holdings.get(&request.service) else { return };
        if assignment.iter().all(|place| self.pools.home(place).is_some()) {
            self.outside.remove(&request.service);
        }
        if assignment.is_empty() && leaving.is_empty() {
            self.holdings.remove(&request.service);
        }
    }
}
