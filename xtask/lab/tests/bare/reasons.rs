//! Every reason that objects show, on real objects.

use anyhow::{Result, ensure};

use crate::support::{addresses, await_addresses, await_field, eventually, field};
use crate::{Fixture, service};

const ALLOCATED: &str = "ferrolb.io/Allocated";
const ANNOUNCED: &str = "ferrolb.io/Announced";

/// A pool of one address that has to be asked for.
const TINY: &str = "{apiVersion: ferrolb.io/v1beta1, kind: IPAddressPool, \
                    metadata: {name: tiny, namespace: ferrolb-system}, \
                    spec: {addresses: [192.168.1.231], autoAssign: false}}";

pub(crate) fn every_reason_of_a_refusal_is_on_its_service(fixture: &Fixture) -> Result<()> {
    fixture.apply(TINY)?;
    fixture.apply(&single("holder", "{ferrolb.io/address-pool: tiny}", ""))?;
    await_addresses(&fixture.lab, "holder")?;
    for (name, annotations, reason, words) in [
        ("nowhere", "{ferrolb.io/address-pool: nowhere}", "NoPoolMatches", "there is no pool nowhere"),
        (
            "exhausted",
            "{ferrolb.io/address-pool: tiny}",
            "PoolExhausted",
            "pool tiny has no free IPv4 address",
        ),
        (
            "in-use",
            "{ferrolb.io/loadBalancerIPs: 192.168.1.231}",
            "AddressInUse",
            "Service default/holder has",
        ),
        ("outside", "{metallb.io/loadBalancerIPs: 10.9.9.9}", "AddressNotInPool", "10.9.9.9 is in no pool"),
        ("invalid", "{ferrolb.io/loadBalancerIPs: ten}", "RequestInvalid", "\"ten\" is not an IP address"),
        ("mismatch", "{ferrolb.io/loadBalancerIPs: 'fd00::1'}", "FamilyMismatch", "no IPv6 ClusterIP"),
    ] {
        fixture.apply(&single(name, annotations, ""))?;
        await_reason(fixture, name, ALLOCATED, reason, words)?;
        fixture.delete_service(name)?;
    }
    fixture.delete_service("holder")
}

pub(crate) fn every_reason_why_an_address_is_not_announced_is_on_its_service(
    fixture: &Fixture,
) -> Result<()> {
    fixture.apply(TINY)?;
    fixture.create_service("announced")?;
    await_reason(fixture, "announced", ANNOUNCED, "Announced", "")?;

    fixture.apply(&single("local", "{}", "externalTrafficPolicy: Local, selector: {app: nobody}"))?;
    await_reason(fixture, "local", ANNOUNCED, "NoServingEndpoint", "no node that may announce")?;
    fixture.delete_service("local")?;

    fixture.apply(&advertisement("all", "{ipAddressPools: [main]}"))?;
    fixture.apply(&single("tiny", "{ferrolb.io/address-pool: tiny}", ""))?;
    await_reason(fixture, "tiny", ANNOUNCED, "NoAdvertisement", "create one")?;
    fixture.apply(&advertisement(
        "nobody",
        "{ipAddressPools: [tiny], nodeSelectors: [{matchLabels: {no: node}}]}",
    ))?;
    await_reason(fixture, "tiny", ANNOUNCED, "NoEligibleNode", "selects the node")?;
    delete(fixture, "l2advertisement", "nobody")?;
    fixture.apply(&advertisement("all", "{}"))?;
    await_reason(fixture, "tiny", ANNOUNCED, "Announced", "")?;
    fixture.delete_service("tiny")?;

    fixture.delete_service("announced")
}

pub(crate) fn every_reason_of_pools_and_advertisements_is_on_them(fixture: &Fixture) -> Result<()> {
    let pool = |name: &str, range: &str| {
        format!(
            "{{apiVersion: ferrolb.io/v1beta1, kind: IPAddressPool, \
             metadata: {{name: {name}, namespace: ferrolb-system}}, spec: {{addresses: ['{range}']}}}}"
        )
    };
    let condition = |kind: &str, name: &str, type_: &str, expected: &str| {
        let path = format!("{{.status.conditions[?(@.type==\"{type_}\")].reason}}");
        await_field(&fixture.lab, &[kind, name, "--namespace=ferrolb-system"], &path, expected)
    };
    condition("ipaddresspool", "main", "Ready", "Accepted")?;
    condition("ipaddresspool", "main", "Advertised", "Advertised")?;
    fixture.apply(&pool("overlapping", "192.168.1.250-192.168.1.252"))?;
    condition("ipaddresspool", "overlapping", "Ready", "OverlapsPool")?;
    condition("ipaddresspool", "overlapping", "Stalled", "OverlapsPool")?;
    fixture.apply(&pool("overlapping", "192.168.1.252-192.168.1.251"))?;
    condition("ipaddresspool", "overlapping", "Ready", "InvalidAddresses")?;
    let node = fixture.lab.host("bare-1")?.plan().v4;
    fixture.apply(&pool("overlapping", &node.to_string()))?;
    condition("ipaddresspool", "overlapping", "ContainsNodeAddress", "NodeAddress")?;
    fixture.apply(&advertisement("all", "{ipAddressPools: [main]}"))?;
    condition("ipaddresspool", "overlapping", "Advertised", "NoAdvertisement")?;
    delete(fixture, "ipaddresspool", "overlapping")?;

    condition("l2advertisement", "all", "Ready", "Accepted")?;
    fixture.apply(&advertisement("all", "{ipAddressPools: [nowhere]}"))?;
    condition("l2advertisement", "all", "Ready", "NoMatchingPool")?;
    fixture.apply(&advertisement("all", "{nodeSelectors: [{matchLabels: {no: node}}]}"))?;
    condition("l2advertisement", "all", "Ready", "NoMatchingNode")?;
    fixture.apply(&advertisement("all", "{}"))?;
    condition("l2advertisement", "all", "Ready", "Accepted")
}

