//! All checks and tests: what has to pass before a change is merged.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::{cargo, words};
use crate::tally::Tally;
use crate::{check, codegen, demo, image, sim};

/// Test targets that start a cluster.
const CLUSTER_SUITES: [&str; 6] = ["cluster", "bare", "operators", "tutorial", "failover", "scale"];

#[derive(Args)]
pub(crate) struct TestArgs {
    /// Only the quick half: no cluster is started
    #[arg(long)]
    unit: bool,
}

/// Runs everything that was asked for, also after a failure, and says at the end what failed.
#[expect(clippy::print_stdout, reason = "what the command was run for")]
pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let mut record = |name: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            println!("FAILED: {name}: {error:#}");
            failures.push(name.to_owned());
        }
    };
    for (name, check) in check::ALL {
        println!("\n== {name}");
        record(name, check());
    }
    println!("\n== generated files");
    record("generated files", codegen::check());
    println!("\n== unit tests");
    record(
        "unit tests",
        tests(&mut tally, cargo(&["test", "--locked", "--workspace", "--exclude", "ferrolb-lab"])),
    );
    record(
        "unit tests of the lab",
        tests(&mut tally, cargo(&["test", "--locked", "--package", "ferrolb-lab", "--lib"])),
    );
    println!("\n== simulation");
    record("simulation", sim::test());
    if !args.unit {
        println!("\n== images");
        let images = demo::images_dir().and_then(|folder| image::write(&folder));
        match images {
            Err(error) => record("images", Err(error)),
            Ok(images) => {
                for suite in CLUSTER_SUITES {
                    println!("\n== tests on a cluster: {suite}");
                    let mut command =
                        cargo(&["test", "--locked", "--package", "ferrolb-lab", "--test", suite]);
                    command.env("FERROLB_BINARIES", &images.binaries).env("FERROLB_IMAGES", &images.folder);
                    record(suite, tests(&mut tally, command));
                }
            }
        }
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(", "));
    }
    Ok(())
}

/// Runs tests, prints what they print, and counts them.
#[expect(clippy::print_stdout, reason = "the tests' own output")]
fn tests(tally: &mut Tally, mut command: Command) -> Result<()> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {}", words(&command)))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            tally.read(&line);
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed: {status}", words(&command));
    }
    Ok(())
}
