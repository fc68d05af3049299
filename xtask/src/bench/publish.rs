//! From the creation of a Service to the first answer for its address on the wire, and from its deletion to silence, on
//! two bare nodes.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ferrolb_lab::probe::ResolveProbe;
use ferrolb_lab::{CONTROL_PLANE, Ferrolb, Lab, LabBuilder};

use super::cluster::install;
use super::report::{Bounds, Report};
use crate::cargo::{bench_program, release_binaries};
use crate::spinner::Spinner;

/// How long an answer or silence may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// From one question to the next: what is measured is never longer than it was by more.
const PERIOD: Duration = Duration::from_millis(10);
/// Questions without an answer that are silence.
const SILENT: u32 = 30;
/// The first Service's address; each gets the next one.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

/// How long a Service took to be answered for, and then to be silent.
struct Took {
    answered: Duration,
    silent: Duration,
}

/// Creates and deletes Services over one connection, as a program does that runs for long.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub(super) fn run(services: u32) -> Result<Report> {
    let mut report = Report::new("publish")?;
    measure(&mut report, services)?;
    Ok(report)
}

pub(super) fn measure(report: &mut Report, services: u32) -> Result<()> {
    let (binaries, program) = (release_binaries()?, bench_program("ferrolb-operator", "cluster")?);
    let spinner = Arc::new(Spinner::default());
    let lab = LabBuilder::new().bare_nodes(2).progress(spinner.clone()).start()?;
    let ferrolb = Ferrolb::new(&lab, binaries);
    install(&ferrolb, &lab)?;
    ferrolb.start()?;
    let mut client = Client::start(&lab, &program)?;
    // The first Service shows that everything is up, and isn't counted.
    publish(&lab, &mut client, 0)?;
    let took = spinner.step("create and delete Services", || {
        (1..=services).map(|number| publish(&lab, &mut client, number)).collect::<Result<Vec<_>>>()
    })?;
    client.end()?;
    let millis = |of: fn(&Took) -> Duration| took.iter().map(|took| of(took).as_secs_f64() * 1e3).collect();
    let answered = Bounds { p50: Some(80.0), p99: Some(200.0) };
    report.distribution("Service created to answered", "ms", millis(|took| took.answered), answered);
    let silent = Bounds { p50: None, p99: Some(50.0) };
    report.distribution("Service deleted to silent", "ms", millis(|took| took.silent), silent);
    Ok(())
}

/// Creates a Service and deletes it. It is silent from the first question on that was not answered any more.
fn publish(lab: &Lab, client: &mut Client, number: u32) -> Result<Took> {
    let address = IpAddr::V4(Ipv4Addr::from_bits(FIRST.to_bits() + number));
    let probe = ResolveProbe::start_every(PERIOD, &lab.client()?, address)?;
    let created = now();
    client.tell(&format!("create bench-{number} {address}"))?;
    let answer = await_that(|| probe.answers().first().map(|answer| answer.at))
        .with_context(|| format!("nobody answers for {address}"))?;
    let deleted = now();
    client.tell(&format!("delete bench-{number}"))?;
    let last = await_that(|| {
        let last = probe.answers().last().map_or(answer, |answer| answer.at);
        (last.max(deleted).elapsed() > PERIOD * SILENT).then_some(last)
    });
    let last = last.with_context(|| format!("{address} is still answered"))?;
    probe.stop().context("stop asking")?;
    let answered = answer.saturating_duration_since(created);
    Ok(Took { answered, silent: last.saturating_duration_since(deleted) + PERIOD })
}

fn await_that<T>(found: impl Fn() -> Option<T>) -> Result<T> {
    let start = now();
    loop {
        if let Some(found) = found() {
            return Ok(found);
        }
        ensure!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

impl Client {
    fn start(lab: &Lab, program: &std::path::Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("obey").env("KUBECONFIG", lab.kubeconfig());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = lab.host(CONTROL_PLANE)?.run(|| command.spawn())??;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Self { child, input, output })
    }

    /// Has a line done.
    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the client is gone")?;
        let mut done = String::new();
        self.output.read_line(&mut done)?;
        ensure!(!done.is_empty(), "the client did not do it: {line}");
        Ok(())
    }

    fn end(self) -> Result<()> {
        let Self { mut child, input, output: _ } = self;
        drop(input);
        let status = child.wait()?;
        ensure!(status.success(), "the client: {status}");
        Ok(())
    }
}
