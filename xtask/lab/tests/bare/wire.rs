//! What a client sees of an address on the wire, byte for byte.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ferrolb_lab::probe::ListenProbe;
use ferrolb_lab::{GATEWAYS, Lab};

use crate::bytes::{
    ALL_NODES, ALL_NODES_MAC, BROADCAST, Ends, OVERRIDE, REPLY, REQUEST, ROUTER, SOLICITED, advertisement,
    arp, group, solicitation,
};
use crate::support::{await_answer, eventually};
use crate::{Fixture, service};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 241);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 0x241);
/// A host that is only pretended.
const ASKER: [u8; 6] = [0x02, 0xa5, 0x6e, 0, 0, 0x78];
const ASKER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 78);
const ASKER_IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 0x78);
const NOBODY: [u8; 6] = [0; 6];

pub(crate) fn an_address_is_announced_in_rounds_byte_for_byte(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let wire = ListenProbe::start(&lab.client()?, "eth0")?;
    fixture.apply(&service("announced", &asked()))?;
    let mac = owner(lab)?;
    let gateway = GATEWAYS[0].parse()?;

    let request = arp((BROADCAST, mac), REQUEST, (mac, VIP), (NOBODY, VIP));
    let reply = arp((BROADCAST, mac), REPLY, (mac, VIP), (mac, VIP));
    let question = arp((BROADCAST, mac), REQUEST, (mac, VIP), (NOBODY, gateway));
    let unsolicited = advertisement((ALL_NODES_MAC, mac), VIP6, ALL_NODES, ROUTER | OVERRIDE);
    let mut burst = vec![request.clone(), reply.clone(), question];
    burst.extend((1..5).flat_map(|_| [request.clone(), reply.clone()]));
    for expected in [burst, vec![unsolicited; 3]] {
        let frames = eventually(|| {
            let frames = wire.heard().into_iter().filter(|frame| {
                // Of the same protocol.
                announces(&frame.bytes) && frame.bytes[12..14] == expected[0][12..14]
            });
            let frames: Vec<_> = frames.take(expected.len()).collect();
            ensure!(frames.len() == expected.len(), "{} of {} frames", frames.len(), expected.len());
            Ok(frames)
        })?;
        let bytes: Vec<_> = frames.iter().map(|frame| frame.bytes.clone()).collect();
        ensure!(bytes == expected, "{bytes:02x?} is not {expected:02x?}");
        // They are 1.1 s apart; this may hear one late.
        let rounds: Vec<_> = frames.iter().filter(|frame| frame.bytes == expected[0]).collect();
        for pair in rounds.windows(2) {
            let apart = pair[1].at - pair[0].at;
            ensure!(apart > Duration::from_millis(500), "rounds are {apart:?} apart");
        }
    }
    fixture.delete_service("announced")
}

pub(crate) fn each_form_of_a_question_is_answered_byte_for_byte(fixture: &Fixture) -> Result<()> {
    let lab = &fixture.lab;
    let wire = ListenProbe::start(&lab.client()?, "eth0")?;
    fixture.apply(&service("asked", &asked()))?;
    let mac = owner(lab)?;
    let to_all = advertisement((ALL_NODES_MAC, mac), VIP6, ALL_NODES, ROUTER | OVERRIDE);
    // Announcements look like the answer to a duplicate-address question: nothing is asked before the last one.
    eventually(|| {
        let rounds = wire.heard().iter().filter(|frame| frame.bytes == to_all).count();
        ensure!(rounds == 3, "{rounds} of 3 announcements");
        Ok(())
    })?;

    let (vip_group, group_mac) = group(VIP6);
    let (all, one, multicast): (Ends, Ends, Ends) = ((BROADCAST, ASKER), (mac, ASKER), (group_mac, ASKER));
    let own_option = [&[1, 1][..], &ASKER].concat();
    let request = |ends, sender| arp(ends, REQUEST, (ASKER, sender), (NOBODY, VIP));
    let padded = |mut frame: Vec<u8>| {
        frame.resize(60, 0xa5);
        frame
    };
    let solicit = |ends, from, to, options: &[u8]| solicitation(ends, (from, to), VIP6, options);
    let reply = |to| arp((ASKER, mac), REPLY, (mac, VIP), (ASKER, to));
    let solicited = advertisement((ASKER, mac), VIP6, ASKER_IP6, ROUTER | SOLICITED | OVERRIDE);
    let unspecified = Ipv6Addr::UNSPECIFIED;
    for (question, asked, answer) in [
        ("an ARP request by broadcast", request(all, ASKER_IP), reply(ASKER_IP)),
        ("a padded one", padded(request(all, ASKER_IP)), reply(ASKER_IP)),
        ("an ARP request to the owner", request(one, ASKER_IP), reply(ASKER_IP)),
        ("an ARP probe", request(all, Ipv4Addr::UNSPECIFIED), reply(Ipv4Addr::UNSPECIFIED)),
        ("a solicitation", solicit(multicast, ASKER_IP6, vip_group, &own_option), solicited.clone()),
        ("one without option", solicit(multicast, ASKER_IP6, vip_group, &[]), solicited.clone()),
        ("a solicitation to the address", solicit(one, ASKER_IP6, VIP6, &own_option), solicited.clone()),
        ("one without option to the address", solicit(one, ASKER_IP6, VIP6, &[]), solicited),
        ("a duplicate-address question", solicit(multicast, unspecified, vip_group, &[]), to_all),
    ] {
        let heard_before = wire.heard().len();
        wire.send(asked)?;
        eventually(|| {
            let heard = wire.heard();
            let to_us = heard[heard_before..].iter().filter(|frame| frame.bytes[..6] == answer[..6]);
            let about: Vec<_> =
                to_us.map(|frame| &frame.bytes).filter(|bytes| answers(bytes) || announces(bytes)).collect();
            let first = about.first().with_context(|| format!("{question}: no answer"))?;
            ensure!(**first == answer, "{question}: {first:02x?} is not {answer:02x?}");
            Ok(())
        })?;
    }
    fixture.delete_service("asked")
}

/// The annotations that ask for both addresses.
fn asked() -> String {
    format!("{{ferrolb.io/loadBalancerIPs: '{VIP},{VIP6}'}}")
}

/// The hardware address of the node that answers for both addresses.
fn owner(lab: &Lab) -> Result<[u8; 6]> {
    let owners = [await_answer(lab, VIP.into())?, await_answer(lab, VIP6.into())?];
    ensure!(owners[0] == owners[1], "{owners:?}");
    lab.node_of(owners[0])?;
    Ok(owners[0].0)
}

/// Whether it claims one of the addresses to everybody.
fn announces(frame: &[u8]) -> bool {
    (frame.starts_with(&BROADCAST) && speaks_arp_for_vip(frame))
        || (frame.starts_with(&ALL_NODES_MAC) && advertises_vip(frame))
}

/// Whether it is an answer to somebody about one of the addresses.
fn answers(frame: &[u8]) -> bool {
    frame.starts_with(&ASKER) && (speaks_arp_for_vip(frame) || advertises_vip(frame))
}

fn speaks_arp_for_vip(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x06]) && frame.get(28..32) == Some(&VIP.octets())
}

fn advertises_vip(frame: &[u8]) -> bool {
    let is_advertisement = frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(54) == Some(&136);
    is_advertisement && frame.get(62..78) == Some(&VIP6.octets())
}
