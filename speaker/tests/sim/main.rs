//! A deterministic simulation of many speakers: the real machines on a simulated segment, with faults.
//!
//! ```text
//! sim [--seed N] [--steps N] [--trace]
//! ```
//!
//! Each step is one schedule: a cluster, its addresses, and what happens to it, all of which follow from the seed. The
//! invariants are checked whenever something changes. A schedule that breaks one is printed with its trace, and
//! `--seed` runs it again.

#![expect(clippy::print_stdout, reason = "it is a program")]

mod check;
mod fault;
mod network;
mod node;
mod random;
mod world;

use std::process::ExitCode;

use fault::Schedule;
use world::World;

/// Schedules that are run where nothing else is said.
const STEPS: u64 = 2000;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0_u32;
    for seed in options.seed..options.seed.saturating_add(options.steps) {
        let schedule = Schedule::new(seed);
        let mut world = World::new(seed, &schedule);
        let result = world.run(&schedule);
        if options.trace || result.is_err() {
            println!("{}", world.trace());
        }
        if let Err(broken) = result {
            println!("seed {seed}, {schedule}: {broken}\nrun it again with --seed {seed} --steps 1 --trace");
            failed += 1;
            if failed >= options.failures {
                break;
            }
        }
    }
    if failed > 0 {
        return ExitCode::FAILURE;
    }
    println!("{} schedules from seed {}: every invariant held", options.steps, options.seed);
    ExitCode::SUCCESS
}

struct Options {
    seed: u64,
    steps: u64,
    trace: bool,
    failures: u32,
}

impl Options {
    fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { seed: 1, steps: STEPS, trace: false, failures: 1 };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64, String> {
                let text = words.next().ok_or(format!("{word} needs a number"))?;
                text.parse().map_err(|_| format!("{word} needs a number, not {text:?}"))
            };
            match word.as_str() {
                "--seed" => options.seed = number()?,
                "--steps" => options.steps = number()?,
                "--failures" => options.failures = u32::try_from(number()?).unwrap_or(u32::MAX),
                "--trace" => options.trace = true,
                _ => {
                    return Err(format!(
                        "{word:?}: only --seed N, --steps N, --failures N and --trace are known"
                    ));
                }
            }
        }
        Ok(options)
    }
}
