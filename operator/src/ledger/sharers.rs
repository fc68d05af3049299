//! The addresses that have a sharing key, so that a request with that key finds them without a walk over all.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::range::Family;

use crate::request::{Port, Sharing};

/// The addresses of each sharing key.
#[derive(Clone, Debug, Default)]
pub(super) struct Sharers {
    by_key: HashMap<Arc<str>, Set>,
}

#[derive(Clone, Debug, Default)]
struct Set {
    v4: BTreeMap<IpAddr, usize>,
    v6: BTreeMap<IpAddr, usize>,
    /// At how many addresses of a family a port is open.
    open: BTreeMap<(Family, Port), usize>,
}

impl Sharers {
    /// Notes that a Service with these terms has an address now.
    pub(super) fn join(&mut self, address: IpAddr, sharing: &Sharing) {
        let Some(key) = &sharing.key else { return };
        let set = self.by_key.entry(key.clone()).or_default();
        let family = Family::of(address);
        *set.addresses_mut(family).entry(address).or_default() += 1;
        for port in &sharing.ports {
            *set.open.entry((family, *port)).or_default() += 1;
        }
    }

    /// Notes that a Service with these terms has the address no more.
    pub(super) fn leave(&mut self, address: IpAddr, sharing: &Sharing) {
        let Some(key) = &sharing.key else { return };
        let Some(set) = self.by_key.get_mut(key) else { return };
        let family = Family::of(address);
        decrease(set.addresses_mut(family), &address);
        for port in &sharing.ports {
            decrease(&mut set.open, &(family, *port));
        }
        if set.v4.is_empty() && set.v6.is_empty() {
            self.by_key.remove(key);
        }
    }

    /// The addresses of the key, ascending; none if one of the ports is open at all of them already.
    pub(super) fn addresses(&self, family: Family, sharing: &Sharing) -> impl Iterator<Item = IpAddr> {
        let set = sharing.key.as_ref().and_then(|key| self.by_key.get(key));
        let usable = set.filter(|set| {
            let all = set.addresses(family).len();
            sharing.ports.iter().all(|port| set.open.get(&(family, *port)).is_none_or(|open| *open < all))
        });
        usable.into_iter().flat_map(move |set| set.addresses(family).keys().copied())
    }
}

impl Set {
    fn addresses(&self, family: Family) -> &BTreeMap<IpAddr, usize> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn addresses_mut(&mut self, family: Family) -> &mut BTreeMap<IpAddr, usize> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

fn decrease<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
