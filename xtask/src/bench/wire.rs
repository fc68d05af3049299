//! How fast addresses are answered on a wire: by a loop in C, by the kernel, and by the speaker with more and more
//! addresses. And how long it takes until one is, and what the speaker needs for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::report::{Bounds, Reach, Report};
use super::{publish, residence};
use crate::cargo::{bench_program, run as run_command, target_dir, workspace};

/// What half of the speaker's answers may take at most, as a multiple of those of the loop in C.
const RATIO: f64 = 1.3;
/// What half of the answers may take with the most addresses, as a multiple of those with one: flat, but for noise.
const GROWTH: f64 = 1.2;
/// As the program tells how many addresses the speaker has.
const MOST: &str = "speaker with 10000";
const ONE: &str = "speaker with 1";
const LOOP: &str = "loop in C";
const LOOP_WITH_GROUPS: &str = "loop in C with 10000 groups";

#[derive(Deserialize)]
struct Line {
    name: String,
    micros: Vec<f64>,
    per_second: f64,
}

pub(super) fn run(services: u32) -> Result<Report> {
    let mut report = Report::new("wire")?;
    answers(&mut report)?;
    publish::measure(&mut report, services)?;
    residence::measure(&mut report)?;
    Ok(report)
}

fn answers(report: &mut Report) -> Result<()> {
    let (echo, program) = (compiled()?, bench_program("ferrolb-speaker", "wire")?);
    // On one core: what it costs to wake another one differs from question to question, and more than the responders do.
    let mut measure = Command::new("taskset");
    measure.args(["--cpu-list", "0", "unshare", "--net"]).arg(program).arg(echo);
    let found = measure.output().context("start taskset")?;
    ensure!(
        found.status.success(),
        "the bench: {}\n{}",
        found.status,
        String::from_utf8_lossy(&found.stderr)
    );
    let mut medians = BTreeMap::new();
    for line in String::from_utf8(found.stdout)?.lines() {
        let Line { name, micros, per_second } = serde_json::from_str(line).context("a line of the bench")?;
        let median = report.distribution(&name, "us", micros, Bounds::default()).context("no samples")?;
        report.figure(&format!("{name}, at once"), per_second, "1/s", None);
        medians.insert(name, median);
    }
    // The kernel walks all groups of an interface for each multicast frame, whoever receives it.
    for (protocol, loop_of_most) in [("arp", LOOP), ("ndp", LOOP_WITH_GROUPS)] {
        let median = |responder: &str| -> Result<f64> {
            let name = format!("{protocol}, {responder}");
            medians.get(&name).copied().with_context(|| format!("{name:?} was not measured"))
        };
        let (echo, one, most) = (median(LOOP)?, median(ONE)?, median(MOST)?);
        let (ratio, growth) = (Some(Reach::AtMost(RATIO)), Some(Reach::AtMost(GROWTH)));
        report.figure(&format!("{protocol}, {ONE}, to the {LOOP}"), one / echo, "x", ratio);
        let name = format!("{protocol}, {MOST}, to the {loop_of_most}");
        report.figure(&name, most / median(loop_of_most)?, "x", ratio);
        report.figure(&format!("{protocol}, {MOST}, to {ONE}"), most / one, "x", growth);
    }
    Ok(())
}

/// Compiles the loop in C, and returns its program.
fn compiled() -> Result<PathBuf> {
    let program = target_dir()?.join("bench-echo");
    let source: &Path = &workspace().join("speaker/benches/echo.c");
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source);
    run_command(&mut compile)?;
    Ok(program)
}
