//! Which pools are Ready: what only the whole set of them can show.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::condition::{self, READY};
use ferrolb_crds::pool::{IPAddressPool, PoolRanges};
use ferrolb_crds::range::AddressRange;
use jiff::Timestamp;

use crate::ledger::PoolDefinition;
use crate::ledger::ranges::merged;

/// A pool and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The pool as the ledger takes it.
    pub definition: PoolDefinition,
    /// What is wrong with it, and how to mend it; `None` if it is Ready.
    pub fault: Option<Fault>,
}

/// Why a pool is not Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Some of its ranges can't be read.
    InvalidAddresses(String),
    /// It overlaps with a pool that goes before it.
    OverlapsPool(String),
}

/// The address ranges with which pools were Ready the last time, by the pools' UIDs.
///
/// Of two pools that overlap, the one goes before the other that is Ready already; this knows it also while the
/// status of a changed pool is not written yet.
pub type Incumbents = HashMap<String, Vec<AddressRange>>;

impl Fault {
    /// The reason of the condition Ready.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidAddresses(_) => "InvalidAddresses",
            Self::OverlapsPool(_) => "OverlapsPool",
        }
    }

    /// The message of the condition Ready.
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidAddresses(message) | Self::OverlapsPool(message) => message,
        }
    }
}

/// Judges all pools, in the order given, and notes who is Ready in `incumbents`.
///
/// Of two pools that overlap, the one already Ready (with these addresses, or at its generation) wins, then the
/// older one, then the first by name.
pub fn judge(pools: &[Arc<IPAddressPool>], incumbents: &mut Incumbents) -> Vec<Standing> {
    let read: Vec<_> = pools.iter().map(|pool| read(pool)).collect();
    let mut order: Vec<_> = (0..pools.len()).collect();
    order.sort_by_cached_key(|index| {
        let metadata = &pools[*index].metadata;
        let created = metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        let ranges = &read[*index].0.addresses;
        (Reverse(is_incumbent(&pools[*index], ranges, incumbents)), created, metadata.name.clone())
    });

    let mut territory = Territory::default();
    let mut faults: Vec<Option<Fault>> = vec![None; pools.len()];
    let mut ready = Incumbents::new();
    for index in order {
        let name = pools[index].metadata.name.as_deref().unwrap_or_default();
        let (ranges, invalid) = &read[index];
        faults[index] = invalid.clone().or_else(|| territory.overlap(&ranges.addresses));
        if faults[index].is_none() {
            territory.add(name, &ranges.addresses);
            ready.insert(pools[index].metadata.uid.clone().unwrap_or_default(), ranges.addresses.clone());
        }
    }
    *incumbents = ready;

    let definitions = pools.iter().zip(read).map(|(pool, (ranges, _))| (pool, ranges));
    definitions
        .zip(faults)
        .map(|((pool, ranges), fault)| Standing {
            definition: PoolDefinition {
                name: pool.metadata.name.as_deref().unwrap_or_default().into(),
                spec: pool.spec.clone(),
                ranges,
                ready: fault.is_none(),
            },
            fault,
        })
        .collect()
}

/// The ranges of a pool, merged; those that can't be read are left out and told.
fn read(pool: &IPAddressPool) -> (PoolRanges, Option<Fault>) {
    let invalid = pool.spec.ranges().err().map(|errors| {
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Fault::InvalidAddresses(texts.join("; "))
    });
    let PoolRanges { addresses, excluded } = pool.spec.readable_ranges();
    (PoolRanges { addresses: merged(&addresses), excluded: merged(&excluded) }, invalid)
}

fn is_incumbent(pool: &IPAddressPool, ranges: &[AddressRange], incumbents: &Incumbents) -> bool {
    let known = pool.metadata.uid.as_ref().and_then(|uid| incumbents.get(uid));
    let stated = pool.status.as_ref().is_some_and(|status| {
        condition::is_true(&status.conditions, READY)
            && Some(status.observed_generation) == pool.metadata.generation
    });
    stated || known.is_some_and(|known| *known == *ranges)
}

/// The ranges of the pools that are Ready, by their first address.
#[derive(Default)]
struct Territory(BTreeMap<IpAddr, (AddressRange, String)>);

impl Territory {
    fn add(&mut self, pool: &str, ranges: &[AddressRange]) {
        self.0.extend(ranges.iter().map(|range| (range.first(), (*range, pool.to_owned()))));
    }

