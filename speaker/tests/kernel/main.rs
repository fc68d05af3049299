//! The speaker's hands on a real kernel: links, packet sockets, groups, and another host's ARP and NDP.
//!
//! The test runs itself again in a user and network namespace of its own, where it may do all this without being
//! root and without touching the machine's interfaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "this is a test, though not by its harness"
)]

mod changes;
mod differential;
mod driver;
mod flood;
mod links;
mod segment;
mod sockets;
mod speaker;
mod strict_arp;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

/// Set in the namespace.
const INSIDE: &str = "FERROLB_TEST_NAMESPACE";

fn main() -> ExitCode {
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        let error =
            command.args(["--map-root-user", "--net"]).args(std::env::args_os()).env(INSIDE, "1").exec();
        eprintln!("can't run in a namespace (needs unshare of util-linux): {error}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let tests: [(&str, fn()); 31] = [
        ("links_are_told_as_they_change", links::links_are_told_as_they_change),
        ("excluded_interfaces_are_not_told", links::excluded_interfaces_are_not_told),
        (
            "what_changed_unseen_is_told_when_the_kernel_had_no_room_for_it",
            links::what_changed_unseen_is_told_when_the_kernel_had_no_room_for_it,
        ),
        ("only_address_resolution_is_received", sockets::only_address_resolution_is_received),
        ("the_filter_passes_nothing_that_is_of_no_use", sockets::the_filter_passes_nothing_that_is_of_no_use),
        (
            "what_the_kernel_drops_as_nobody_receives_it_is_counted",
            sockets::what_the_kernel_drops_as_nobody_receives_it_is_counted,
        ),
        ("switches_are_told_of_a_group_that_is_joined", sockets::switches_are_told_of_a_group_that_is_joined),
        ("a_socket_survives_its_link_going_down", sockets::a_socket_survives_its_link_going_down),
        (
            "a_card_is_promiscuous_as_long_as_its_socket_is_open",
            sockets::a_card_is_promiscuous_as_long_as_its_socket_is_open,
        ),
        (
            "each_source_is_received_once_however_lanes_are_divided",
            sockets::each_source_is_received_once_however_lanes_are_divided,
        ),
        (
            "more_groups_are_joined_than_one_socket_has_room_for",
            sockets::more_groups_are_joined_than_one_socket_has_room_for,
        ),
        (
            "a_group_that_can_not_be_joined_yet_is_joined_later",
            sockets::a_group_that_can_not_be_joined_yet_is_joined_later,
        ),
        ("another_host_resolves_owned_addresses", driver::another_host_resolves_owned_addresses),
        ("other_and_withdrawn_addresses_are_silent", driver::other_and_withdrawn_addresses_are_silent),
        ("a_neighbor_follows_the_announcement_at_once", driver::a_neighbor_follows_the_announcement_at_once),
        (
            "an_interface_that_disappears_and_comes_again",
            driver::an_interface_that_disappears_and_comes_again,
        ),
        (
            "an_interface_that_gets_ipv6_late_joins_the_groups_then",
            driver::an_interface_that_gets_ipv6_late_joins_the_groups_then,
        ),
        (
            "an_interface_that_is_without_ipv6_for_a_while_joins_the_groups_again",
            driver::an_interface_that_is_without_ipv6_for_a_while_joins_the_groups_again,
        ),
        (
            "answers_are_those_of_the_kernel_byte_for_byte",
            differential::answers_are_those_of_the_kernel_byte_for_byte,
        ),
        ("another_hardware_address_is_announced", changes::another_hardware_address_is_announced),
        ("a_change_of_a_link_is_acted_on_soon", changes::a_change_of_a_link_is_acted_on_soon),
        (
            "an_interface_that_was_down_is_announced_on_again",
            changes::an_interface_that_was_down_is_announced_on_again,
        ),
        ("a_renamed_interface_goes_on", changes::a_renamed_interface_goes_on),
        ("a_bridge_announces_in_the_place_of_its_port", changes::a_bridge_announces_in_the_place_of_its_port),
        ("nothing_is_said_on_an_excluded_interface", changes::nothing_is_said_on_an_excluded_interface),
        ("a_macvlan_child_does_not_answer", changes::a_macvlan_child_does_not_answer),
        (
            "of_two_interfaces_on_one_segment_one_announces",
            changes::of_two_interfaces_on_one_segment_one_announces,
        ),
        (
            "it_is_known_for_which_addresses_the_kernel_answers",
            strict_arp::it_is_known_for_which_addresses_the_kernel_answers,
        ),
        (
            "that_the_kernel_answers_is_told_until_it_does_not",
            strict_arp::that_the_kernel_answers_is_told_until_it_does_not,
        ),
        ("a_client_is_answered_while_one_host_floods", flood::a_client_is_answered_while_one_host_floods),
        (
            "a_client_is_answered_while_a_thousand_spoofed_hosts_flood",
            flood::a_client_is_answered_while_a_thousand_spoofed_hosts_flood,
        ),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
