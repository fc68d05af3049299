//! Two dozen nodes and a thousand addresses: what must be so at any size. `cargo xtask bench scale` measures more of both.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ferrolb_lab::LabBuilder;
use ferrolb_lab::scale::{Crowd, Settled};

use support::{built, repository};

const NODES: u16 = 24;
const SERVICES: u32 = 1_000;
/// What a node may have more than the mean: a quarter is promised, where nothing else takes the processors.
const SPREAD: f64 = 1.5;
/// Of so many addresses one may move in a rollout, as all nodes share two processors; none is promised to.
const MOVED: usize = 10;
/// A better candidate may take an address over that was placed less than this ago.
const PLACED: Duration = Duration::from_secs(31);

fn main() -> ExitCode {
    support::run(
        start,
        &tests![
            scale::addresses_are_spread_over_the_nodes,
            scale::a_tenth_of_the_nodes_lost_at_once_leaves_each_address_to_one_live_node,
            scale::a_rollout_of_all_speakers_leaves_each_address_to_one_live_node,
        ],
    )
}

/// A crowd, and who answered for what when that was last asked.
struct Fixture {
    crowd: Crowd,
    settled: Mutex<Settled>,
}

/// Returns once each address is answered by one node.
fn start() -> Result<Fixture> {
    let lab = LabBuilder::new().bare_nodes(NODES).start()?;
    let install = repository("deploy/install.yaml");
    let crowd = Crowd::gather(lab, &built("FERROLB_BINARIES")?, &install, SERVICES)?;
    crowd.start()?;
    crowd.advertise()?;
    std::thread::sleep(PLACED);
    let settled = Mutex::new(crowd.settle()?);
    Ok(Fixture { crowd, settled })
}

mod scale {
    use super::*;

    pub(crate) fn addresses_are_spread_over_the_nodes(fixture: &Fixture) -> Result<()> {
        let settled = fixture.settled.lock().ok().context("an earlier test panicked")?;
        let (most, mean) = (settled.most_at_a_node(), f64::from(SERVICES) / f64::from(NODES));
        ensure!((most as f64) < mean * SPREAD, "a node has {most} addresses, of {mean:.1} on average");
        Ok(())
    }

    pub(crate) fn a_tenth_of_the_nodes_lost_at_once_leaves_each_address_to_one_live_node(
        fixture: &Fixture,
    ) -> Result<()> {
        let mut settled = fixture.settled.lock().ok().context("an earlier test panicked")?;
        let after = fixture.crowd.lose_a_tenth(&settled)?;
        let (moved, lost) = (after.moved_since(&settled), after.after.len());
        ensure!(moved == lost && moved > 0, "{lost} addresses lost their node, and {moved} moved");
        ensure!(after.last() < Duration::from_secs(10), "settled after {:?}", after.last());
        *settled = after;
        Ok(())
    }

    pub(crate) fn a_rollout_of_all_speakers_leaves_each_address_to_one_live_node(
        fixture: &Fixture,
    ) -> Result<()> {
        let mut settled = fixture.settled.lock().ok().context("an earlier test panicked")?;
        let after = fixture.crowd.restart()?;
        let moved = after.moved_since(&settled);
        ensure!(moved <= SERVICES as usize / MOVED, "{moved} addresses moved, and had no cause to");
        *settled = after;
        Ok(())
    }
}