    fn overlap(&self, ranges: &[AddressRange]) -> Option<Fault> {
        ranges.iter().find_map(|range| {
            let (_, (theirs, pool)) = self.0.range(..=range.last()).next_back()?;
            theirs.overlaps(range).then(|| {
                Fault::OverlapsPool(format!(
                    "{range} overlaps {theirs} of pool {pool}: remove the common addresses from one of them"
                ))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_pools_that_overlap_the_older_is_ready() {
        let pools = [pool("a", 2, "10.0.0.0/24"), pool("b", 1, "10.0.0.5"), pool("c", 3, "10.0.1.0/24")];
        assert_eq!(ready(&pools, &mut Incumbents::new()), "b c");
        let fault = judge(&pools, &mut Incumbents::new())[0].fault.clone().unwrap();
        assert_eq!(fault.reason(), "OverlapsPool");
        assert!(fault.message().starts_with("10.0.0.0-10.0.0.255 overlaps 10.0.0.5 of pool b"));
    }

    #[test]
    fn of_two_pools_of_one_age_the_first_by_name_is_ready() {
        let pools = [pool("b", 1, "10.0.0.0/24"), pool("a", 1, "10.0.0.5 10.0.1.0/24")];
        assert_eq!(ready(&pools, &mut Incumbents::new()), "a");
    }

    #[test]
    fn a_pool_that_is_ready_already_stays_so_when_an_older_one_grows_over_it() {
        let mut incumbents = Incumbents::new();
        let young = pool("young", 9, "10.0.1.0/24");
        assert_eq!(ready(&[pool("old", 1, "10.0.0.0/24"), young.clone()], &mut incumbents), "old young");
        let grown = pool("old", 1, "10.0.0.0/16");
        assert_eq!(ready(&[grown.clone(), young.clone()], &mut incumbents), "young");
        let mut edited = (*young).clone();
        edited.spec.auto_assign = false;
        edited.metadata.generation = Some(2);
        assert_eq!(ready(&[grown.clone(), Arc::new(edited)], &mut incumbents), "young");
        assert_eq!(ready(&[grown], &mut incumbents), "old");
    }

    #[test]
    fn after_a_restart_the_status_tells_who_was_ready() {
        let mut young = (*pool("young", 9, "10.0.0.7")).clone();
        young.status = serde_saphyr::from_str(
            "{observedGeneration: 1, conditions: [{type: Ready, status: 'True', reason: Accepted, message: '', \
             lastTransitionTime: '2026-01-01T00:00:00Z'}]}",
        )
        .unwrap();
        let old = pool("old", 1, "10.0.0.0/24");
        assert_eq!(ready(&[old.clone(), Arc::new(young.clone())], &mut Incumbents::new()), "young");
        young.metadata.generation = Some(2);
        assert_eq!(ready(&[old, Arc::new(young)], &mut Incumbents::new()), "old");
    }

    #[test]
    fn a_pool_with_a_range_that_cannot_be_read_is_not_ready_and_keeps_the_others() {
        let pools = [pool("a", 1, "10.0.0.9-10.0.0.1 10.0.0.20")];
        let standing = judge(&pools, &mut Incumbents::new()).remove(0);
        assert_eq!(standing.fault.as_ref().unwrap().reason(), "InvalidAddresses");
        assert!(standing.fault.unwrap().message().contains("write it as \"10.0.0.1-10.0.0.9\""));
        assert_eq!(standing.definition.ranges.addresses, ["10.0.0.20".parse().unwrap()]);
    }

    #[test]
    fn ranges_of_one_pool_may_overlap_each_other() {
        let pools = [pool("a", 1, "10.0.0.0/24 10.0.0.5-10.0.0.9"), pool("b", 2, "10.0.0.200")];
        assert_eq!(ready(&pools, &mut Incumbents::new()), "a");
    }

    fn ready(pools: &[Arc<IPAddressPool>], incumbents: &mut Incumbents) -> String {
        let standings = judge(pools, incumbents);
        let ready = standings.iter().filter(|standing| standing.fault.is_none());
        ready.map(|standing| &*standing.definition.name).collect::<Vec<_>>().join(" ")
    }

    fn pool(name: &str, age: i64, ranges: &str) -> Arc<IPAddressPool> {
        let spec = serde_saphyr::from_str(&format!("addresses: [{}]", ranges.replace(' ', ", "))).unwrap();
        let mut pool = IPAddressPool::new(name, spec);
        pool.metadata.uid = Some(name.to_owned());
        pool.metadata.generation = Some(1);
        pool.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(age).unwrap()));
        Arc::new(pool)
    }
}
