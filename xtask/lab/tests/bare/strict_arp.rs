//! A node whose kernel answers for an address of a Service.

use anyhow::{Context, Result, ensure};

use crate::Fixture;
use crate::support::{await_addresses, await_answer, await_event, await_field, eventually, field};

const TYPE: &str = "StrictARPRequired";

pub(crate) fn a_node_whose_kernel_answers_says_so_until_it_does_not(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("strict-arp")?;
    let addresses = await_addresses(lab, "strict-arp")?;
    let vip = addresses.iter().find(|address| address.is_ipv4()).context("it has no IPv4 address")?;
    let owner = lab.node_of(await_answer(lab, *vip)?)?;
    let other = if owner == "bare-1" { "bare-2" } else { "bare-1" };
    let report = format!("--selector=ferrolb.io/service-name=strict-arp,ferrolb.io/node={other}");
    let report = ["servicel2status", "--namespace=ferrolb-system", &report];

    // As kube-proxy does it in IPVS mode, but for the interface's name.
    let host = lab.host(other)?;
    host.exec_ok(["ip", "address", "add", &format!("{vip}/32"), "dev", "lo"])?;
    eventually(|| {
        let path =
            "{range .items[*]}{.status.role} {.status.reason} {.status.ips[*]} {.status.interfaces[*].name} ";
        let condition = format!("{{.status.conditions[?(@.type==\"{TYPE}\")].message}}{{end}}");
        let told = field(lab, &report, &format!("{path}{condition}"))?;
        let role = format!("Watching {TYPE} {vip} eth0 this node has {vip} on lo, and its kernel answers");
        ensure!(told.starts_with(&role), "{other} reports {told:?}");
        Ok(())
    })?;
    let told = await_event(lab, "strict-arp", TYPE)?;
    ensure!(told.contains("set strictARP of kube-proxy"), "{told}");

    host.exec_ok(["ip", "address", "delete", &format!("{vip}/32"), "dev", "lo"])?;
    await_field(lab, &report, "{.items}", "[]")?;
    let log = fixture.ferrolb().speaker(other)?.log()?;
    for event in ["\"found\"", "\"foundOver\""] {
        let line = log.lines().find(|line| line.contains(event) && line.contains(TYPE));
        ensure!(
            line.is_some_and(|line| line.contains("default/strict-arp")),
            "no {event} in the log: {line:?}"
        );
    }
    fixture.delete_service("strict-arp")
}
