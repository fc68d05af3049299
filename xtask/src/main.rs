//! Developer commands of FerroLB, as `cargo xtask COMMAND`.

mod bench;
mod cargo;
mod check;
mod codegen;
mod demo;
mod image;
mod lab;
mod shell;
mod sim;
mod spinner;
mod tally;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of FerroLB
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a three-node cluster, install FerroLB, publish nginx, and fetch its page from another host
    Demo(demo::DemoArgs),
    /// Run all checks and tests
    Test(test::TestArgs),
    /// Simulate many speakers on one segment, with faults, and check that the ownership protocol keeps its promises
    Sim(sim::SimArgs),
    /// Run a benchmark
    Bench(bench::BenchArgs),
    /// Write the generated files: crds/*.yaml and deploy/install.yaml
    Codegen(codegen::CodegenArgs),
    /// Write the container images of operator and speaker as archives
    Image(image::ImageArgs),
    /// Start and use a cluster on this machine
    Lab(lab::LabArgs),
}

#[expect(clippy::print_stderr, reason = "an error is for the person who ran the command")]
fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Sim(args) => sim::run_schedules(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Codegen(args) => codegen::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Lab(args) => lab::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
