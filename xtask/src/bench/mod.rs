//! Benchmarks: each a ratio or a distribution from one run, with what is promised beside it.

mod cluster;
mod failover;
mod ledger;
mod operator;
mod plot;
mod process;
mod publish;
mod report;
mod residence;
mod scale;
mod wire;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use ferrolb_lab::end_on_signal;

use crate::cargo::target_dir;

#[derive(Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    bench: Bench,
    /// Print one JSON object instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// File to write all samples to, as JSON
    #[arg(long, global = true)]
    samples: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Bench {
    /// What a grant, a refusal and a release cost in the ledger, by how many addresses are in use
    Ledger,
    /// How fast the operator gives addresses on a real API server, beside a loop that only writes
    Operator {
        /// How many Services wait for an address when the operator starts
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=20_000))]
        services: u32,
    },
    /// From the creation of a Service to the first answer for its address on the wire, and from its deletion to silence
    Publish {
        /// How many Services to create and delete, one after the other
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        services: u32,
    },
    /// How much memory and processor a speaker takes that announces many Services
    Residence,
    /// How long a client finds nobody when a node, a link or a speaker fails, or is told to go, for each fault
    Failover(failover::FailoverArgs),
    /// What many nodes and addresses cost while nothing fails, and how soon each address is answered by one live node
    /// after a tenth of the nodes was lost at once, or all speakers restarted
    Scale(scale::ScaleArgs),
    /// How fast addresses are answered on a wire, by a loop in C, by the kernel and by the speaker; and what
    /// `publish` and `residence` tell
    Wire {
        /// How many Services to create and delete, one after the other
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        services: u32,
    },
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    end_on_signal()?;
    let report = match &args.bench {
        Bench::Ledger => ledger::run()?,
        Bench::Failover(args) => failover::run(args)?,
        Bench::Operator { services } => operator::run(*services)?,
        Bench::Scale(args) => scale::run(args)?,
        Bench::Publish { services } => publish::run(*services)?,
        Bench::Residence => residence::run()?,
        Bench::Wire { services } => wire::run(*services)?,
    };
    let samples = match &args.samples {
        Some(path) => path.clone(),
        None => target_dir()?.join(format!("bench-{}.json", report.bench)),
    };
    report.publish(args.json, &samples)
}
