//! A deterministic simulation of many speakers: the real machines on a simulated segment, with faults.
//!
//! ```text
//! sim [--seed N] [--steps N] [--failures N] [--threads N] [--trace] [--frames] [--mutation NAME]
//! sim --mutations [--seed N] [--steps N] [--threads N]
//! ```
//!
//! Each step is one schedule: a cluster, its addresses, and what happens to it, all of which follow from the seed. The
//! invariants are checked whenever something changes. A schedule that breaks one is printed with its trace, and
//! `--seed` runs it again. `--mutations` breaks each rule of the protocol in turn, and shows which invariant finds it; it
//! needs the feature `mutations`.

#![expect(clippy::print_stdout, reason = "it is a program")]

mod agenda;
mod api;
mod causes;
mod check;
mod contact;
mod fault;
mod mutation;
mod network;
mod node;
mod options;
mod random;
mod run;
mod schedule;
mod strike;
mod world;

use std::process::ExitCode;

use options::Options;
use world::Traced;

/// Schedules that are run where nothing else is said, beside those that found a fault once.
const STEPS: u64 = 200;
/// Seeds of schedules that found a fault of the machine.
const FOUND: [u64; 29] = [
    137, 141, 210, 265, 566, 1100, 1622, 1666, 2229, 2380, 2470, 2663, 3024, 3309, 6304, 7376, 8029, 11182,
    12198, 214257, 273600, 276212, 418303, 465113, 475995, 549867, 573452, 730401, 840920,
];
/// Schedules in which a mutation has to show.
const SEARCHED: u64 = 5000;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let passed = if options.mutations { mutations(&options) } else { schedules(&options) };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs schedules, and prints those that break an invariant.
fn schedules(options: &Options) -> bool {
    let (seed, steps) = (options.seed.unwrap_or(1), options.steps.unwrap_or(STEPS));
    let seeds = seed..seed.saturating_add(steps);
    let traced = if options.frames { Traced::Frames } else { Traced::Changes };
    if options.trace {
        for seed in seeds.clone() {
            println!("{}", run::run(seed, options.mutation, traced).0);
        }
    }
    let mut failures = run::search(seeds, options.mutation, options.failures, options.threads);
    if options.seed.is_none() && options.steps.is_none() {
        for seed in FOUND {
            failures.extend(run::search(seed..seed + 1, options.mutation, 1, 1));
        }
    }
    for (seed, failure) in &failures {
        if !options.trace && options.failures == 1 {
            println!("{}", run::run(*seed, options.mutation, traced).0);
        }
        println!("{}\nrun it again with --seed {seed} --steps 1 --trace", failure.message);
    }
    if failures.is_empty() {
        println!("{steps} schedules from seed {seed}: every invariant held");
    }
    failures.is_empty()
}

/// Breaks each rule in turn, and prints the first schedule that shows it.
fn mutations(options: &Options) -> bool {
    let (seed, steps) = (options.seed.unwrap_or(1), options.steps.unwrap_or(SEARCHED));
    let seeds = seed..seed.saturating_add(steps);
    let mut found_all = true;
    for &mutation in mutation::ALL {
        let failures = run::search(seeds.clone(), Some(mutation), 1, options.threads);
        match failures.first_key_value() {
            Some((seed, failure)) => println!("{mutation:17} seed {seed:>5}  {}", failure.invariant),
            None => println!("{mutation:17} not found in {steps} schedules from seed {seed}"),
        }
        found_all &= !failures.is_empty();
    }
    found_all
}
