//! Runs many schedules on all processors, always with the same result.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::mutation::Mutation;
use crate::schedule::Schedule;
use crate::world::{Traced, World};

/// Why a schedule failed.
pub(crate) struct Failure {
    pub(crate) invariant: &'static str,
    pub(crate) message: String,
}

/// Runs one schedule, and returns its trace and whether it failed.
pub(crate) fn run(seed: u64, mutation: Option<Mutation>, traced: Traced) -> (String, Option<Failure>) {
    let schedule = Schedule::new(seed);
    let mut world = World::new(seed, &schedule, mutation, traced);
    let result = catch_unwind(AssertUnwindSafe(|| world.run(&schedule)));
    let trace = world.trace();
    let (invariant, message) = match result {
        Ok(Ok(())) => return (trace, None),
        Ok(Err(broken)) => (broken.invariant, broken.to_string()),
        Err(_) => ("nothing panics", "it panicked".to_owned()),
    };
    let message = format!("seed {seed}, {schedule}: {message}");
    (trace, Some(Failure { invariant, message }))
}

/// Runs the schedules of all seeds, and returns those that fail first: at most so many.
pub(crate) fn search(
    seeds: Range<u64>,
    mutation: Option<Mutation>,
    most: usize,
    threads: usize,
) -> BTreeMap<u64, Failure> {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(BTreeMap::new());
    let last = |failures: &BTreeMap<u64, Failure>| failures.keys().nth(most.saturating_sub(1)).copied();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // Whoever has a lower seed still runs it to its end.
            let known = last(&failures.lock().unwrap_or_else(PoisonError::into_inner));
            if seed >= seeds.end || known.is_some_and(|known| seed > known) {
                return;
            }
            if let (_, Some(failure)) = run(seed, mutation, Traced::No) {
                failures.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, failure);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.into_iter().take(most).collect()
}
