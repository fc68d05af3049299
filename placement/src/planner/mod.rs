//! The facts of a whole cluster, and the placement of every address.
//!
//! Whoever keeps watches tells the planner what changed, and is told which addresses that touches: those of one
//! Service and of the Services that share an address with it, or all. What is the same for many addresses, which
//! advertisements count and what they make of each node, is worked out once.

mod homes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ferrolb_crds::L2AdvertisementSpec;
use ferrolb_crds::range::Family;

pub use self::homes::GRACE;
use self::homes::Homes;
use crate::endpoints::{Slice, Slices};
use crate::facts::{NodeFacts, PoolFacts, ServiceFacts, Speaker};
use crate::place::{Hindrance, Placement, Unannounced, Wishes};
use crate::roster::Roster;
use crate::select::Selection;

/// The facts of a whole cluster. `K` tells Services apart, and the slices of their endpoints; it is cheap to clone,
/// and its order is that in which Services come first.
#[derive(Debug)]
pub struct Planner<K> {
    services: BTreeMap<K, ServiceFacts>,
    /// The Services that have each address, in order.
    sharing: BTreeMap<IpAddr, Arc<[K]>>,
    slices: Slices<K>,
    nodes: BTreeMap<Arc<str>, NodeFacts>,
    homes: Homes,
    /// What the advertisements that count for some address make of the nodes.
    rosters: BTreeMap<Selection, Arc<Roster>>,
}

/// Which addresses a change touches: their placement may be another, or none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Touched {
    /// These; often none.
    Addresses(Vec<IpAddr>),
    /// All.
    All,
}

impl Touched {
    /// Whether nothing is touched.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Addresses(addresses) if addresses.is_empty())
    }

    fn none() -> Self {
        Self::Addresses(Vec::new())
    }
}

impl<K> Default for Planner<K> {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            sharing: BTreeMap::new(),
            slices: Slices::default(),
            nodes: BTreeMap::new(),
            homes: Homes::default(),
            rosters: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Planner<K> {
    /// Takes in a Service that has addresses, or that it is gone or none of ours.
    pub fn set_service(&mut self, key: &K, facts: Option<ServiceFacts>) -> Touched {
        let facts = facts.filter(|facts| !facts.addresses.is_empty());
        if self.services.get(key) == facts.as_ref() {
            return Touched::none();
        }
        let before = self.services.remove(key);
        let addresses = |facts: &Option<ServiceFacts>| -> BTreeSet<IpAddr> {
            facts.iter().flat_map(|facts| &facts.addresses).copied().collect()
        };
        let (had, has) = (addresses(&before), addresses(&facts));
        for address in had.difference(&has) {
            self.leave(*address, key);
        }
        // A key that slices have too is in memory once.
        let known = self.slices.service(key).unwrap_or(key).clone();
        for address in has.difference(&had) {
            let sharing = self.sharing.entry(*address).or_default();
            if let Err(place) = sharing.binary_search(key) {
                let (before, after) = sharing.split_at(place);
                *sharing = before.iter().chain([&known]).chain(after).cloned().collect();
            }
        }
        if let Some(facts) = facts {
            self.services.insert(known, facts);
        }
        let touched: Vec<_> = had.union(&has).copied().collect();
        touched.iter().for_each(|address| self.homes.look_again(*address));
        Touched::Addresses(touched)
    }

    /// Takes in a slice of a Service's endpoints, or that it is gone.
    pub fn set_slice(&mut self, key: K, slice: Option<(K, Slice)>) -> Touched {
        let slice = slice.map(|(service, slice)| {
            let known = self.services.get_key_value(&service).map(|(known, _)| known.clone());
            (known.unwrap_or(service), slice)
        });
        let services = self.slices.set(key, slice);
        let facts = services.iter().filter_map(|service| self.services.get(service));
        let local = facts.filter(|facts| facts.local);
        Touched::Addresses(local.flat_map(|facts| &facts.addresses).copied().collect())
    }

    /// Takes in a node and its speaker, or that it is gone.
    pub fn set_node(&mut self, name: &str, facts: Option<NodeFacts>) -> Touched {
        if self.nodes.get(name) == facts.as_ref() {
            return Touched::none();
        }
        match facts {
            Some(facts) => drop(self.nodes.insert(name.into(), facts)),
            None => drop(self.nodes.remove(name)),
        }
        self.rosters.clear();
        Touched::All
    }

    /// Takes in what the Leases tell of all nodes' speakers.
    pub fn set_speakers(&mut self, speaker_of: impl Fn(&str) -> Speaker) -> Touched {
        let mut differs = false;
        for (name, facts) in &mut self.nodes {
            let speaker = speaker_of(name);
            differs |= facts.speaker != speaker;
            facts.speaker = speaker;
        }
        if !differs {
            return Touched::none();
        }
        self.rosters.clear();
        Touched::All
    }

    /// Takes in a pool, or that it is gone. While no pool contains an address any more that one contained, what
    /// counted for it goes on to count for [`GRACE`].
    pub fn set_pool(&mut self, name: &str, facts: Option<PoolFacts>, now: Instant) -> Touched {
        if self.homes.set_pool(name, facts, now) { self.touch_all() } else { Touched::none() }
    }

    /// Takes in an advertisement, or that it is gone.
    pub fn set_advertisement(&mut self, name: &str, spec: Option<L2AdvertisementSpec>) -> Touched {
        if self.homes.set_advertisement(name, spec) { self.touch_all() } else { Touched::none() }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.homes.poll_timeout()
    }

    /// Ends what counted only for a while.
    pub fn handle_timeout(&mut self, now: Instant) -> Touched {
        Touched::Addresses(self.homes.handle_timeout(now))
    }

    /// Decides who may announce an address, and in which order.
    ///
    /// # Errors
    /// When no node may, whatever the nodes' state.
    pub fn place(&mut self, address: IpAddr) -> Result<Placement, Unannounced> {
        let roster = self.roster(address)?;
        let wishes = self.wishes(address).ok_or(Unannounced::NoAddress)?;
        Ok(Placement::new(roster, &wishes))
    }

    /// Why no node may announce an address now; `None` if one may.
    pub fn hindrance(&mut self, address: IpAddr) -> Option<Hindrance> {
        match self.roster(address) {
            Ok(roster) => Hindrance::of(&roster, &self.wishes(address)?),
            Err(unannounced) => Some(Hindrance::Unannounced(unannounced)),
        }
    }

    /// All addresses that Services have, ascending.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.sharing.keys().copied()
    }

