//! The API server goes away and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ferrolb_lab::probe::ResolveProbe;

use crate::Fixture;
use crate::support::{await_addresses, await_answer};

/// How long the API server is away: longer than a Lease lives.
const OUTAGE: Duration = Duration::from_secs(60);

pub(crate) fn a_minute_without_the_api_server_interrupts_nothing(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("steady")?;
    let addresses = await_addresses(lab, "steady")?;
    let macs = addresses.iter().map(|&address| await_answer(lab, address)).collect::<Result<Vec<_>>>()?;
    let owner = lab.node_of(macs[0])?;
    let processes = [
        fixture.ferrolb().operator()?,
        fixture.ferrolb().speaker("bare-1")?,
        fixture.ferrolb().speaker("bare-2")?,
    ];
    let client = lab.client()?;
    let probes =
        addresses.iter().map(|&address| ResolveProbe::start(&client, address)).collect::<Result<Vec<_>>>()?;

    lab.api()?.stop()?;
    std::thread::sleep(OUTAGE);
    lab.api()?.start()?;
    fixture.create_service("after")?;
    for address in await_addresses(lab, "after")? {
        await_answer(lab, address)?;
    }

    for (probe, (address, mac)) in probes.into_iter().zip(addresses.iter().zip(macs)) {
        let seen = probe.stop()?;
        ensure!(seen.macs().into_iter().eq([mac]), "{address} moved from {owner}: {:?}", seen.macs());
        let gap = seen.longest_gap().length;
        ensure!(gap < Duration::from_secs(5), "{address} was not answered for {gap:?}");
    }
    for process in &processes {
        process.is_alive().then_some(()).with_context(|| format!("{} ended", process.name()))?;
    }
    fixture.delete_service("steady")?;
    fixture.delete_service("after")
}
