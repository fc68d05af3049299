//! All pools, in the order in which Services are served from them, and whose an address is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::range::AddressRange;

use super::assignment::Place;
use super::pool::{Pool, PoolDefinition};
use super::ranges::merged;

/// The pools, by the order in which they serve.
#[derive(Clone, Debug, Default)]
pub(super) struct PoolSet {
    pools: Vec<Pool>,
    by_name: HashMap<Arc<str>, usize>,
    /// The ranges of Ready pools, which never overlap, in ascending order.
    territory: Vec<(AddressRange, usize)>,
    /// The ranges of the other pools, which may lie anywhere.
    claims: Vec<(AddressRange, usize)>,
}

impl PoolSet {
    pub(super) fn new(definitions: Vec<PoolDefinition>) -> Self {
        let mut pools: Vec<_> = definitions.into_iter().map(Pool::new).collect();
        pools.sort_by_cached_key(Pool::order);
        let by_name = pools.iter().enumerate().map(|(index, pool)| (pool.name().clone(), index)).collect();
        let mut set = Self { pools, by_name, ..Self::default() };
        for (index, pool) in set.pools.iter().enumerate() {
            let list = if pool.definition.ready { &mut set.territory } else { &mut set.claims };
            list.extend(merged(&pool.definition.ranges.addresses).into_iter().map(|range| (range, index)));
        }
        set.territory.sort_unstable();
        set
    }

    /// The pools in order.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Pool> {
        self.pools.iter()
    }

    /// The place of a pool among all, if there is such a pool.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The pool of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Pool> {
        self.by_name.get(name).map(|index| &self.pools[*index])
    }

    /// The pool that an address belongs to: the Ready pool that contains it, else the first other one that does.
    pub(super) fn pool_of(&self, address: IpAddr) -> Option<&Pool> {
        self.index_of(address).map(|index| &self.pools[index])
    }

    /// As [`Self::pool_of`].
    pub(super) fn pool_of_mut(&mut self, address: IpAddr) -> Option<&mut Pool> {
        self.index_of(address).map(|index| &mut self.pools[index])
    }

    /// The pool in which an address is at home: the one that contains it, or else the one that it came from, if
    /// that is not Ready: it keeps its assignments, and of its ranges some may be unreadable.
    pub(super) fn home(&self, place: &Place) -> Option<&Pool> {
        self.index_of_home(place).map(|index| &self.pools[index])
    }

    /// As [`Self::home`].
    pub(super) fn home_mut(&mut self, place: &Place) -> Option<&mut Pool> {
        self.index_of_home(place).map(|index| &mut self.pools[index])
    }

    fn index_of_home(&self, place: &Place) -> Option<usize> {
        let origin = || self.by_name.get(&place.pool).copied();
        self.index_of(place.address).or_else(|| origin().filter(|index| !self.pools[*index].definition.ready))
    }

    fn index_of(&self, address: IpAddr) -> Option<usize> {
        let before = self.territory.partition_point(|(range, _)| range.first() <= address);
        let ready = self.territory[..before].last().filter(|(range, _)| range.contains(address));
        ready
            .or_else(|| self.claims.iter().find(|(range, _)| range.contains(address)))
            .map(|(_, index)| *index)
    }
}
