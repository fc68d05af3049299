//! Addresses of deleted Services, kept a while for ones of the same name.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use ferrolb_crds::range::Family;

use super::assignment::{Assignment, Place};
use crate::key::ServiceKey;

/// For whom addresses are kept, and until when.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    by_service: HashMap<ServiceKey, (Assignment, Instant)>,
    by_address: HashMap<IpAddr, ServiceKey>,
    due: BTreeSet<(Instant, ServiceKey)>,
}

impl Reservations {
    /// Keeps the addresses of a Service that nobody has; what was kept for it before is not any more, and returned.
    pub(super) fn keep(
        &mut self,
        service: &ServiceKey,
        assignment: Assignment,
        until: Instant,
    ) -> Vec<IpAddr> {
        let before = self.end(service);
        for place in assignment.iter() {
            self.by_address.insert(place.address, service.clone());
        }
        self.by_service.insert(service.clone(), (assignment, until));
        self.due.insert((until, service.clone()));
        before
    }

    /// The address of a family that is kept for a Service.
    pub(super) fn get(&self, service: &ServiceKey, family: Family) -> Option<&Place> {
        self.by_service.get(service)?.0.get(family)
    }

    /// Whether the address is kept for somebody.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// All addresses that are kept.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.by_address.keys().copied().collect()
    }

    /// Ends what is kept for a Service, and returns the addresses.
    pub(super) fn end(&mut self, service: &ServiceKey) -> Vec<IpAddr> {
        let Some((assignment, until)) = self.by_service.remove(service) else { return Vec::new() };
        self.due.remove(&(until, service.clone()));
        let addresses: Vec<_> = assignment.iter().map(|place| place.address).collect();
        // Of an address that was shared, another Service that was deleted later may be the one it is kept for.
        for address in &addresses {
            if self.by_address.get(address) == Some(service) {
                self.by_address.remove(address);
            }
        }
        addresses
    }

    /// Notes that somebody has an address now.
    pub(super) fn taken(&mut self, address: IpAddr) {
        let Some(service) = self.by_address.remove(&address) else { return };
        let Some((assignment, _)) = self.by_service.get_mut(&service) else { return };
        *assignment.slot_mut(Family::of(address)) = None;
        if assignment.is_empty() {
            self.end(&service);
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Ends what is kept no longer, and returns the addresses.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        while let Some((until, service)) = self.due.first().cloned()
            && until <= now
        {
            addresses.extend(self.end(&service));
        }
        addresses
    }
}
