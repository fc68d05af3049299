//! Who leads, and how fast that changes in good order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::support::{PATIENCE, eventually, moment};
use crate::{Fixture, other};

/// How long it may take from SIGTERM until the other one leads: a turn of its, and some for a busy machine.
const HANDOVER: Duration = Duration::from_secs(5);

pub(crate) fn both_are_ready_and_one_leads(fixture: &Fixture) -> Result<()> {
    let leader = fixture.await_leader(&[0, 1])?;
    eventually(|| {
        for number in [0, 1] {
            fixture.ferrolb().ask_replica(number, "/readyz")?;
        }
        Ok(())
    })?;
    ensure!(!fixture.says_that_it_leads(other(leader))?, "both lead");
    let log = fixture.operator(other(leader))?.log()?;
    ensure!(log.contains("standingBy") && !log.contains("configLoaded"), "{log}");
    Ok(())
}

pub(crate) fn an_operator_that_stops_hands_over_within_seconds(fixture: &Fixture) -> Result<()> {
    let leader = fixture.await_leader(&[0, 1])?;
    let process = fixture.operator(leader)?;
    let start = moment();
    ensure!(process.terminate(PATIENCE)?, "it did not stop");
    fixture.await_leader(&[other(leader)])?;
    let took = start.elapsed();
    ensure!(took < HANDOVER, "the other one led after {took:?}");
    process.log()?.contains("leaderReleased").then_some(()).context("it did not release the Lease")?;
    fixture.ferrolb().start_replica(leader)?;
    eventually(|| fixture.ferrolb().ask_replica(leader, "/readyz").map(drop))
}
