//! The simulation of many speakers on one segment.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::cargo::{cargo, run};

/// Schedules that the test command runs, always the same.
const TESTED: u64 = 10_000;

#[derive(Args)]
pub(crate) struct SimArgs {
    /// Seed of the first schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many schedules to run, each with the next seed
    #[arg(long, default_value_t = TESTED)]
    steps: u64,
    /// Print what happens in each schedule; a schedule that breaks an invariant is printed in any case
    #[arg(long)]
    trace: bool,
    /// Print every frame as well
    #[arg(long)]
    frames: bool,
    /// Break a rule of the protocol: its name, as --mutations lists them
    #[arg(long)]
    mutation: Option<String>,
    /// Break each rule of the protocol in turn, and show which schedule and which invariant find it
    #[arg(long, conflicts_with_all = ["trace", "frames", "mutation"])]
    mutations: bool,
}

/// Runs what was asked for.
pub(crate) fn run_schedules(args: &SimArgs) -> Result<()> {
    let mut sim = sim();
    sim.args(["--seed", &args.seed.to_string()]);
    if args.mutations {
        sim.arg("--mutations");
    } else {
        sim.args(["--steps", &args.steps.to_string()]);
    }
    sim.args(args.trace.then_some("--trace")).args(args.frames.then_some("--frames"));
    if let Some(name) = &args.mutation {
        sim.args(["--mutation", name]);
    }
    run(&mut sim)
}

/// Runs what has to pass before a change is merged: always the same schedules, and all mutations.
pub(crate) fn test() -> Result<()> {
    run(sim().args(["--steps", &TESTED.to_string()]))?;
    run(sim().arg("--mutations"))
}

fn sim() -> Command {
    cargo(&[
        "test",
        "--locked",
        "--quiet",
        "--package",
        "ferrolb-speaker",
        "--features",
        "mutations",
        "--test",
        "sim",
        "--",
    ])
}
