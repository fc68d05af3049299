//! The leader is interrupted in the middle of a thousand writes.

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::support::eventually;
use crate::{Fixture, other};

pub(crate) fn a_leader_that_is_frozen_changes_nothing_when_it_thaws(fixture: &Fixture) -> Result<()> {
    let leader = fixture.await_leader(&[0, 1])?;
    let load = Load::prepare(fixture, "frozen", "10.50.0.0/21")?;
    let process = fixture.operator(leader)?;
    load.begin(leader)?;
    process.freeze()?;
    load.ensure_half_done()?;
    fixture.await_leader(&[other(leader)])?;
    let before = load.await_done()?;

    let lost = |log: &str| log.matches("leaderLost").count();
    let losses = lost(&process.log()?);
    let stale = fixture.stale_writes()?;
    process.thaw()?;
    eventually(|| {
        ensure!(lost(&process.log()?) > losses, "it does not notice that it leads no more");
        ensure!(!fixture.says_that_it_leads(leader)?, "it says that it leads");
        Ok(())
    })?;
    let stale = fixture.stale_writes()? - stale;
    ensure!(stale == 0, "it sent {stale} writes that it had decided on before");
    fixture.ferrolb().ask_replica(leader, "/readyz")?;
    ensure!(process.is_alive(), "it ended");
    ensure!(fixture.await_leader(&[0, 1])? == other(leader), "it leads again");
    load.ensure_final(&before)
}

pub(crate) fn a_leader_that_is_killed_leaves_nothing_half_done(fixture: &Fixture) -> Result<()> {
    let leader = fixture.await_leader(&[0, 1])?;
    let load = Load::prepare(fixture, "killed", "10.51.0.0/21")?;
    load.begin(leader)?;
    fixture.operator(leader)?.kill()?;
    load.ensure_half_done()?;
    fixture.await_leader(&[other(leader)])?;
    let before = load.await_done()?;
    fixture.ferrolb().start_replica(leader)?;
    load.ensure_final(&before)
}

pub(crate) fn an_api_server_that_is_killed_costs_no_address(fixture: &Fixture) -> Result<()> {
    let leader = fixture.await_leader(&[0, 1])?;
    let load = Load::prepare(fixture, "outage", "10.52.0.0/21")?;
    load.begin(leader)?;
    fixture.lab.api()?.stop()?;
    fixture.lab.api()?.start()?;
    let before = load.await_done()?;
    for number in [0, 1] {
        ensure!(fixture.operator(number)?.is_alive(), "operator {number} ended");
    }
    load.ensure_final(&before)
}
