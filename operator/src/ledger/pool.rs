//! One pool: what it may hand out, to whom, and what is taken.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::pool::{IPAddressPoolSpec, PoolRanges, ServiceAllocation};
use ferrolb_crds::range::Family;
use ferrolb_crds::selector;

use super::assignment::Place;
use super::runs::Runs;
use super::slots::Slots;
use crate::refusal::PoolBar;
use crate::request::Request;

/// The largest count that a status shows: the largest integer that every JSON reader holds exactly.
const LARGEST_COUNT: i64 = (1 << 53) - 1;

/// A pool as the ledger is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolDefinition {
    /// The pool's name.
    pub name: Arc<str>,
    /// What the user wrote.
    pub spec: IPAddressPoolSpec,
    /// The address lists, read; where some can't be, those that can.
    pub ranges: PoolRanges,
    /// Whether the pool may hand out anything: its condition Ready.
    pub ready: bool,
}

/// How many addresses of each family a pool has given and has left; numbers saturate at 2^53-1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 addresses that Services have.
    pub assigned_v4: i64,
    /// IPv6 addresses that Services have.
    pub assigned_v6: i64,
    /// IPv4 addresses that can be handed out.
    pub available_v4: i64,
    /// IPv6 addresses that can be handed out.
    pub available_v6: i64,
}

/// Whether a pool is for a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The labels of the Service's namespace would tell, and are not known yet.
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) definition: PoolDefinition,
    v4: Space,
    v6: Space,
}

/// The addresses of one family.
#[derive(Clone, Debug)]
struct Space {
    slots: Slots,
    /// Slots that can't be given.
    taken: Runs,
    /// Those, and the ones that are kept for somebody who may come back.
    kept: Runs,
    /// All addresses that Services have, those without a slot included; a shared one counts once.
    assigned: u64,
}

impl Pool {
    pub(super) fn new(definition: PoolDefinition) -> Self {
        let space = |family| Space {
            slots: Slots::new(
                family,
                &definition.ranges.addresses,
                &definition.ranges.excluded,
                definition.spec.avoid_buggy_ips,
            ),
            taken: Runs::default(),
            kept: Runs::default(),
            assigned: 0,
        };
        Self { v4: space(Family::V4), v6: space(Family::V6), definition }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.definition.name
    }

    /// The place among the pools that a Service is served from: pinned pools first, by priority with 0 last.
    pub(super) fn order(&self) -> (bool, i64, Arc<str>) {
        let allocation = self.definition.spec.service_allocation.as_ref();
        let pinned = allocation.filter(|allocation| allocation.is_pinned());
        let priority = pinned.map_or(0, |allocation| match i64::from(allocation.priority) {
            0 => i64::MAX,
            priority => priority,
        });
        (pinned.is_none(), priority, self.name().clone())
    }

    /// Whether the pool is for the Service that asks.
    pub(super) fn admits(
        &self,
        request: &Request,
        namespace_labels: Option<&BTreeMap<String, String>>,
    ) -> Admission {
        let Some(allocation) = &self.definition.spec.service_allocation else { return Admission::Yes };
        let ServiceAllocation { namespaces, namespace_selectors, service_selectors, priority: _ } =
            allocation;
        let services =
            service_selectors.is_empty() || selector::any_matches(service_selectors, Some(&request.labels));
        let any_namespace = namespaces.is_empty() && namespace_selectors.is_empty();
        let named = namespaces.iter().any(|name| **name == *request.service.namespace);
        match namespace_labels {
            _ if !services => Admission::No,
            _ if any_namespace || named => Admission::Yes,
            _ if namespace_selectors.is_empty() => Admission::No,
            None => Admission::Unknown,
            Some(labels) if selector::any_matches(namespace_selectors, Some(labels)) => Admission::Yes,
            Some(_) => Admission::No,
        }
    }

    /// What keeps the pool from handing out anything new, to anybody.
    pub(super) fn closed(&self) -> Option<PoolBar> {
        if !self.definition.ready {
            Some(PoolBar::NotReady)
        } else if self.definition.spec.drain {
            Some(PoolBar::Draining)
        } else {
            None
        }
    }

    /// The lowest free address of a family; of those that are kept for somebody only when nothing else is left.
    pub(super) fn lowest_free(&self, family: Family) -> Option<Place> {
        let Space { slots, taken, kept, .. } = self.space(family);
        let address = slots.address(kept.lowest_absent()).or_else(|| slots.address(taken.lowest_absent()))?;
        Some(Place { address, pool: self.name().clone() })
    }

    /// Whether the pool has addresses of a family to hand out, free or not.
    pub(super) fn has(&self, family: Family) -> bool {
        self.space(family).slots.count() > 0
    }

    /// Whether the pool hands out the address at all.
    pub(super) fn hands_out(&self, address: IpAddr) -> bool {
        self.space(Family::of(address)).slots.slot(address).is_some()
    }

    /// Notes whether an address can't be given, or is kept for somebody. Returns whether it became free.
    pub(super) fn mark(&mut self, address: IpAddr, taken: bool, kept: bool) -> bool {
        let space = self.space_mut(Family::of(address));
        let Some(slot) = space.slots.slot(address) else { return false };
        if taken || kept {
            space.kept.insert(slot)
        } else {
            space.kept.remove(slot)
        };
        if taken {
            space.taken.insert(slot);
            false
        } else {
            space.taken.remove(slot)
        }
    }

    /// Counts an address that Services have, or have no more.
    pub(super) fn count(&mut self, address: IpAddr, change: i64) {
        let space = self.space_mut(Family::of(address));
        space.assigned = space.assigned.saturating_add_signed(change);
    }

    /// What is given and what is left; a pool that is closed has nothing left.
    pub(super) fn usage(&self) -> Usage {
        let available = |space: &Space| match self.closed() {
            Some(_) => 0,
            None => saturated(space.slots.count() - space.taken.len()),
        };
        Usage {
            assigned_v4: saturated(self.v4.assigned.into()),
            assigned_v6: saturated(self.v6.assigned.into()),
            available_v4: available(&self.v4),
            available_v6: available(&self.v6),
        }
    }

    fn space(&self, family: Family) -> &Space {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn space_mut(&mut self, family: Family) -> &mut Space {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

fn saturated(count: u128) -> i64 {
    i64::try_from(count).unwrap_or(LARGEST_COUNT).min(LARGEST_COUNT)
}
