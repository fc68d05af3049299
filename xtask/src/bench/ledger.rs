//! What a grant, a refusal and a release cost in the ledger, by how many addresses are in use.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::report::{Bounds, Reach, Report};
use crate::cargo::bench_program;

/// What is promised of each call with the most addresses in use, in microseconds.
const REACH: f64 = 2.0;
/// What a call may cost with the most addresses in use, as a multiple of what it costs with the fewest.
const GROWTH: f64 = 2.0;

/// How names end, with the most and with the fewest addresses in use.
const MOST: &str = " with 100000 in use";
const FEWEST: &str = " with 100 in use";

#[derive(Deserialize)]
struct Line {
    name: String,
    nanoseconds: Vec<f64>,
}

pub(super) fn run() -> Result<Report> {
    let found = Command::new(bench_program("ferrolb-operator", "ledger")?)
        .output()
        .context("run the ledger's bench")?;
    ensure!(found.status.success(), "the ledger's bench: {}", found.status);
    let mut report = Report::new("ledger")?;
    let mut medians = BTreeMap::new();
    for line in String::from_utf8(found.stdout)?.lines() {
        let Line { name, nanoseconds } =
            serde_json::from_str(line).context("a line of the ledger's bench")?;
        let micros: Vec<f64> = nanoseconds.iter().map(|nanos| nanos / 1e3).collect();
        let promised = name.ends_with(MOST).then_some(REACH);
        let median = report.distribution(&name, "us", micros, Bounds { p50: promised, p99: None });
        medians.insert(name, median.context("no samples")?);
    }
    for (name, most) in medians.iter().filter(|(name, _)| name.ends_with(MOST)) {
        let call = name.trim_end_matches(MOST);
        let least = medians.get(&format!("{call}{FEWEST}")).context("the figure with the fewest in use")?;
        report.figure(
            &format!("{call}, most to fewest in use"),
            most / least,
            "x",
            Some(Reach::AtMost(GROWTH)),
        );
    }
    Ok(report)
}
