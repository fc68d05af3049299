//! Two operators, of which one leads: what happens when it freezes, dies or stops in the middle of its work.

mod handover;
mod load;
mod middle;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use ferrolb_lab::{Ferrolb, Lab, LabBuilder, Process};

use support::eventually;

fn main() -> ExitCode {
    support::run(
        start,
        &tests![
            handover::both_are_ready_and_one_leads,
            handover::an_operator_that_stops_hands_over_within_seconds,
            middle::a_leader_that_is_frozen_changes_nothing_when_it_thaws,
            middle::a_leader_that_is_killed_leaves_nothing_half_done,
            middle::an_api_server_that_is_killed_costs_no_address,
        ],
    )
}

/// A control plane with two operators.
pub(crate) struct Fixture {
    lab: Lab,
    binaries: PathBuf,
}

fn start() -> Result<Fixture> {
    let lab = LabBuilder::new().start()?;
    let fixture = Fixture { lab, binaries: support::built("FERROLB_BINARIES")? };
    fixture.ferrolb().install(&support::repository("deploy/install.yaml"))?;
    for number in [0, 1] {
        fixture.ferrolb().start_replica(number)?;
    }
    Ok(fixture)
}

impl Fixture {
    fn ferrolb(&self) -> Ferrolb<'_> {
        Ferrolb::new(&self.lab, &self.binaries)
    }

    /// The process of an operator.
    fn operator(&self, number: u16) -> Result<Process> {
        self.ferrolb().replica(number)
    }

    /// Applies a manifest.
    fn apply(&self, manifest: &str) -> Result<()> {
        self.lab.kubectl_stdin(["apply", "--filename=-"], manifest).map(drop)
    }

    /// Waits until one of these operators leads, by the Lease and by what it says itself.
    fn await_leader(&self, among: &[u16]) -> Result<u16> {
        eventually(|| {
            let leader = self.ferrolb().leader()?.context("nobody leads")?;
            ensure!(among.contains(&leader), "operator {leader} leads");
            ensure!(self.says_that_it_leads(leader)?, "operator {leader} does not know that it leads");
            Ok(leader)
        })
    }

    fn says_that_it_leads(&self, number: u16) -> Result<bool> {
        let metrics = self.ferrolb().ask_replica(number, "/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix("ferrolb_operator_leader "));
        Ok(value.context("there is no such metric")? == "1")
    }

    /// How many writes to Services the API server has refused, as they were for a version that is no more.
    fn stale_writes(&self) -> Result<u64> {
        let metrics = self.lab.kubectl(["get", "--raw=/metrics"])?;
        let of_services = metrics.lines().filter(|line| {
            let words =
                ["apiserver_request_total{", "code=\"409\"", "resource=\"services\"", "verb=\"PATCH\""];
            words.iter().all(|word| line.contains(word))
        });
        of_services.map(|line| Ok(line.rsplit(' ').next().context("no value")?.parse::<u64>()?)).sum()
    }

    /// Stops the leader in good order, awaits that the other one leads, and starts a new one in its place.
    fn hand_over(&self) -> Result<()> {
        let leader = self.await_leader(&[0, 1])?;
        ensure!(self.operator(leader)?.terminate(support::PATIENCE)?, "operator {leader} did not stop");
        self.await_leader(&[other(leader)])?;
        self.ferrolb().start_replica(leader).map(drop)
    }
}

/// The one operator of the two that this is not.
pub(crate) fn other(number: u16) -> u16 {
    1 - number
}
