//! How fast the operator gives addresses on a real API server, beside a loop that only writes.
//!
//! The loop runs in the same cluster, with the same client library and as many requests under way, and its writes are
//! of the size of the operator's.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ferrolb_lab::{CONTROL_PLANE, Ferrolb, Lab, LabBuilder, Planted};
use serde::Deserialize;

use super::cluster::install;
use super::process::{cpu_seconds, peak_memory};
use super::report::{Bounds, Reach, Report};
use crate::cargo::{bench_program, release_binaries};
use crate::spinner::Spinner;

/// The operator's rate, as a part of the loop's.
const RATE: Reach = Reach::AtLeast(0.8);
/// Creations a second of the paced part.
const PACE: u32 = 100;
/// Services of the parts in which they are created while the operator runs. The API server takes ever longer for a
/// creation the more Services there are.
const FEW: u32 = 1_000;
/// The most Services that the bare loop of writes writes to.
const SAMPLE: u32 = 2_000;
/// Where the operator serves its metrics.
const OPERATOR_PORT: u16 = 7472;
const WRITES: &str = "ferrolb_operator_writes_total";
const ASSIGNED: &str = "ferrolb_pool_addresses_assigned";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The program that makes load, in the lab's control plane.
struct Load<'a> {
    lab: &'a Lab,
    program: PathBuf,
}

#[derive(Deserialize)]
struct Found {
    seconds: f64,
    milliseconds: Vec<f64>,
}

pub(super) fn run(services: u32) -> Result<Report> {
    let (binaries, program) = (release_binaries()?, bench_program("ferrolb-operator", "cluster")?);
    let spinner = Arc::new(Spinner::default());
    let lab = LabBuilder::new().bare_nodes(1).progress(spinner.clone()).start()?;
    let ferrolb = Ferrolb::new(&lab, binaries);
    install(&ferrolb, &lab)?;
    let load = Load { lab: &lab, program };
    let mut report = Report::new("operator")?;
    let watched = spinner.step("create at a steady pace, without an operator", || {
        load.run(&["pace-others"], &[0, FEW, PACE])
    })?;
    let none = Bounds { p50: None, p99: None };
    report.distribution("created to seen, 100 a second, no operator", "ms", watched.milliseconds, none);
    {
        let operator = ferrolb.start_operator()?;
        let paced = spinner.step("create at a steady pace", || load.run(&["pace"], &[0, FEW, PACE]))?;
        let bounds = Bounds { p50: None, p99: Some(300.0) };
        report.distribution("created to address, 100 a second", "ms", paced.milliseconds, bounds);
        // Half of the loop comes before, and half after: the API server is ever slower.
        let half = FEW / 2;
        let bare = |first| {
            spinner.step("create and write in a bare loop", || load.run(&["both-others"], &[first, half]))
        };
        let before = bare(FEW)?.seconds;
        let warm = spinner.step("create at full speed, and await all addresses", || {
            let start = clock();
            load.run(&["create"], &[FEW, FEW])?;
            await_allocations(&lab, 2 * FEW)?;
            Ok(start.elapsed().as_secs_f64())
        })?;
        let alone = before + bare(FEW + half)?.seconds;
        report.figure("bare loop of creations and status patches", rate(FEW, alone), "1/s", None);
        report.figure("warm: created and given an address", rate(FEW, warm), "1/s", None);
        report.figure("warm, to the bare loop", alone / warm, "x", Some(RATE));
        operator.terminate(PATIENCE)?;
    }

    let (first, sample) = (2 * FEW, services.min(SAMPLE));
    // The API server serves an administrator before others: the loop is to have the operator's rank.
    let account = lab.service_account_kubeconfig("ferrolb-system", "ferrolb-operator", None)?;
    spinner.step(&format!("plant {services} Services, and {sample} others"), || {
        let ours = (0..services).map(|number| (format!("planted-{number}"), number, None));
        let others = (first..first + sample)
            .map(|number| (format!("other-{number}"), services + number, Some("example.org/lb")));
        let planted = ours.chain(others).map(|(name, number, class)| Planted::service(&name, number, class));
        lab.plant(&planted.collect::<Vec<_>>())
    })?;
    let alone = spinner.step("write to the others in a bare loop", || {
        load.run_as(&account, &["patch-others"], &[first, sample])
    })?;
    let alone = rate(sample, alone.seconds);
    report.figure("bare loop of status patches", alone, "1/s", None);
    let started = clock();
    let operator = ferrolb.start_operator()?;
    let (begun, cold) = spinner.step("start the operator, and await all addresses", || {
        await_allocations(&lab, 1)?;
        let begun = clock();
        await_allocations(&lab, services)?;
        Ok((begun.duration_since(started).as_secs_f64(), begun.elapsed().as_secs_f64()))
    })?;
    report.figure("cold: operator started to first address", begun, "s", None);
    report.figure("cold: addresses given", rate(services, cold), "1/s", None);
    report.figure("cold, to the bare loop", rate(services, cold) / alone, "x", Some(RATE));
    let writes = sum(&lab, WRITES)?;
    report.figure("writes for each address", writes / f64::from(services), "1", Some(Reach::AtMost(1.0)));
    report.figure("operator's CPU for them", cpu_seconds(operator.id())?, "s", None);
    report.figure(
        "operator's memory, at most",
        peak_memory(operator.id())?,
        "MiB",
        Some(Reach::AtMost(64.0)),
    );
    operator.terminate(PATIENCE)?;
    let operator = ferrolb.start_operator()?;
    let (again, given) = (clock(), f64::from(first + services));
    spinner.step("start it once more", || {
        await_that(|| sum(&lab, ASSIGNED).is_ok_and(|assigned| assigned >= given))
    })?;
    report.figure("started again: all addresses known", again.elapsed().as_secs_f64(), "s", None);
    let writes = sum(&lab, WRITES)?;
    report.figure("started again: writes", writes, "1", Some(Reach::AtMost(0.0)));
    operator.terminate(PATIENCE)?;
    Ok(report)
}

