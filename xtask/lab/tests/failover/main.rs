//! What a client notices of each fault: one trial of each here, many by `cargo xtask bench failover`.
//!
//! The machine may be busy: what is asserted is a multiple of what is promised, but who has an address afterwards is not a
//! question of time.

#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use ferrolb_lab::failover::{Fault, Stage};
use ferrolb_lab::{LabBuilder, Silent, image};
use libtest_mimic::{Arguments, Trial};

use support::{await_event, built, repository};

/// What is asserted, as a multiple of what is promised.
const TOLERANCE: f64 = 10.0;
/// Of two owners one yields within 2 s after they can hear each other.
const QUARREL: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let bare = Arc::new(Fixture::new(start_bare));
    let full = Arc::new(Fixture::new(start_full));
    let with_api = Fault::ALL.map(|fault| trial(&bare, fault, true, ""));
    let without_api = Fault::WITHOUT_API.map(|fault| trial(&bare, fault, false, ", API stopped"));
    let end = {
        let bare = bare.clone();
        // Its processor time is needed.
        Trial::test("the bare nodes are removed", move || {
            bare.end();
            Ok(())
        })
    };
    let pods = Fault::ON_FULL_NODES.map(|fault| trial(&full, fault, true, ", pods"));
    let pods_without_api =
        Fault::ON_FULL_NODES_WITHOUT_API.map(|fault| trial(&full, fault, false, ", pods, API stopped"));
    let trials = with_api.into_iter().chain(without_api).chain([end]).chain(pods).chain(pods_without_api);
    let trials = trials.collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    bare.end();
    full.end();
    conclusion.exit_code()
}

/// A stage that the first of its tests starts.
struct Fixture {
    start: fn() -> Result<Stage>,
    stage: Mutex<Option<Result<Stage, String>>>,
}

impl Fixture {
    fn new(start: fn() -> Result<Stage>) -> Self {
        Self { start, stage: Mutex::new(None) }
    }

    fn with<T>(&self, act: impl FnOnce(&Stage) -> Result<T>) -> Result<T, String> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let started = stage.get_or_insert_with(|| (self.start)().map_err(|error| format!("{error:#}")));
        let stage = started.as_ref().map_err(|error| format!("the stage did not start: {error}"))?;
        act(stage).map_err(|error| format!("{error:#}"))
    }

    fn end(&self) {
        drop(self.stage.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn trial(fixture: &Arc<Fixture>, fault: Fault, with_api: bool, suffix: &str) -> Trial {
    let fixture = fixture.clone();
    Trial::test(format!("{fault}{suffix}").replace(' ', "_"), move || {
        fixture.with(|stage| judge(stage, fault, with_api)).map_err(Into::into)
    })
}

fn judge(stage: &Stage, fault: Fault, with_api: bool) -> Result<()> {
    let outcome = stage.trial(fault, with_api)?;
    match fault.moves() {
        Some(true) => ensure!(outcome.moved() == outcome.seen.len(), "not all addresses moved: {outcome:?}"),
        Some(false) => {
            ensure!(outcome.strayed() == 0, "an address was another node's: {outcome:?}");
            ensure!(outcome.broken().is_none_or(|broken| broken == 0), "a connection broke: {outcome:?}");
        }
        None => {}
    }
    let covered = outcome.coverers() >= fault.coverers();
    ensure!(covered, "fewer than {} answered in the owner's name: {outcome:?}", fault.coverers());
    ensure!(
        fault == Fault::NodeLostIsolated || outcome.quarrel() < QUARREL,
        "two answered for longer than {QUARREL:?}: {outcome:?}"
    );
    if let (_, Some(reach)) = fault.reach() {
        let most = Duration::from_secs_f64(reach * TOLERANCE / 1e3);
        ensure!(outcome.unanswered() < most, "unanswered for longer than {most:?}: {outcome:?}");
    }
    if fault == Fault::Excluded {
        let told = await_event(stage.lab(), "failover", "HandedOver")?;
        ensure!(told.contains("the node is labelled"), "{told}");
    }
    Ok(())
}

fn start_bare() -> Result<Stage> {
    let lab = LabBuilder::new().bare_nodes(4).start()?;
    Stage::bare(lab, &built("FERROLB_BINARIES")?, &repository("deploy/install.yaml"))
}

fn start_full() -> Result<Stage> {
    let lab = LabBuilder::new().full_nodes(3).start()?;
    let nginx = image::nginx(&Silent)?;
    Stage::full(lab, &built("FERROLB_IMAGES")?, &repository("deploy/install.yaml"), &nginx)
}
