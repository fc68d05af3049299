//! What has to hold of a ledger after every step, found out by walking over everything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferrolb_crds::pool::ServiceAllocation;
use ferrolb_crds::range::Family;
use ferrolb_crds::selector;

use super::script::Stage;
use crate::ledger::{Decision, PoolDefinition};
use crate::request::{Families, Request, Source, Wish};

/// Every address that a scenario of the property test can be about.
pub(super) fn universe() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..12).map(|last| IpAddr::from([10, 0, 0, last]));
    v4.chain((0..6).map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])))
}

/// What is wrong, if anything is. `before` is the stage's requests, which say what each Service had, before the step.
pub(super) fn fault(stage: &Stage, before: &BTreeMap<String, Request>) -> Option<String> {
    let requests: Vec<&Request> = stage.requests.values().collect();
    for (index, one) in requests.iter().enumerate() {
        for other in &requests[index + 1..] {
            if let Some(address) = one.held.iter().find(|address| other.held.contains(address))
                && !fit(one, other)
            {
                return Some(format!("{} and {} share {address}", one.service, other.service));
            }
        }
    }
    for pool in stage.pools.values() {
        let (usage, recount) = (stage.ledger.usage(&pool.name)?, recount(stage, pool));
        let found = [usage.assigned_v4, usage.available_v4, usage.assigned_v6, usage.available_v6];
        if found != recount {
            return Some(format!("pool {} counts {found:?}, and has {recount:?}", pool.name));
        }
    }
    let (request, decision) = stage.latest.as_ref()?;
    let had = before.get(&*request.service.name).map(|before| before.held.clone()).unwrap_or_default();
    decided_wrongly(stage, request, decision, &had)
}

fn decided_wrongly(stage: &Stage, request: &Request, decision: &Decision, had: &[IpAddr]) -> Option<String> {
    let Ok(wish) = &request.wish else { return None };
    let has: Vec<IpAddr> = decision.assignment.iter().map(|place| place.address).collect();
    if let Some(stray) =
        has.iter().find(|address| !had.contains(address) && !grantable(stage, request, wish, **address))
    {
        return Some(format!("{stray} was not to be given"));
    }
    if let Some(stray) = has.iter().find(|address| !wish.families.include(Family::of(**address))) {
        return Some(format!("{stray} is of a family that is not wanted"));
    }
    let others = stage.requests.values().filter(|other| other.service != request.service);
    let shared = |address: &&IpAddr| {
        others.clone().filter(|other| other.held.contains(address)).all(|other| fit(request, other))
    };
    let lost = had.iter().filter(|address| keeps(stage, request, wish, **address)).filter(shared);
    let mut lost = lost.filter(|address| !has.iter().any(|has| Family::of(*has) == Family::of(**address)));
    if let Some(lost) = lost.next() {
        return Some(format!("{lost} was legal, and is lost"));
    }
    let lacking: Vec<Family> = Families::ALL
        .into_iter()
        .filter(|family| wish.families.include(*family) && !has.iter().any(|has| Family::of(*has) == *family))
        .collect();
    let free = |family: &Family| {
        universe()
            .find(|address| Family::of(*address) == *family && grantable(stage, request, wish, *address))
    };
    let gives = match wish.families {
        // Both or nothing: what is lacking is refused as long as one of them can't be had.
        Families::RequireBoth if lacking.iter().any(|family| free(family).is_none()) => None,
        Families::One(_) | Families::PreferBoth | Families::RequireBoth => lacking.iter().find_map(free),
    };
    if let Some(address) = gives
        && !is_refused_for_its_pool(stage, wish)
        && !(decision.refusal.is_some() && asks_for_something_impossible(stage, request, wish, &has))
    {
        return Some(format!("{address} was to be had, and {:?} was decided", decision.refusal));
    }
    (decision.refusal.is_none()
        && !lacking.is_empty()
        && (wish.families != Families::PreferBoth || has.is_empty()))
    .then(|| format!("{lacking:?} is lacking, and nothing is said of it"))
}

