//! The Services that have one address.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::key::ServiceKey;
use crate::request::{Port, Sharing, SharingBar};

/// The Services that have an address: one, or a sharing set.
#[derive(Clone, Debug)]
pub(super) struct Tenancy {
    /// The pool that counts the address; while no pool contains it, the one that did.
    pub(super) pool: Arc<str>,
    tenants: Tenants,
}

/// Nearly every address has one tenant, which then costs no more than itself.
#[derive(Clone, Debug)]
enum Tenants {
    One(ServiceKey, Arc<Sharing>),
    Several { sharing: BTreeMap<ServiceKey, Arc<Sharing>>, ports: BTreeMap<Port, ServiceKey> },
}

impl Tenancy {
    pub(super) fn new(pool: Arc<str>, service: ServiceKey, sharing: Arc<Sharing>) -> Self {
        Self { pool, tenants: Tenants::One(service, sharing) }
    }

    pub(super) fn has(&self, service: &ServiceKey) -> bool {
        match &self.tenants {
            Tenants::One(only, _) => only == service,
            Tenants::Several { sharing, .. } => sharing.contains_key(service),
        }
    }

    /// All tenants.
    pub(super) fn tenants(&self) -> Vec<ServiceKey> {
        match &self.tenants {
            Tenants::One(only, _) => vec![only.clone()],
            Tenants::Several { sharing, .. } => sharing.keys().cloned().collect(),
        }
    }

    /// A tenant other than the Service.
    pub(super) fn other_than(&self, service: &ServiceKey) -> Option<&ServiceKey> {
        match &self.tenants {
            Tenants::One(only, _) => Some(only).filter(|only| *only != service),
            Tenants::Several { sharing, .. } => sharing.keys().find(|tenant| *tenant != service),
        }
    }

    /// Whether all tenants but the Service are in its namespace.
    pub(super) fn is_within_namespace_of(&self, service: &ServiceKey) -> bool {
        match &self.tenants {
            Tenants::One(only, _) => only.namespace == service.namespace,
            Tenants::Several { sharing, .. } => {
                sharing.keys().all(|tenant| tenant.namespace == service.namespace)
            }
        }
    }

    /// What keeps the Service from sharing the address with the other tenants, and which of them.
    pub(super) fn bar(&self, service: &ServiceKey, theirs: &Sharing) -> Option<(&ServiceKey, SharingBar)> {
        match &self.tenants {
            Tenants::One(only, _) if only == service => None,
            Tenants::One(only, sharing) => {
                let same = || sharing.ports.iter().find(|port| theirs.ports.binary_search(port).is_ok());
                let bar = theirs.bar(sharing).or_else(|| same().map(|port| SharingBar::SamePort(*port)));
                Some((only, bar?))
            }
            Tenants::Several { sharing, ports } => {
                let (other, terms) = sharing.iter().find(|(tenant, _)| *tenant != service)?;
                if let Some(bar) = theirs.bar(terms) {
                    return Some((other, bar));
                }
                theirs.ports.iter().find_map(|port| {
                    let user = ports.get(port).filter(|user| *user != service)?;
                    Some((user, SharingBar::SamePort(*port)))
                })
            }
        }
    }

    /// The sharing key of the tenants, if they have one.
    pub(super) fn key(&self) -> Option<&Arc<str>> {
        match &self.tenants {
            Tenants::One(_, sharing) => sharing.key.as_ref(),
            Tenants::Several { sharing, .. } => sharing.values().next()?.key.as_ref(),
        }
    }

    /// The terms on which a tenant has the address.
    pub(super) fn sharing_of(&self, service: &ServiceKey) -> Option<&Arc<Sharing>> {
        match &self.tenants {
            Tenants::One(only, sharing) => (only == service).then_some(sharing),
            Tenants::Several { sharing, .. } => sharing.get(service),
        }
    }

    /// Adds a tenant, which nothing must bar.
    pub(super) fn add(&mut self, service: ServiceKey, terms: Arc<Sharing>) {
        if let Tenants::One(first, sharing) = &self.tenants {
            let ports = sharing.ports.iter().map(|port| (*port, first.clone())).collect();
            let sharing = BTreeMap::from([(first.clone(), sharing.clone())]);
            self.tenants = Tenants::Several { sharing, ports };
        }
        if let Tenants::Several { sharing, ports } = &mut self.tenants {
            ports.extend(terms.ports.iter().map(|port| (*port, service.clone())));
            sharing.insert(service, terms);
        }
    }

    /// Changes the terms of a tenant, which nothing must bar.
    pub(super) fn replace(&mut self, service: &ServiceKey, terms: Arc<Sharing>) {
        match &mut self.tenants {
            Tenants::One(_, sharing) => *sharing = terms,
            Tenants::Several { .. } => {
                self.remove(service);
                self.add(service.clone(), terms);
            }
        }
    }

    /// Removes a tenant, and returns whether others remain.
    pub(super) fn remove(&mut self, service: &ServiceKey) -> bool {
        let Tenants::Several { sharing, ports } = &mut self.tenants else { return false };
        if let Some(terms) = sharing.remove(service) {
            for port in &terms.ports {
                if ports.get(port) == Some(service) {
                    ports.remove(port);
                }
            }
        }
        if sharing.len() == 1
            && let Some((last, terms)) = sharing.pop_first()
        {
            self.tenants = Tenants::One(last, terms);
        }
        true
    }
}
