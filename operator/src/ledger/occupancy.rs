//! Taking and freeing addresses, with everything that has to be kept in step.

use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::range::Family;

use super::assignment::Place;
use super::tenancy::Tenancy;
use super::topic::Topic;
use super::{Holding, Ledger};
use crate::key::ServiceKey;
use crate::request::{Request, SharingBar};

impl Ledger {
    /// Gives a free address, or a place in its sharing set, to a Service that has none of its family.
    pub(super) fn take(&mut self, request: &Request, place: Place) {
        let service = &request.service;
        self.occupy(request, &place);
        if self.pools.home(&place).is_none() {
            self.outside.insert(service.clone());
        }
        let holding = self.holdings.entry(service.clone()).or_default();
        holding.leaving.retain(|leaving| leaving.address != place.address);
        let family = Family::of(place.address);
        *holding.assignment.slot_mut(family) = Some(place);
    }

    /// Makes a Service a tenant of an address, if it is not.
    pub(super) fn occupy(&mut self, request: &Request, place: &Place) {
        let (service, address) = (&request.service, place.address);
        match self.tenancies.get_mut(&address) {
            Some(tenancy) if tenancy.has(service) => return,
            Some(tenancy) => tenancy.add(service.clone(), request.sharing.clone()),
            None => {
                let tenancy = Tenancy::new(place.pool.clone(), service.clone(), request.sharing.clone());
                let news = !self.is_counted(address);
                if let Some(pool) = self.pools.home_mut(place).filter(|_| news) {
                    pool.count(address, 1);
                }
                self.tenancies.insert(address, tenancy);
                self.reservations.taken(address);
                self.mark(address);
            }
        }
        self.sharers.join(address, &request.sharing);
        self.freed.extend(request.sharing.key.clone().map(Topic::Key));
    }

    /// Ends a Service's tenancy of an address.
    pub(super) fn free(&mut self, service: &ServiceKey, place: &Place) {
        let address = place.address;
        let Some(tenancy) = self.tenancies.get_mut(&address) else { return };
        let Some(sharing) = tenancy.sharing_of(service).cloned() else { return };
        self.sharers.leave(address, &sharing);
        if tenancy.remove(service) {
            self.freed.insert(Topic::Address(address));
            self.freed.extend(sharing.key.clone().map(Topic::Key));
            return;
        }
        let place = Place { address, pool: tenancy.pool.clone() };
        self.tenancies.remove(&address);
        let news = !self.is_counted(address);
        if let Some(pool) = self.pools.home_mut(&place).filter(|_| news) {
            pool.count(address, -1);
        }
        self.mark(address);
    }

    /// Brings what a Service's tenancies say of sharing up to date, where nothing bars it.
    pub(super) fn renegotiate(&mut self, request: &Request) {
        let Some(has) = self.assignment(&request.service) else { return };
        let addresses = [&has.v4, &has.v6].map(|place| place.as_ref().map(|place| place.address));
        for address in addresses.into_iter().flatten() {
            let Some(tenancy) = self.tenancies.get_mut(&address) else { continue };
            let Some(before) = tenancy.sharing_of(&request.service).cloned() else { continue };
            if Arc::ptr_eq(&before, &request.sharing) || before == request.sharing {
                continue;
            }
            tenancy.replace(&request.service, request.sharing.clone());
            self.sharers.leave(address, &before);
            self.sharers.join(address, &request.sharing);
            let keys = [&before.key, &request.sharing.key].into_iter().flatten().cloned();
            self.freed.extend(keys.map(Topic::Key).chain([Topic::Address(address)]));
        }
    }

    /// What keeps a Service from sharing an address with those that have it, and with whom.
    pub(super) fn sharing_bar(
        &self,
        request: &Request,
        address: IpAddr,
    ) -> Option<(&ServiceKey, SharingBar)> {
        let tenancy = self.tenancies.get(&address)?;
        let other = tenancy.other_than(&request.service)?;
        tenancy.bar(&request.service, &request.sharing).or_else(|| {
            let apart =
                !self.policy.share_across_namespaces && !tenancy.is_within_namespace_of(&request.service);
            apart.then_some((other, SharingBar::OtherNamespace))
        })
    }

    /// Tells the address's pool whether the address is free, and tells those who wait if it is now.
    pub(super) fn mark(&mut self, address: IpAddr) {
        let taken = self.tenancies.contains_key(&address) || self.claims.on(address).is_some();
        let kept = self.reservations.has(address);
        let Some(pool) = self.pools.pool_of_mut(address) else { return };
        if pool.mark(address, taken, kept) {
            self.freed.insert(Topic::Address(address));
            self.freed.insert(Topic::Pool(pool.name().clone(), Family::of(address)));
        }
    }

    /// Whether the address counts as assigned: a Service has it, of our class or of another. So two operators that
    /// look at the same pools count the same.
    pub(super) fn is_counted(&self, address: IpAddr) -> bool {
        self.tenancies.contains_key(&address)
            || (self.claims.other_class(address).is_some() && self.pools.pool_of(address).is_some())
    }

    /// Wakes those that could share an address with the Services that have it.
    pub(super) fn offer_sharing(&mut self, address: IpAddr) {
        let Some(tenancy) = self.tenancies.get(&address) else { return };
        let key = tenancy.key().cloned();
        self.freed.insert(Topic::Address(address));
        self.freed.extend(key.map(Topic::Key));
    }

    /// Tells new pools of everything that is taken.
    pub(super) fn reoccupy(&mut self) {
        for Holding { assignment, leaving } in self.holdings.values() {
            for place in assignment.iter().chain(leaving) {
                if let Some(tenancy) = self.tenancies.get_mut(&place.address) {
                    tenancy.pool = place.pool.clone();
                }
            }
        }
        let mut addresses = self.claims.addresses();
        addresses.extend(self.reservations.addresses());
        for (address, tenancy) in &self.tenancies {
            addresses.push(*address);
            if let Some(pool) = self.pools.home_mut(&Place { address: *address, pool: tenancy.pool.clone() })
            {
                pool.count(*address, 1);
            }
        }
        for address in self.claims.addresses() {
            let alone = !self.tenancies.contains_key(&address) && self.claims.other_class(address).is_some();
            if let Some(pool) = self.pools.pool_of_mut(address).filter(|_| alone) {
                pool.count(address, 1);
            }
        }
        addresses.into_iter().for_each(|address| self.mark(address));
    }
}
