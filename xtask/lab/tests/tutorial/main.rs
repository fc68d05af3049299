//! The tutorial on full nodes: real pods, the real installation, nginx's page by its address.

mod faults;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use ferrolb_lab::{Lab, LabBuilder, Silent, image};

use support::{PATIENCE, await_addresses, await_answer, built, eventually, repository};

fn main() -> ExitCode {
    support::run(
        start,
        &tests![
            steps::both_pages_come_back_by_the_first_addresses_of_the_pool,
            steps::there_is_nothing_to_diff_right_after_apply_nor_ten_seconds_later,
            steps::the_tables_tell_what_is_free_and_who_announces,
            steps::a_speaker_in_its_pod_tells_who_has_an_address,
            steps::health_and_metrics_are_served_where_the_manifest_says,
            faults::a_cut_link_moves_the_address_and_the_page_comes_back,
            faults::an_operator_that_restarts_keeps_addresses,
            faults::a_rollout_of_the_speakers_leaves_the_page_reachable,
            faults::an_address_of_a_deleted_service_goes_silent_and_is_free_again,
        ],
    )
}

/// A cluster of three full nodes with the tutorial's objects.
pub(crate) struct Fixture {
    lab: Lab,
}

fn start() -> Result<Fixture> {
    let lab = LabBuilder::new().full_nodes(3).start()?;
    let images = built("FERROLB_IMAGES")?;
    for archive in ["ferrolb-operator.tar", "ferrolb-speaker.tar"] {
        lab.load_image(&images.join(archive))?;
    }
    lab.load_image(&image::nginx(&Silent)?)?;
    let fixture = Fixture { lab };
    fixture.apply("deploy/install.yaml")?;
    fixture.lab.await_rollout("ferrolb-system", "deployment/ferrolb-operator", PATIENCE)?;
    fixture.lab.await_rollout("ferrolb-system", "daemonset/ferrolb-speaker", PATIENCE)?;
    fixture.apply("examples/tutorial/")?;
    fixture.lab.await_rollout("default", "deployment/nginx", PATIENCE)?;
    Ok(fixture)
}

impl Fixture {
    /// Applies a manifest, or a folder of them, of the repository.
    fn apply(&self, path: &str) -> Result<()> {
        self.lab.kubectl(["apply", "--filename", &repository(path).to_string_lossy()]).map(drop)
    }

    /// The addresses of the tutorial's Service.
    fn addresses(&self) -> Result<Vec<IpAddr>> {
        await_addresses(&self.lab, "nginx")
    }

    /// The node that answers for an address.
    fn owner(&self, address: IpAddr) -> Result<String> {
        self.lab.node_of(await_answer(&self.lab, address)?)
    }

    /// Waits until the client gets nginx's page from an address.
    fn await_page(&self, address: IpAddr) -> Result<()> {
        let url = match address {
            IpAddr::V4(v4) => format!("http://{v4}"),
            IpAddr::V6(v6) => format!("http://[{v6}]"),
        };
        let client = self.lab.client()?;
        eventually(|| {
            let page = client.exec_ok(["curl", "--silent", "--show-error", "--max-time", "2", &url])?;
            ensure!(page.contains("Welcome to nginx!"), "{url}: {page}");
            Ok(())
        })
    }
}
