//! Frames that are cut short or lie.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use pnet_datalink::{Channel, Config};

use crate::support::{await_addresses, await_answer, node_of};
use crate::{Fixture, service};

const BROADCAST: [u8; 6] = [0xff; 6];
/// A host that does not exist.
const LIAR: [u8; 6] = [0x02, 0xba, 0xdb, 0xad, 0xba, 0xdb];

pub(crate) fn truncated_and_lying_frames_change_nothing(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    // The frames below are about these.
    let asked = "{ferrolb.io/loadBalancerIPs: '192.168.1.240,fd00:192:168:1::240'}";
    fixture.apply(&service("target", asked))?;
    let addresses = await_addresses(lab, "target")?;
    let expected: [IpAddr; 2] = ["192.168.1.240".parse()?, "fd00:192:168:1::240".parse()?];
    ensure!(addresses == expected, "{addresses:?}");
    let before = addresses.iter().map(|&address| await_answer(lab, address)).collect::<Result<Vec<_>>>()?;
    let owner = node_of(lab, before[0])?;
    let speaker = fixture.ferrolb().speaker(&owner)?;

    let request = arp(1, [192, 168, 1, 240]);
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
    frames.extend([arp_from(1, [192, 168, 1, 240]), arp_from(2, [192, 168, 1, 240])]);
    send(fixture, &frames)?;

    let after = addresses.iter().map(|&address| await_answer(lab, address)).collect::<Result<Vec<_>>>()?;
    ensure!(before == after, "{before:?} became {after:?}");
    speaker.is_alive().then_some(()).with_context(|| format!("the speaker of {owner} ended"))?;
    fixture.delete_service("target")
}

fn send(fixture: &Fixture, frames: &[Vec<u8>]) -> Result<()> {
    fixture.lab.client()?.run(|| {
        let interfaces = pnet_datalink::interfaces();
        let eth0 = interfaces.iter().find(|interface| interface.name == "eth0").context("no eth0")?;
        let Channel::Ethernet(mut sender, _) = pnet_datalink::channel(eth0, Config::default())? else {
            bail!("eth0 is no Ethernet link");
        };
        for frame in frames {
            sender.send_to(frame, None).context("no room for a frame")??;
        }
        Ok(())
    })?
}

/// An ARP frame by broadcast from the liar, who says to be 192.168.1.77.
fn arp(operation: u8, target: [u8; 4]) -> Vec<u8> {
    arp_frame(operation, [192, 168, 1, 77], target)
}

/// An ARP frame in which the liar claims an address.
fn arp_from(operation: u8, claimed: [u8; 4]) -> Vec<u8> {
    arp_frame(operation, claimed, claimed)
}

fn arp_frame(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    [
        &BROADCAST[..],
        &LIAR,
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation],
        &LIAR,
        &sender,
        &[0; 6],
        &target,
    ]
    .concat()
}

/// A Neighbor Solicitation for fd00:192:168:1::240 with an option, and a checksum that is right.
fn neighbor_solicitation(option: &[u8]) -> Vec<u8> {
    let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xba, 0xdb];
    let target = [0xfd, 0, 0x01, 0x92, 0x01, 0x68, 0, 1, 0, 0, 0, 0, 0, 0, 0x02, 0x40];
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0x02, 0x40];
    let mut icmp = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target, option].concat();
    let length = icmp.len() as u16;
    let pseudo = [&source[..], &group, &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 58], &icmp].concat();
    let sum: u32 =
        pseudo.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = [&[0x33, 0x33, 0xff, 0, 0x02, 0x40][..], &LIAR, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    frame.extend(length.to_be_bytes());
    frame.extend([58, 255]);
    frame.extend([&source[..], &group, &icmp].concat());
    frame
}