    /// The Services that have an address, in order.
    pub fn services_at(&self, address: IpAddr) -> &[K] {
        self.sharing.get(&address).map(|sharing| &**sharing).unwrap_or_default()
    }

    /// As [`services_at`](Self::services_at), to keep; they are in memory once.
    pub fn shared_services_at(&self, address: IpAddr) -> Arc<[K]> {
        self.sharing.get(&address).cloned().unwrap_or_default()
    }

    /// What is known of a Service that has addresses.
    pub fn service(&self, key: &K) -> Option<&ServiceFacts> {
        self.services.get(key)
    }

    /// The Services that have addresses, in order.
    pub fn services(&self) -> impl Iterator<Item = &K> {
        self.services.keys()
    }

    /// The slices that are known, in order.
    pub fn slices(&self) -> impl Iterator<Item = &K> {
        self.slices.keys()
    }

    /// The nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeFacts> + Clone {
        self.nodes.values()
    }

    /// The names of the pools, in order.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        self.homes.pools()
    }

    /// The names of the advertisements, in order.
    pub fn advertisements(&self) -> impl Iterator<Item = &str> {
        self.homes.advertisements()
    }

    /// Takes no more memory than it needs: a map that was filled in the order of its keys, as lists are, is half empty.
    pub fn compact(&mut self) {
        compact(&mut self.services);
        compact(&mut self.sharing);
        self.slices.compact();
        self.homes.compact();
    }

    fn leave(&mut self, address: IpAddr, key: &K) {
        let Some(sharing) = self.sharing.get_mut(&address) else { return };
        *sharing = sharing.iter().filter(|service| *service != key).cloned().collect();
        if sharing.is_empty() {
            self.sharing.remove(&address);
            self.homes.forget(address);
        }
    }

    fn touch_all(&mut self) -> Touched {
        self.rosters.clear();
        Touched::All
    }

    fn roster(&mut self, address: IpAddr) -> Result<Arc<Roster>, Unannounced> {
        let sharing = self.sharing.get(&address).ok_or(Unannounced::NoAddress)?;
        let services = sharing.iter().filter_map(|service| self.services.get(service));
        let selection = self.homes.selection(address, services)?;
        if let Some(roster) = self.rosters.get(selection) {
            return Ok(roster.clone());
        }
        let roster = Arc::new(Roster::new(&self.nodes, selection));
        self.rosters.insert(selection.clone(), roster.clone());
        Ok(roster)
    }

    fn wishes(&self, address: IpAddr) -> Option<Wishes<'_>> {
        let sharing = self.sharing.get(&address)?;
        let facts = sharing.iter().filter_map(|key| self.services.get(key).map(|facts| (key, facts)));
        let family = Family::of(address);
        Some(Wishes {
            first_address: *facts.clone().next()?.1.addresses.first()?,
            preferred_node: facts.clone().find_map(|(_, facts)| facts.preferred_node.as_deref()),
            local: facts
                .filter(|(_, facts)| facts.local)
                .map(|(key, _)| self.slices.eligible(key, family))
                .collect(),
        })
    }
}

/// Builds a map anew, full.
pub(crate) fn compact<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    *map = std::mem::take(map).into_iter().collect();
}
