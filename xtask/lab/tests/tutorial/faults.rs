//! What may go wrong while nginx is published.

use anyhow::{Result, ensure};

use crate::Fixture;
use crate::support::{PATIENCE, addresses, await_silence, eventually, field};

pub(crate) fn a_cut_link_moves_the_address_and_the_page_comes_back(fixture: &Fixture) -> Result<()> {
    let addresses = fixture.addresses()?;
    let owner = fixture.owner(addresses[0])?;
    let node = fixture.lab.host(&owner)?;
    node.cut_link()?;
    for &address in &addresses {
        let next = fixture.owner(address)?;
        ensure!(next != owner, "{address} is answered by {owner}, whose link is cut");
        fixture.await_page(address)?;
    }
    node.restore_link()?;
    fixture.lab.await_rollout("ferrolb-system", "daemonset/ferrolb-speaker", PATIENCE)
}

pub(crate) fn an_operator_that_restarts_keeps_addresses(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let before = field(lab, &["service", "nginx"], "{.metadata.resourceVersion} {.status}")?;
    lab.kubectl(["rollout", "restart", "--namespace=ferrolb-system", "deployment/ferrolb-operator"])?;
    fixture.lab.await_rollout("ferrolb-system", "deployment/ferrolb-operator", PATIENCE)?;
    // The new one is at work once it has given another Service the next address.
    lab.kubectl(["create", "service", "loadbalancer", "next", "--tcp=80"])?;
    eventually(|| {
        let next = addresses(lab, "next")?;
        ensure!(next == ["192.168.1.241".parse::<std::net::IpAddr>()?], "{next:?}");
        Ok(())
    })?;
    let after = field(lab, &["service", "nginx"], "{.metadata.resourceVersion} {.status}")?;
    ensure!(before == after, "before: {before}\nafter:  {after}");
    lab.kubectl(["delete", "service", "next"]).map(drop)
}

pub(crate) fn a_rollout_of_the_speakers_leaves_the_page_reachable(fixture: &Fixture) -> Result<()> {
    fixture.lab.kubectl(["rollout", "restart", "--namespace=ferrolb-system", "daemonset/ferrolb-speaker"])?;
    fixture.lab.await_rollout("ferrolb-system", "daemonset/ferrolb-speaker", PATIENCE)?;
    fixture.addresses()?.into_iter().try_for_each(|address| fixture.await_page(address))
}

pub(crate) fn an_address_of_a_deleted_service_goes_silent_and_is_free_again(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let addresses = fixture.addresses()?;
    lab.kubectl(["delete", "service", "nginx"])?;
    for address in addresses {
        await_silence(lab, address)?;
    }
    let pool = ["ipaddresspool", "my-ip-space", "--namespace=ferrolb-system"];
    eventually(|| {
        let free = field(lab, &pool, "{.status.availableIPv4} {.status.availableIPv6}")?;
        let all = u64::from_str_radix("250", 16)? - u64::from_str_radix("240", 16)? + 1;
        ensure!(free == format!("11 {all}"), "{free}");
        Ok(())
    })
}
