//! Nodes with two interfaces, on two segments and on one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use ferrolb_lab::probe::{Mac, ResolveProbe};
use ferrolb_lab::{Host, Lab};

use crate::Fixture;
use crate::support::{await_addresses, await_answer, eventually};

/// The segment that every host is on, and another one.
const MAIN: u8 = 0;
const OTHER: u8 = 1;

pub(crate) fn each_segment_is_answered_with_the_address_of_its_interface(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let hosts = [lab.client()?, lab.host("bare-1")?, lab.host("bare-2")?];
    let outcome = with_links(&hosts, OTHER, || {
        fixture.create_service("two-segments")?;
        let addresses = await_addresses(lab, "two-segments")?;
        let owner = lab.host(&lab.node_of(await_answer(lab, addresses[0])?)?)?;
        let macs = [owner.plan().mac(), owner.plan().mac_of(1)];
        for (interfaces, answers) in [
            // The advertisement as it is names none, which is all.
            ("null", [Some(macs[0]), Some(macs[1])]),
            ("[\"eth0\"]", [Some(macs[0]), None]),
            ("[\"eth1\"]", [None, Some(macs[1])]),
            ("[\"eth*\"]", [Some(macs[0]), Some(macs[1])]),
        ] {
            select_interfaces(lab, interfaces)?;
            for (interface, mac) in ["eth0", "eth1"].into_iter().zip(answers) {
                for &address in &addresses {
                    eventually(|| {
                        let macs = heard(lab, interface, address)?;
                        let expected: BTreeSet<_> = mac.into_iter().collect();
                        ensure!(macs == expected, "{address} on {interface} with {interfaces}: {macs:?}");
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    });
    select_interfaces(lab, "null")?;
    outcome?;
    fixture.delete_service("two-segments")
}

pub(crate) fn of_two_interfaces_on_one_segment_one_answers(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let nodes = [lab.host("bare-1")?, lab.host("bare-2")?];
    with_links(&nodes, MAIN, || {
        fixture.create_service("one-segment")?;
        let addresses = await_addresses(lab, "one-segment")?;
        let owner = eventually(|| lab.node_of(await_answer(lab, addresses[0])?))?;
        let first = lab.host(&owner)?.plan().mac();
        for &address in &addresses {
            eventually(|| {
                let macs = heard(lab, "eth0", address)?;
                ensure!(macs == [first].into(), "{address} is answered by {macs:?}, not by {first} alone");
                Ok(())
            })?;
        }
        let log = fixture.ferrolb().speaker(&owner)?.log()?;
        // It asks before it claims, and hears itself.
        let claimed =
            |line: &&str| ["one-segment", "eth1", "serviceAnnounced"].iter().all(|word| line.contains(word));
        let lines: Vec<_> = log.lines().filter(claimed).collect();
        ensure!(lines.is_empty(), "{lines:?}");
        fixture.delete_service("one-segment")
    })
}

/// Does something while hosts have an `eth1` on a segment.
fn with_links(hosts: &[Host], segment: u8, test: impl FnOnce() -> Result<()>) -> Result<()> {
    hosts.iter().try_for_each(|host| host.add_link(1, segment))?;
    let outcome = test();
    hosts.iter().try_for_each(|host| host.remove_link(1))?;
    outcome
}

/// Sets which interfaces the advertisement of all pools names.
fn select_interfaces(lab: &Lab, interfaces: &str) -> Result<()> {
    let patch = format!("--patch={{\"spec\": {{\"interfaces\": {interfaces}}}}}");
    let object = ["patch", "l2advertisement", "all", "--namespace=ferrolb-system", "--type=merge"];
    lab.kubectl(object.into_iter().chain([patch.as_str()])).map(drop)
}

/// The hardware addresses that 25 questions in a row by an interface of the client are answered with. Who answers names
/// itself, and sends from there.
fn heard(lab: &Lab, interface: &str, address: IpAddr) -> Result<BTreeSet<Mac>> {
    let probe = ResolveProbe::start_on(&lab.client()?, interface, address)?;
    std::thread::sleep(Duration::from_millis(500));
    let answers = probe.stop()?.answers;
    ensure!(answers.iter().all(|answer| answer.source == answer.mac), "{answers:?}");
    Ok(answers.iter().map(|answer| answer.mac).collect())
}
