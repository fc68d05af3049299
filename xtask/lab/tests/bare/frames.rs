//! Frames that are cut short or lie.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};
use ferrolb_lab::probe::ListenProbe;

use crate::bytes::{self, BROADCAST, REPLY, REQUEST};
use crate::support::{await_addresses, await_answer};
use crate::{Fixture, service};

const TARGET: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 240);
const TARGET6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 0x240);
/// A host that does not exist.
const LIAR: [u8; 6] = [0x02, 0xba, 0xdb, 0xad, 0xba, 0xdb];

pub(crate) fn truncated_and_lying_frames_change_nothing(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    // The frames below are about these.
    let asked = format!("{{ferrolb.io/loadBalancerIPs: '{TARGET},{TARGET6}'}}");
    fixture.apply(&service("target", &asked))?;
    let addresses = await_addresses(lab, "target")?;
    let expected: [IpAddr; 2] = [TARGET.into(), TARGET6.into()];
    ensure!(addresses == expected, "{addresses:?}");
    let before = addresses.iter().map(|&address| await_answer(lab, address)).collect::<Result<Vec<_>>>()?;
    let owner = lab.node_of(before[0])?;
    let speaker = fixture.ferrolb().speaker(&owner)?;

    let request = arp(REQUEST);
    let solicitation = neighbor_solicitation(&[1, 1, 2, 0xba, 0xdb, 0xad, 0xba, 0xdb]);
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for whole in [&request, &solicitation] {
        // Cut short at every length.
        frames.extend((14..whole.len()).map(|length| whole[..length].to_vec()));
        // Each byte behind the Ethernet header turned over: wrong types, lengths, hop limits and checksums.
        frames.extend((14..whole.len()).map(|at| {
            let mut frame = whole.clone();
            frame[at] ^= 0xff;
            frame
        }));
    }
    // Options of no length, of more than there is, and of the length that overflows a byte.
    frames.extend([0, 2, 32, 255].map(|length| neighbor_solicitation(&[1, length, 0, 0, 0, 0, 0, 0])));
    // A claim to the address by a host that isn't there, as request and as reply.
    frames.extend([REQUEST, REPLY].map(|operation| claim(operation, TARGET)));
    let wire = ListenProbe::start(&lab.client()?, "eth0")?;
    frames.into_iter().try_for_each(|frame| wire.send(frame))?;

    let after = addresses.iter().map(|&address| await_answer(lab, address)).collect::<Result<Vec<_>>>()?;
    ensure!(before == after, "{before:?} became {after:?}");
    speaker.is_alive().then_some(()).with_context(|| format!("the speaker of {owner} ended"))?;
    fixture.delete_service("target")
}

/// An ARP frame by broadcast from the liar, who says to be 192.168.1.77.
fn arp(operation: u8) -> Vec<u8> {
    claim(operation, Ipv4Addr::new(192, 168, 1, 77))
}

/// An ARP frame about the target by broadcast from the liar, who says to be somebody.
fn claim(operation: u8, claimed: Ipv4Addr) -> Vec<u8> {
    bytes::arp((BROADCAST, LIAR), operation, (LIAR, claimed), ([0; 6], TARGET))
}

/// A neighbour solicitation for the target with an option, and a checksum that is right.
fn neighbor_solicitation(option: &[u8]) -> Vec<u8> {
    let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xbadb);
    let (group, mac) = bytes::group(TARGET6);
    bytes::solicitation((mac, LIAR), (source, group), TARGET6, option)
}
