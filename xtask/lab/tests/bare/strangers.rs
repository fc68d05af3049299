//! Hosts that are no speakers and answer for addresses of Services: the client, with such an address on its interface.

use std::net::IpAddr;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use ferrolb_lab::Host;

use crate::Fixture;
use crate::support::{
    await_addresses, await_answer, await_event, await_field, await_sole_answer, eventually, field,
};

const REPORTS: [&str; 2] = ["servicel2statuses", "--namespace=ferrolb-system"];

pub(crate) fn an_address_that_a_host_has_already_is_not_announced_until_it_is_gone(
    fixture: &Fixture,
) -> Result<()> {
    let lab = &fixture.lab;
    let client = lab.client()?;
    let taken = "192.168.1.250";
    let guard = Assigned::new(&client, taken)?;
    let requested = format!("{{ferrolb.io/loadBalancerIPs: '{taken},fd00:192:168:1::250'}}");
    fixture.apply(&crate::service("contested", &requested))?;
    let report = report_of("contested");
    let conditions = "{.items[*].status.conditions[*].type}";
    let report: Vec<&str> = report.iter().map(String::as_str).collect();
    eventually(|| {
        let said = field(lab, &report, conditions)?;
        ensure!(said.contains("AddressConflict"), "{said:?}");
        Ok(())
    })?;
    let announced = "{.status.conditions[?(@.type==\"ferrolb.io/Announced\")].reason}";
    await_field(lab, &["service", "contested"], announced, "AddressConflict")?;
    let mac = client.plan().mac().to_string();
    let message = "{.status.conditions[?(@.type==\"ferrolb.io/Announced\")].message}";
    let message = field(lab, &["service", "contested"], message)?;
    ensure!(message.contains(&mac) && message.contains(taken), "{message}");
    await_event(lab, "contested", "AddressConflict")?;
    drop(guard);
    let owner = lab.node_of(await_answer(lab, taken.parse()?)?)?;
    await_sole_answer(lab, taken.parse()?, &owner)?;
    await_field(lab, &["service", "contested"], announced, "Announced")?;
    await_field(lab, &report, "{.items[*].status.conditions}", "")?;
    fixture.delete_service("contested")
}

pub(crate) fn a_host_that_answers_beside_the_owner_is_found_by_who_watches(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let client = lab.client()?;
    fixture.create_service("doubled")?;
    let address = first_v4(&await_addresses(lab, "doubled")?)?;
    let owner = lab.node_of(await_answer(lab, address)?)?;
    let guard = Assigned::new(&client, &address.to_string())?;
    let report = report_of("doubled");
    let report: Vec<&str> = report.iter().map(String::as_str).collect();
    let watching = "{.items[?(@.status.role==\"Watching\")].status.conditions[*].reason}";
    await_field(lab, &report, watching, "AnsweredByAnother")?;
    let message = "{.items[?(@.status.role==\"Watching\")].status.conditions[*].message}";
    let message = field(lab, &report, message)?;
    let mac = client.plan().mac().to_string();
    ensure!(message.contains(&mac) && message.contains(&owner), "{message}");
    await_event(lab, "doubled", "WrongAnswer")?;
    drop(guard);
    await_field(lab, &report, "{.items[*].status.role}", "Owner")?;
    await_sole_answer(lab, address, &owner)?;
    fixture.delete_service("doubled")
}

pub(crate) fn who_asks_for_an_address_is_told_who_answers(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let client = lab.client()?;
    fixture.create_service("asked")?;
    let speaker = fixture.binaries.join("ferrolb-speaker");
    let ask = |host: &Host, address: IpAddr| -> Result<(bool, String)> {
        let Output { status, stdout, stderr } =
            host.exec([&*speaker.to_string_lossy(), "ask", &address.to_string()])?;
        Ok((status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()))
    };
    let addresses = await_addresses(lab, "asked")?;
    let owner = lab.host(&lab.node_of(await_answer(lab, addresses[0])?)?)?;
    let nodes = lab.nodes()?;
    let other = nodes.iter().find(|node| *node != owner.name()).context("one node only")?;
    let other = lab.host(other)?;
    let answer = |address, host: &Host| format!("eth0: {address} is at {}, after ", host.plan().mac());
    for &address in &addresses {
        let (success, said) = ask(&other, address)?;
        let alone = said.starts_with(&answer(address, &owner)) && said.lines().count() == 1;
        ensure!(success && alone, "{said}");
        let (success, said) = ask(&owner, address)?;
        ensure!(!success && said.starts_with("eth0: nobody answers"), "{said}");
    }
    let address = first_v4(&addresses)?;
    let guard = Assigned::new(&client, &address.to_string())?;
    let (success, said) = ask(&other, address)?;
    drop(guard);
    let both = [&owner, &client].iter().all(|host| said.contains(&answer(address, host)));
    ensure!(!success && both, "{said}");
    ensure!(said.ends_with(&format!("several hosts answer for {address}\n")), "{said}");
    fixture.delete_service("asked")
}

fn report_of(service: &str) -> Vec<String> {
    let selector = format!("--selector=ferrolb.io/service-name={service}");
    REPORTS.map(str::to_owned).into_iter().chain([selector]).collect()
}

fn first_v4(addresses: &[IpAddr]) -> Result<IpAddr> {
    addresses.iter().find(|address| address.is_ipv4()).copied().context("no IPv4 address")
}

/// An address on a host's interface, for as long as this lives.
struct Assigned<'a> {
    host: &'a Host,
    address: String,
}

impl<'a> Assigned<'a> {
    fn new(host: &'a Host, address: &str) -> Result<Self> {
        let address = format!("{address}/32");
        host.exec_ok(["ip", "address", "add", &address, "dev", "eth0"])?;
        Ok(Self { host, address })
    }
}

impl Drop for Assigned<'_> {
    fn drop(&mut self) {
        _ = self.host.exec(["ip", "address", "del", &self.address, "dev", "eth0"]);
    }
}
