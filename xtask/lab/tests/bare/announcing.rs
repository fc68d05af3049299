//! Announcing: who answers on the wire, and for how long.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};

use crate::Fixture;
use crate::support::{
    await_addresses, await_answer, await_event, await_field, await_silence, await_sole_answer, eventually,
};

pub(crate) fn an_address_is_answered_with_its_owners_mac_in_both_families(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("answered")?;
    let mut owners = Vec::new();
    for address in await_addresses(lab, "answered")? {
        owners.push(lab.node_of(await_answer(lab, address)?)?);
    }
    ensure!(owners.len() == 2 && owners[0] == owners[1], "both addresses have one owner: {owners:?}");
    // The kernel of the client resolves both too, and its entries name the owner.
    let client = lab.client()?;
    let mac = lab.host(&owners[0])?.plan().mac().to_string();
    for address in await_addresses(lab, "answered")? {
        eventually(|| {
            // Nobody serves there: that a connection is tried is what makes the kernel resolve the address.
            let url = match address {
                IpAddr::V4(v4) => format!("http://{v4}"),
                IpAddr::V6(v6) => format!("http://[{v6}]"),
            };
            client.exec(["curl", "--silent", "--max-time", "1", &url])?;
            let entry = client.exec_ok(["ip", "neigh", "show", &address.to_string()])?;
            ensure!(entry.contains(&mac), "{address}: {entry}");
            Ok(())
        })?;
    }
    let report =
        ["servicel2status", "--namespace=ferrolb-system", "--selector=ferrolb.io/service-name=answered"];
    await_field(
        lab,
        &report,
        "{.items[*].status.node} {.items[*].status.role}",
        &format!("{} Owner", owners[0]),
    )?;
    let printed = lab.kubectl(["get"].into_iter().chain(report).chain(["--no-headers"]))?;
    let ips = await_addresses(lab, "answered")?.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    ensure!(printed.split_whitespace().any(|word| word == ips), "no column is {ips}: {printed}");
    fixture.delete_service("answered")?;
    await_field(lab, &report, "{.items}", "[]")
}

pub(crate) fn a_cut_link_moves_the_address_and_its_return_does_not(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("moving")?;
    let addresses = await_addresses(lab, "moving")?;
    let owner = lab.node_of(await_answer(lab, addresses[0])?)?;
    lab.host(&owner)?.cut_link()?;
    let mut next = owner.clone();
    for &address in &addresses {
        next = lab.node_of(await_answer(lab, address)?)?;
        ensure!(next != owner, "{address} is answered by {owner}, whose link is cut");
    }
    lab.host(&owner)?.restore_link()?;
    // Whoever served meanwhile keeps the addresses, and they have one owner.
    for &address in &addresses {
        await_sole_answer(lab, address, &next)?;
    }
    let log = fixture.ferrolb().speaker(&next)?.log()?;
    let line = log.lines().rev().find(|line| line.contains("serviceAnnounced") && line.contains("moving"));
    let line = line.context("the log has no serviceAnnounced")?;
    ensure!(line.contains("NodeSilent") && line.contains(&owner), "{line}");
    let told = await_event(lab, "moving", "TookOver")?;
    ensure!(told.contains(&format!("node {next} took over")), "{told}");
    ensure!(told.contains(&format!("from {owner} on eth0: that node does not answer any more")), "{told}");
    fixture.delete_service("moving")
}

pub(crate) fn a_speaker_that_is_killed_and_started_announces_again(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("again")?;
    let addresses = await_addresses(lab, "again")?;
    let owner = lab.node_of(await_answer(lab, addresses[0])?)?;
    fixture.ferrolb().speaker(&owner)?.kill()?;
    fixture.ferrolb().start_speaker(&owner)?;
    for &address in &addresses {
        let after = lab.node_of(await_answer(lab, address)?)?;
        ensure!(after == owner, "{address} moved from {owner} to {after}");
    }
    fixture.delete_service("again")
}

pub(crate) fn a_deleted_service_goes_silent(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("silent")?;
    let addresses = await_addresses(lab, "silent")?;
    let owner = lab.node_of(await_answer(lab, addresses[0])?)?;
    fixture.delete_service("silent")?;
    for &address in &addresses {
        await_silence(lab, address)?;
    }
    let log = fixture.ferrolb().speaker(&owner)?.log()?;
    let line = log.lines().rev().find(|line| line.contains("serviceWithdrawn"));
    ensure!(line.context("the log has no serviceWithdrawn")?.contains("silent"), "{line:?}");
    let told = await_event(lab, "silent", "Announcing")?;
    ensure!(told.contains(&format!("from node {owner} on eth0")), "{told}");
    Ok(())
}
