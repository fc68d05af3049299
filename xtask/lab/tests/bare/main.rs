//! FerroLB on bare nodes: the API, and the two binaries as processes.

mod api;
mod manifests;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use anyhow::Result;
use ferrolb_lab::{Lab, LabBuilder};

fn main() -> ExitCode {
    support::run(
        start,
        &tests![
            api::addresses_are_accepted_or_refused_with_what_to_write,
            api::pools_are_accepted_or_refused_with_what_to_write,
            api::advertisements_are_accepted_or_refused_with_what_to_write,
            api::kinds_are_refused_outside_their_namespace,
            api::explain_tells_the_forms_of_an_address,
            api::a_speaker_writes_objects_of_its_own_node_only,
        ],
    )
}

fn start() -> Result<Lab> {
    let lab = LabBuilder::new().bare_nodes(2).start()?;
    lab.kubectl(["apply", "--filename", concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/install.yaml")])?;
    Ok(lab)
}
