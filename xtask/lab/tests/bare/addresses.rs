//! Addresses: given, refused, kept and given back.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};

use crate::support::{addresses, await_addresses, await_event, await_field, eventually, field};
use crate::{Fixture, service};

const ALLOCATED: &str = "{.status.conditions[?(@.type==\"ferrolb.io/Allocated\")].status}";
const REASON: &str = "{.status.conditions[?(@.type==\"ferrolb.io/Allocated\")].reason}";
const MESSAGE: &str = "{.status.conditions[?(@.type==\"ferrolb.io/Allocated\")].message}";
const READY: &str = "{.status.conditions[?(@.type==\"Ready\")].status}";

pub(crate) fn a_service_gets_an_address_of_each_family_and_is_told_so(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("both")?;
    let expected: [IpAddr; 2] = ["192.168.1.240".parse()?, "fd00:192:168:1::240".parse()?];
    ensure!(await_addresses(lab, "both")? == expected, "{:?}", addresses(lab, "both"));
    await_field(lab, &["service", "both"], ALLOCATED, "True")?;
    let modes = field(lab, &["service", "both"], "{.status.loadBalancer.ingress[*].ipMode}")?;
    ensure!(modes == "VIP VIP", "{modes}");
    let pool =
        field(lab, &["service", "both"], "{.metadata.annotations.ferrolb\\.io/ip-allocated-from-pool}")?;
    ensure!(pool == "main", "{pool}");
    await_event(lab, "both", "Allocated")?;
    let pool = ["ipaddresspool", "main", "--namespace=ferrolb-system"];
    await_field(lab, &pool, READY, "True")?;
    await_field(
        lab,
        &pool,
        "{.status.assignedIPv4} {.status.availableIPv4} {.status.assignedIPv6}",
        "1 10 1",
    )?;
    fixture.delete_service("both")?;
    await_field(lab, &pool, "{.status.assignedIPv4} {.status.availableIPv4} {.status.assignedIPv6}", "0 11 0")
}

pub(crate) fn a_request_outside_every_pool_is_refused_until_it_is_mended(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let asking = |ips: &str| service("asking", &format!("{{ferrolb.io/loadBalancerIPs: '{ips}'}}"));
    fixture.apply(&asking("10.9.9.9,fd00:9::9"))?;
    await_field(lab, &["service", "asking"], ALLOCATED, "False")?;
    let (reason, message) =
        (field(lab, &["service", "asking"], REASON)?, field(lab, &["service", "asking"], MESSAGE)?);
    ensure!(reason == "AddressNotInPool", "{reason}");
    ensure!(message.contains("10.9.9.9"), "{message}");
    ensure!(addresses(lab, "asking")?.is_empty());
    await_event(lab, "asking", "AllocationFailed")?;

    fixture.apply(&asking("192.168.1.245,fd00:192:168:1::245"))?;
    await_field(lab, &["service", "asking"], ALLOCATED, "True")?;
    let expected: [IpAddr; 2] = ["192.168.1.245".parse()?, "fd00:192:168:1::245".parse()?];
    ensure!(addresses(lab, "asking")? == expected, "{:?}", addresses(lab, "asking")?);
    fixture.delete_service("asking")
}

pub(crate) fn a_reversed_range_is_told_on_the_pool_and_harms_no_other(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.apply(
        "{apiVersion: ferrolb.io/v1beta1, kind: IPAddressPool, \
         metadata: {name: reversed, namespace: ferrolb-system}, \
         spec: {addresses: [192.168.1.239-192.168.1.230]}}",
    )?;
    let pool = ["ipaddresspool", "reversed", "--namespace=ferrolb-system"];
    await_field(lab, &pool, READY, "False")?;
    let reason = field(lab, &pool, "{.status.conditions[?(@.type==\"Ready\")].reason}")?;
    let message = field(lab, &pool, "{.status.conditions[?(@.type==\"Ready\")].message}")?;
    ensure!(reason == "InvalidAddresses", "{reason}");
    ensure!(message.contains("192.168.1.230-192.168.1.239"), "{message}");
    fixture.create_service("beside")?;
    await_addresses(lab, "beside")?;
    fixture.delete_service("beside")?;
    lab.kubectl(["delete", "--namespace=ferrolb-system", "ipaddresspool", "reversed"]).map(drop)
}

pub(crate) fn a_pool_in_use_can_be_deleted_only_while_it_drains(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.apply(
        "{apiVersion: ferrolb.io/v1beta1, kind: IPAddressPool, \
         metadata: {name: small, namespace: ferrolb-system}, \
         spec: {addresses: [192.168.1.230], autoAssign: false}}",
    )?;
    fixture.apply(
        "{apiVersion: v1, kind: Service, \
         metadata: {name: user, annotations: {ferrolb.io/address-pool: small}}, \
         spec: {type: LoadBalancer, ports: [{port: 80}]}}",
    )?;
    let held = await_addresses(lab, "user")?;
    let pool = ["ipaddresspool", "small", "--namespace=ferrolb-system"];
    await_field(lab, &pool, "{.status.assignedIPv4}", "1")?;
    let delete = || lab.kubectl(["delete", "--namespace=ferrolb-system", "ipaddresspool", "small"]);
    let refusal = delete().err().context("it was deleted")?;
    ensure!(format!("{refusal:#}").contains("set spec.drain to true first"), "{refusal:#}");

    lab.kubectl([
        "patch",
        "--namespace=ferrolb-system",
        "ipaddresspool",
        "small",
        "--type=merge",
        "--patch={\"spec\":{\"drain\":true}}",
    ])?;
    delete()?;
    ensure!(addresses(lab, "user")? == held, "the Service lost its address with the pool");
    fixture.delete_service("user")
}

pub(crate) fn an_operator_that_is_killed_and_started_changes_nothing(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    for name in ["first", "second"] {
        fixture.create_service(name)?;
        await_field(lab, &["service", name], ALLOCATED, "True")?;
    }
    // With the first one gone, the second one would get its address if it were asked anew.
    fixture.delete_service("first")?;
    let before = field(lab, &["service", "second"], "{.metadata.resourceVersion} {.status}")?;
    fixture.ferrolb().operator()?.kill()?;
    fixture.ferrolb().start_operator()?;
    fixture.create_service("later")?;
    await_addresses(lab, "later")?;
    let after = field(lab, &["service", "second"], "{.metadata.resourceVersion} {.status}")?;
    ensure!(before == after, "before: {before}\nafter:  {after}");
    fixture.delete_service("second")?;
    fixture.delete_service("later")
}

pub(crate) fn a_service_that_stops_being_a_load_balancer_gives_its_address_back(
    fixture: &Fixture,
) -> Result<()> {
    let lab = &fixture.lab;
    fixture.create_service("changing")?;
    await_addresses(lab, "changing")?;
    lab.kubectl(["patch", "service", "changing", "--patch={\"spec\":{\"type\":\"ClusterIP\"}}"])?;
    eventually(|| {
        let conditions = field(lab, &["service", "changing"], "{.status.conditions}")?;
        ensure!(addresses(lab, "changing")?.is_empty() && !conditions.contains("ferrolb.io"), "{conditions}");
        Ok(())
    })?;
    let annotations = field(lab, &["service", "changing"], "{.metadata.annotations}")?;
    ensure!(!annotations.contains("ip-allocated-from-pool"), "{annotations}");
    let pool = ["ipaddresspool", "main", "--namespace=ferrolb-system"];
    await_field(lab, &pool, "{.status.assignedIPv4}", "0")?;
    fixture.delete_service("changing")
}
