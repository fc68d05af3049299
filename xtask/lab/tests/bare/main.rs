//! FerroLB on bare nodes: the API, and the two binaries as processes.

mod addresses;
mod announcing;
mod api;
mod bytes;
mod classes;
mod frames;
mod links;
mod manifests;
mod outage;
mod reasons;
mod strangers;
mod strict_arp;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ferrolb_lab::{Ferrolb, Lab, LabBuilder};

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
            addresses::a_service_gets_an_address_of_each_family_and_is_told_so,
            addresses::a_request_outside_every_pool_is_refused_until_it_is_mended,
            addresses::a_reversed_range_is_told_on_the_pool_and_harms_no_other,
            addresses::a_pool_in_use_can_be_deleted_only_while_it_drains,
            addresses::an_operator_that_is_killed_and_started_changes_nothing,
            addresses::a_service_that_stops_being_a_load_balancer_gives_its_address_back,
            reasons::every_reason_of_a_refusal_is_on_its_service,
            reasons::every_reason_why_an_address_is_not_announced_is_on_its_service,
            reasons::every_reason_of_pools_and_advertisements_is_on_them,
            reasons::a_controller_that_keeps_overwriting_a_status_is_named,
            reasons::addresses_that_metallb_gave_are_kept,
            reasons::services_of_another_class_are_left_alone_and_their_addresses_not_given,
            classes::two_operators_give_no_address_twice_and_undo_nothing_of_each_other,
            announcing::an_address_is_answered_with_its_owners_mac_in_both_families,
            announcing::a_cut_link_moves_the_address_and_its_return_does_not,
            announcing::a_speaker_that_is_killed_and_started_announces_again,
            announcing::a_deleted_service_goes_silent,
            strangers::an_address_that_a_host_has_already_is_not_announced_until_it_is_gone,
            strangers::who_asks_for_an_address_is_told_who_answers,
            strangers::a_host_that_answers_beside_the_owner_is_found_by_who_watches,
            wire::an_address_is_announced_in_rounds_byte_for_byte,
            wire::each_form_of_a_question_is_answered_byte_for_byte,
            links::each_segment_is_answered_with_the_address_of_its_interface,
            links::of_two_interfaces_on_one_segment_one_answers,
            strict_arp::a_node_whose_kernel_answers_says_so_until_it_does_not,
            frames::truncated_and_lying_frames_change_nothing,
            outage::a_minute_without_the_api_server_interrupts_nothing,
        ],
    )
}

/// A cluster of two bare nodes with FerroLB, a pool of both families and an advertisement.
pub(crate) struct Fixture {
    lab: Lab,
    binaries: PathBuf,
}

impl Fixture {
    fn ferrolb(&self) -> Ferrolb<'_> {
        Ferrolb::new(&self.lab, &self.binaries)
    }

    /// Applies a manifest.
    fn apply(&self, manifest: &str) -> Result<()> {
        self.lab.kubectl_stdin(["apply", "--filename=-"], manifest).map(drop)
    }

    /// Creates a dual-stack Service of type LoadBalancer without endpoints.
    fn create_service(&self, name: &str) -> Result<()> {
        self.apply(&service(name, "{}"))
    }

    /// Deletes a Service of the namespace default.
    fn delete_service(&self, name: &str) -> Result<()> {
        self.lab.kubectl(["delete", "service", name]).map(drop)
    }
}

/// A dual-stack Service of type LoadBalancer, with annotations.
fn service(name: &str, annotations: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, annotations: {annotations}}}, \
         spec: {{type: LoadBalancer, ipFamilyPolicy: PreferDualStack, ports: [{{port: 80}}]}}}}"
    )
}

const POOL: &str = "
apiVersion: ferrolb.io/v1beta1
kind: IPAddressPool
metadata: {name: main, namespace: ferrolb-system}
spec: {addresses: [192.168.1.240-192.168.1.250, 'fd00:192:168:1::240-fd00:192:168:1::250']}
---
apiVersion: ferrolb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: ferrolb-system}
spec: {}
";

fn start() -> Result<Fixture> {
    let lab = LabBuilder::new().bare_nodes(2).start()?;
    let fixture = Fixture { lab, binaries: support::built("FERROLB_BINARIES")? };
    fixture.ferrolb().install(&support::repository("deploy/install.yaml"))?;
    fixture.ferrolb().start()?;
    support::eventually(|| fixture.apply(POOL))?;
    Ok(fixture)
}