/// Whether the Service could be given the address now.
fn grantable(stage: &Stage, request: &Request, wish: &Wish, address: IpAddr) -> bool {
    let named = match &wish.source {
        Source::Automatic => None,
        Source::Pool(name) => Some(name.as_str()),
        Source::Addresses { addresses, pool } => {
            if addresses.get(Family::of(address)) != Some(address) {
                return false;
            }
            pool.as_deref()
        }
    };
    let Some(pool) = pool_of(stage, address) else { return false };
    let by_itself = pool.spec.auto_assign || wish.source != Source::Automatic;
    let others = stage.requests.values().filter(|other| other.service != request.service);
    pool.ready
        && !pool.spec.drain
        && by_itself
        && named.is_none_or(|name| *name == *pool.name)
        && !pool.ranges.excluded.iter().any(|range| range.contains(address))
        && admits(stage, pool, request)
        && stage.claims.values().flatten().all(|(claimed, _)| *claimed != address)
        && others.filter(|other| other.held.contains(&address)).all(|other| fit(request, other))
}

/// Whether a Service keeps an address that it has, were it the only one to have it.
fn keeps(stage: &Stage, request: &Request, wish: &Wish, address: IpAddr) -> bool {
    let asked = match &wish.source {
        Source::Automatic => true,
        Source::Pool(name) => pool_of(stage, address).is_some_and(|pool| *pool.name == **name),
        Source::Addresses { addresses, .. } => addresses.get(Family::of(address)) == Some(address),
    };
    let home = pool_of(stage, address).is_some_and(|pool| admits(stage, pool, request));
    asked && home && wish.families.include(Family::of(address))
}

/// An address and a pool that disagree are refused, whatever is free.
fn is_refused_for_its_pool(stage: &Stage, wish: &Wish) -> bool {
    let Source::Addresses { addresses, pool: Some(name) } = &wish.source else { return false };
    !stage.pools.contains_key(name)
        || addresses.iter().any(|address| pool_of(stage, address).is_some_and(|pool| *pool.name != **name))
}

/// Of two addresses that are asked for both have to be had.
fn asks_for_something_impossible(stage: &Stage, request: &Request, wish: &Wish, has: &[IpAddr]) -> bool {
    let Source::Addresses { addresses, .. } = &wish.source else { return false };
    addresses.iter().any(|address| !has.contains(&address) && !grantable(stage, request, wish, address))
}

fn admits(stage: &Stage, pool: &PoolDefinition, request: &Request) -> bool {
    let Some(ServiceAllocation { namespaces, namespace_selectors, service_selectors, .. }) =
        &pool.spec.service_allocation
    else {
        return true;
    };
    let namespace = &*request.service.namespace;
    let any = namespaces.is_empty() && namespace_selectors.is_empty();
    let labels = stage.namespaces.get(namespace);
    let selected = labels.is_some_and(|labels| selector::any_matches(namespace_selectors, Some(labels)));
    (any || namespaces.iter().any(|name| name == namespace) || selected)
        && (service_selectors.is_empty() || selector::any_matches(service_selectors, Some(&request.labels)))
}

fn fit(one: &Request, other: &Request) -> bool {
    let (one, other) = (&one.sharing, &other.sharing);
    one.key.is_some()
        && one.key == other.key
        && one.backend == other.backend
        && one.ports.iter().all(|port| !other.ports.contains(port))
}

/// The pool that contains an address: a Ready one before others.
fn pool_of(stage: &Stage, address: IpAddr) -> Option<&PoolDefinition> {
    let mut holding = stage
        .pools
        .values()
        .filter(|pool| pool.ranges.addresses.iter().any(|range| range.contains(address)))
        .collect::<Vec<_>>();
    holding.sort_by_key(|pool| !pool.ready);
    holding.first().copied()
}

fn recount(stage: &Stage, pool: &PoolDefinition) -> [i64; 4] {
    let mut counts = [0; 4];
    // A pool that is not Ready keeps its assignments, though it may not contain them any more.
    let stranded =
        |address| stage.ledger.tenancies.get(&address).is_some_and(|tenancy| tenancy.pool == pool.name);
    for address in universe() {
        let at = if Family::of(address) == Family::V4 { 0 } else { 2 };
        match pool_of(stage, address) {
            Some(home) if home.name == pool.name => {}
            None if !pool.ready => {
                counts[at] += i64::from(stranded(address));
                continue;
            }
            Some(_) | None => continue,
        }
        let has = stage.requests.values().any(|request| request.held.contains(&address));
        let claimed = stage.claims.values().flatten().any(|(claimed, _)| *claimed == address);
        let excluded = pool.ranges.excluded.iter().any(|range| range.contains(address));
        counts[at] += i64::from(has);
        counts[at + 1] += i64::from(!has && !claimed && !excluded && pool.ready && !pool.spec.drain);
    }
    counts
}
