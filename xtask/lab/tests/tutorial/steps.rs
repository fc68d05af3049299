//! What the tutorial shows.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::Fixture;
use crate::support::{eventually, field, repository};

pub(crate) fn both_pages_come_back_by_the_first_addresses_of_the_pool(fixture: &Fixture) -> Result<()> {
    let expected: [IpAddr; 2] = ["192.168.1.240".parse()?, "fd00:192:168:1::240".parse()?];
    let addresses = fixture.addresses()?;
    ensure!(addresses == expected, "{addresses:?}");
    addresses.into_iter().try_for_each(|address| fixture.await_page(address))
}

pub(crate) fn there_is_nothing_to_diff_right_after_apply_nor_ten_seconds_later(
    fixture: &Fixture,
) -> Result<()> {
    let (install, examples) = (repository("deploy/install.yaml"), repository("examples/tutorial/"));
    let diff = || {
        // Its status is not 0 if anything differs.
        fixture.lab.kubectl([
            "diff",
            "--filename",
            &install.to_string_lossy(),
            "--filename",
            &examples.to_string_lossy(),
        ])
    };
    fixture.apply("deploy/install.yaml")?;
    fixture.apply("examples/tutorial/")?;
    diff()?;
    std::thread::sleep(Duration::from_secs(10));
    diff().map(drop)
}

pub(crate) fn the_tables_tell_what_is_free_and_who_announces(fixture: &Fixture) -> Result<()> {
    let owner = fixture.owner(fixture.addresses()?[0])?;
    eventually(|| {
        let pools = fixture.lab.kubectl(["get", "pools", "--all-namespaces"])?;
        let words: Vec<_> = pools.lines().last().unwrap_or_default().split_whitespace().collect();
        ensure!(
            words.starts_with(&["ferrolb-system", "my-ip-space", "true", "1", "10", "1", "True"]),
            "{pools}"
        );
        let reports = fixture.lab.kubectl(["get", "l2status", "--all-namespaces", "--no-headers"])?;
        ensure!(
            reports.contains(&owner) && reports.contains("Owner") && reports.contains("192.168.1.240"),
            "{reports}"
        );
        let advertisements = fixture.lab.kubectl(["get", "l2adv", "--all-namespaces", "--no-headers"])?;
        let words: Vec<_> = advertisements.split_whitespace().collect();
        ensure!(
            words.starts_with(&["ferrolb-system", "my-l2-segment", "True", "Accepted"]),
            "{advertisements}"
        );
        Ok(())
    })
}

pub(crate) fn a_speaker_in_its_pod_tells_who_has_an_address(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    for address in fixture.addresses()? {
        let owner = fixture.owner(address)?;
        let pod = field(
            lab,
            &[
                "pods",
                "--namespace=ferrolb-system",
                "--selector=app.kubernetes.io/component=speaker",
                &format!("--field-selector=spec.nodeName!={owner}"),
            ],
            "{.items[0].metadata.name}",
        )?;
        let ask = ["--", "/ferrolb-speaker", "ask", &address.to_string()];
        let exec = ["exec", "--namespace=ferrolb-system", &pod];
        let told = lab.kubectl(exec.into_iter().chain(ask))?;
        let mac = lab.host(&owner)?.plan().mac();
        ensure!(told.starts_with(&format!("eth0: {address} is at {mac}, after ")), "{told}");
    }
    Ok(())
}

pub(crate) fn health_and_metrics_are_served_where_the_manifest_says(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let pods = field(
        lab,
        &["pods", "--namespace=ferrolb-system"],
        "{range .items[*]}{.metadata.name}={.status.containerStatuses[0].ready},{.status.containerStatuses[0].restartCount} {end}",
    )?;
    ensure!(pods.split_whitespace().count() == 5, "two operators and three speakers: {pods}");
    ensure!(pods.split_whitespace().all(|pod| pod.ends_with("=true,0")), "{pods}");
    let operator = field(
        lab,
        &["pods", "--namespace=ferrolb-system", "--selector=app.kubernetes.io/component=operator"],
        "{.items[0].status.podIP}",
    )?;
    let metrics = lab.host("node-1")?.exec_ok([
        "curl",
        "--silent",
        "--max-time",
        "5",
        &format!("http://{operator}:7472/metrics"),
    ])?;
    ensure!(metrics.contains("# HELP ferrolb_") && metrics.trim_end().ends_with("# EOF"), "{metrics}");
    Ok(())
}
