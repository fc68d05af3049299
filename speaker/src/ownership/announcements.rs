//! When and in which form an owner announces an address.

use std::net::IpAddr;
use std::time::Duration;

use crate::jitter;
use crate::link::Link;
use crate::wire::{Advertisement, Arp, Frame};

/// Between the rounds of the burst. RFC 5227 section 1.1 has 2 s for ARP, RFC 4861 section 10 at least 1 s
/// for NDP; Linux takes no update of an entry within a second of the last one (its lock time).
pub(super) const BURST_INTERVAL: Duration = Duration::from_millis(1100);
/// Rounds of the burst for IPv4.
pub(super) const ARP_ROUNDS: u32 = 5;
/// Rounds of the burst for IPv6 (MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 section 10).
pub(super) const NDP_ROUNDS: u32 = 3;
/// The shortest time between two refreshes.
pub(super) const REFRESH_MIN: Duration = Duration::from_secs(60);
/// By how much a refresh may be later than that.
pub(super) const REFRESH_SPREAD: Duration = Duration::from_secs(60);

/// The frames of a round, counted from 0: a burst at first, then refreshes in one form.
pub(super) fn frames(address: IpAddr, link: &Link, round: u32) -> impl Iterator<Item = Frame> {
    let (first, second) = match address {
        IpAddr::V4(address) => {
            let reply = (round < ARP_ROUNDS).then(|| Arp::announcement_reply(link.mac, address));
            (Arp::announcement(link.mac, address), reply)
        }
        IpAddr::V6(address) => (Advertisement::announcement(link.mac, address, link.router), None),
    };
    [Some(first), second].into_iter().flatten()
}

/// How long after a round the next one is due. `seed` tells nodes and addresses apart, so that refreshes of many
/// addresses spread over time, and the same way in every run.
pub(super) fn delay(address: IpAddr, round: u32, seed: u64) -> Duration {
    let rounds = match address {
        IpAddr::V4(_) => ARP_ROUNDS,
        IpAddr::V6(_) => NDP_ROUNDS,
    };
    if round + 1 < rounds {
        return BURST_INTERVAL;
    }
    let index = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    REFRESH_MIN + jitter::spread(seed.wrapping_add(round.into()), index, REFRESH_SPREAD)
}
