//! How much memory and processor a speaker takes that announces many Services.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ferrolb_lab::{Ferrolb, Lab, LabBuilder, Planted};

use super::cluster::install;
use super::process::{cpu_seconds, resident_memory};
use super::report::{Reach, Report};
use crate::cargo::release_binaries;
use crate::spinner::Spinner;

/// How many Services, and the most memory that is promised, in MiB.
const STAGES: [(u32, f64); 2] = [(1_000, 16.0), (10_000, 32.0)];
/// How long an idle speaker is watched.
const IDLE: Duration = Duration::from_secs(20);
/// How long it may take until all is announced.
const PATIENCE: Duration = Duration::from_secs(600);
const NODE: &str = "bare-1";

pub(super) fn run() -> Result<Report> {
    let mut report = Report::new("residence")?;
    measure(&mut report)?;
    Ok(report)
}

pub(super) fn measure(report: &mut Report) -> Result<()> {
    let binaries = release_binaries()?;
    let spinner = Arc::new(Spinner::default());
    let lab = LabBuilder::new().bare_nodes(1).progress(spinner.clone()).start()?;
    let ferrolb = Ferrolb::new(&lab, binaries);
    install(&ferrolb, &lab)?;
    let mut planted = 0;
    for (services, promised) in STAGES {
        spinner.step(&format!("plant {services} Services"), || {
            lab.plant(&(planted..services).flat_map(objects).collect::<Vec<_>>())
        })?;
        planted = services;
        let speaker = ferrolb.start_speaker(NODE)?;
        spinner.step("announce them", || await_owned(&lab, services))?;
        let (start, before) = (now(), cpu_seconds(speaker.id())?);
        spinner.step("watch it idle", || {
            std::thread::sleep(IDLE);
            Ok(())
        })?;
        let share = (cpu_seconds(speaker.id())? - before) / start.elapsed().as_secs_f64() * 100.0;
        let memory = resident_memory(speaker.id())?;
        let name = format!("speaker with {services} Services, memory");
        report.figure(&name, memory, "MiB", Some(Reach::AtMost(promised)));
        report.figure(
            &format!("speaker with {services} Services, a core's time when idle"),
            share,
            "%",
            None,
        );
        speaker.terminate(PATIENCE)?;
    }
    Ok(())
}

/// A Service with an address, and its endpoints.
fn objects(number: u32) -> [Planted; 2] {
    let name = format!("service-{number}");
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 64, 0, 1).to_bits() + number).into();
    [Planted::served(&name, number, address), Planted::endpoints(&name, number, NODE, address)]
}

/// Waits until a speaker owns so many addresses and has said so.
fn await_owned(lab: &Lab, services: u32) -> Result<()> {
    let start = now();
    while start.elapsed() < PATIENCE {
        let reports = ["get", "servicel2statuses", "--namespace=ferrolb-system", "--output=name"];
        if lab.kubectl(reports)?.lines().count() >= usize::try_from(services)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("not all of {services} addresses were owned within {PATIENCE:?}")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