fn rate(count: u32, seconds: f64) -> f64 {
    f64::from(count) / seconds
}

/// Waits until the operator has given so many Services an address. Asking it, and not the API server, costs the one
/// that is measured nothing.
fn await_allocations(lab: &Lab, count: u32) -> Result<()> {
    // Before it leads, it tells of none.
    let given = || sum(lab, "ferrolb_operator_allocations_total").unwrap_or_default();
    await_that(|| given() >= f64::from(count))
}

fn await_that(condition: impl Fn() -> bool) -> Result<()> {
    let start = clock();
    while start.elapsed() < PATIENCE {
        if condition() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("it did not come within {PATIENCE:?}")
}

/// The sum of a metric that the operator tells, over all its labels.
fn sum(lab: &Lab, name: &str) -> Result<f64> {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, OPERATOR_PORT))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        std::io::Result::Ok(text)
    };
    let metrics = lab.host(CONTROL_PLANE)?.run(ask)??;
    ensure!(metrics.contains("# EOF"), "the metrics end early");
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    Ok(values.fold(0.0, |sum, value| sum + value))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

impl Load<'_> {
    fn run(&self, words: &[&str], numbers: &[u32]) -> Result<Found> {
        self.run_as(&self.lab.kubeconfig(), words, numbers)
    }

    fn run_as(&self, kubeconfig: &Path, words: &[&str], numbers: &[u32]) -> Result<Found> {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", kubeconfig).args(words).args(numbers.iter().map(ToString::to_string));
        let output = self.lab.host(CONTROL_PLANE)?.run(|| command.output())??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the load program, {words:?} {numbers:?}: {complaint}");
        let output = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&output).with_context(|| format!("what the load program printed: {output}"))
    }
}