pub(crate) fn a_controller_that_keeps_overwriting_a_status_is_named(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.apply(&single("fought-over", "{}", ""))?;
    let ours = await_addresses(lab, "fought-over")?;
    for round in 0..3 {
        overwrite(fixture, "fought-over", "192.0.2.1", "rival")?;
        if round < 2 {
            eventually(|| {
                let found = addresses(lab, "fought-over")?;
                ensure!(found == ours, "{found:?} is not {ours:?}");
                Ok(())
            })?;
        }
    }
    await_reason(fixture, "fought-over", ALLOCATED, "ForeignController", "rival keeps overwriting")?;
    let theirs = field(lab, &["service", "fought-over"], "{.status.loadBalancer.ingress[*].ip}")?;
    ensure!(theirs == "192.0.2.1", "{theirs}");
    // What its author changes ends the quarrel.
    lab.kubectl(["annotate", "service", "fought-over", "ferrolb.io/loadBalancerIPs=192.168.1.249"])?;
    eventually(|| {
        let found = field(lab, &["service", "fought-over"], "{.status.loadBalancer.ingress[*].ip}")?;
        ensure!(found == "192.168.1.249", "{found}");
        Ok(())
    })?;
    fixture.delete_service("fought-over")
}

pub(crate) fn addresses_that_metallb_gave_are_kept(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    fixture.ferrolb().operator()?.kill()?;
    for (name, annotations, address) in [
        ("given", "{metallb.io/ip-allocated-from-pool: old}", "192.168.1.247"),
        ("asked", "{metallb.universe.tf/loadBalancerIPs: 192.168.1.246}", "192.168.1.246"),
        ("shared-1", "{metallb.io/allow-shared-ip: both}", "192.168.1.248"),
        ("shared-2", "{metallb.io/allow-shared-ip: both}", "192.168.1.248"),
    ] {
        let port = if name == "shared-2" { 81 } else { 80 };
        fixture.apply(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, annotations: {annotations}}}, \
             spec: {{type: LoadBalancer, ports: [{{port: {port}}}]}}}}"
        ))?;
        overwrite(fixture, name, address, "metallb-controller")?;
    }
    fixture.ferrolb().start_operator()?;
    for (name, address) in [
        ("given", "192.168.1.247"),
        ("asked", "192.168.1.246"),
        ("shared-1", "192.168.1.248"),
        ("shared-2", "192.168.1.248"),
    ] {
        await_reason(fixture, name, ALLOCATED, "Allocated", &format!("{address} from pool main"))?;
        let found = field(lab, &["service", name], "{.status.loadBalancer.ingress[*].ip}")?;
        ensure!(found == address, "{name} has {found}, not {address}");
    }
    ["given", "asked", "shared-1", "shared-2"].iter().try_for_each(|name| fixture.delete_service(name))
}

pub(crate) fn services_of_another_class_are_left_alone_and_their_addresses_not_given(
    fixture: &Fixture,
) -> Result<()> {
    let lab = &fixture.lab;
    fixture.apply(&single("theirs", "{}", "loadBalancerClass: example.org/lb"))?;
    overwrite(fixture, "theirs", "192.168.1.244", "their-controller")?;
    fixture.apply(&single("wanting", "{ferrolb.io/loadBalancerIPs: 192.168.1.244}", ""))?;
    await_reason(
        fixture,
        "wanting",
        ALLOCATED,
        "AddressInUse",
        "Service default/theirs of another class has it",
    )?;
    let conditions = field(lab, &["service", "theirs"], "{.status.conditions}")?;
    ensure!(conditions.is_empty(), "{conditions}");
    fixture.delete_service("theirs")?;
    await_reason(fixture, "wanting", ALLOCATED, "Allocated", "192.168.1.244")?;
    fixture.delete_service("wanting")
}

/// A Service of one family.
fn single(name: &str, annotations: &str, spec: &str) -> String {
    let mut family = "ipFamilyPolicy: SingleStack".to_owned();
    if !spec.is_empty() {
        family = format!("{family}, {spec}");
    }
    service(name, annotations).replace("ipFamilyPolicy: PreferDualStack", &family)
}

fn advertisement(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: ferrolb.io/v1beta1, kind: L2Advertisement, \
         metadata: {{name: {name}, namespace: ferrolb-system}}, spec: {spec}}}"
    )
}

fn delete(fixture: &Fixture, kind: &str, name: &str) -> Result<()> {
    fixture.lab.kubectl(["delete", "--namespace=ferrolb-system", kind, name]).map(drop)
}

/// Writes an address to a Service's status as another controller would.
fn overwrite(fixture: &Fixture, service: &str, address: &str, manager: &str) -> Result<()> {
    let patch =
        format!("--patch={{\"status\":{{\"loadBalancer\":{{\"ingress\":[{{\"ip\":\"{address}\"}}]}}}}}}");
    let manager = format!("--field-manager={manager}");
    let command = ["patch", "service", service, "--subresource=status", "--type=merge", &manager, &patch];
    fixture.lab.kubectl(command).map(drop)
}

fn await_reason(fixture: &Fixture, service: &str, type_: &str, reason: &str, words: &str) -> Result<()> {
    let path = |field: &str| format!("{{.status.conditions[?(@.type==\"{type_}\")].{field}}}");
    await_field(&fixture.lab, &["service", service], &path("reason"), reason)?;
    let message = field(&fixture.lab, &["service", service], &path("message"))?;
    ensure!(message.contains(words), "{message}");
    Ok(())
}
