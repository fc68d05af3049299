use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const ME: Mac = Mac([0x02, 0, 0, 0, 0, 0x0b]);
const ASKER: Mac = Mac([0x02, 0, 0, 0, 0, 0x0a]);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 240);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0x240);
const ASKER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa);

/// 192.168.1.10 asks for 192.168.1.240, padded to Ethernet's minimum.
#[rustfmt::skip]
const REQUEST: [u8; 60] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x0a, 0x08, 0x06,
    0, 1, 0x08, 0, 6, 4, 0, 1,
    0x02, 0, 0, 0, 0, 0x0a, 192, 168, 1, 10,
    0, 0, 0, 0, 0, 0, 192, 168, 1, 240,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[rustfmt::skip]
const REPLY: [u8; 42] = [
    0x02, 0, 0, 0, 0, 0x0a, 0x02, 0, 0, 0, 0, 0x0b, 0x08, 0x06,
    0, 1, 0x08, 0, 6, 4, 0, 2,
    0x02, 0, 0, 0, 0, 0x0b, 192, 168, 1, 240,
    0x02, 0, 0, 0, 0, 0x0a, 192, 168, 1, 10,
];

/// fe80::a asks for fd00:1::240 in its solicited-node group.
#[rustfmt::skip]
const SOLICITATION: [u8; 86] = [
    0x33, 0x33, 0xff, 0, 0x02, 0x40, 0x02, 0, 0, 0, 0, 0x0a, 0x86, 0xdd,
    0x60, 0, 0, 0, 0, 32, 58, 255,
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a,
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0, 0x02, 0x40,
    135, 0, 0x77, 0x88, 0, 0, 0, 0,
    0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x40,
    1, 1, 0x02, 0, 0, 0, 0, 0x0a,
];

#[rustfmt::skip]
const ADVERTISEMENT: [u8; 86] = [
    0x02, 0, 0, 0, 0, 0x0a, 0x02, 0, 0, 0, 0, 0x0b, 0x86, 0xdd,
    0x60, 0, 0, 0, 0, 32, 58, 255,
    0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x40,
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a,
    136, 0, 0x16, 0x8a, 0x60, 0, 0, 0,
    0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x40,
    2, 1, 0x02, 0, 0, 0, 0, 0x0b,
];

#[test]
fn arp_request_is_read_through_its_padding() {
    let frame = Frame::parse(&REQUEST).unwrap();
    assert_eq!((frame.source, frame.destination), (ASKER, Mac::BROADCAST));
    assert_eq!(frame.packet, Packet::Arp(request()));
}

#[test]
fn arp_reply_is_built_from_its_request_byte_for_byte() {
    assert_eq!(&*request().reply_from(ME).emit(), &REPLY);
}

#[test]
fn neighbour_solicitation_is_read() {
    let frame = Frame::parse(&SOLICITATION).unwrap();
    assert_eq!(frame.destination, Mac::multicast(solicited_node(VIP6)));
    assert_eq!(frame.packet, Packet::Solicitation(solicitation()));
}

#[test]
fn neighbour_advertisement_is_built_from_its_solicitation_byte_for_byte() {
    assert_eq!(&*solicitation().answer_from(ME, false, ASKER).emit(), &ADVERTISEMENT);
}

#[test]
fn every_frame_kind_survives_emit_and_parse() {
    let frames = [
        Arp::probe(ME, VIP),
        Arp::announcement(ME, VIP),
        Arp::announcement_reply(ME, VIP),
        request().reply_from(ME),
        Solicitation::duplicate_check(ME, VIP6),
        solicitation().answer_from(ME, true, ASKER),
        Solicitation { source: Ipv6Addr::UNSPECIFIED, source_link_layer: None, ..solicitation() }
            .answer_from(ME, false, ASKER),
        Advertisement::announcement(ME, VIP6, true),
    ];
    for frame in frames {
        assert_eq!(Frame::parse(&frame.emit()), Ok(frame));
    }
}

#[test]
fn probe_claims_no_address() {
    let Packet::Arp(probe) = Arp::probe(ME, VIP).packet else { panic!("not ARP") };
    assert!(probe.is_probe() && !probe.is_gratuitous());
    assert_eq!(probe.sender_ip, Ipv4Addr::UNSPECIFIED);
}

#[test]
fn gratuitous_reply_names_its_sender_as_target() {
    let Packet::Arp(arp) = Arp::announcement_reply(ME, VIP).packet else { panic!("not ARP") };
    assert!(arp.is_gratuitous());
    assert_eq!((arp.operation, arp.target_mac), (Operation::Reply, ME));
}

#[test]
fn duplicate_check_is_answered_to_all_nodes_and_unsolicited() {
    let check = Solicitation { source: Ipv6Addr::UNSPECIFIED, source_link_layer: None, ..solicitation() };
    let frame = check.answer_from(ME, false, ASKER);
    let Packet::Advertisement(answer) = frame.packet else { panic!("not an advertisement") };
    assert_eq!((answer.destination, answer.solicited), (ALL_NODES, false));
    assert_eq!(frame.destination, Mac::multicast(ALL_NODES));
}

#[test]
fn question_without_link_layer_option_is_answered_to_its_ethernet_source() {
    let question = Solicitation { source_link_layer: None, ..solicitation() };
    assert_eq!(question.answer_from(ME, false, ASKER).destination, ASKER);
}

#[test]
fn every_truncation_is_refused() {
    for (bytes, needed) in
        [(&REQUEST[..], 42), (&REPLY[..], 42), (&SOLICITATION[..], 86), (&ADVERTISEMENT[..], 86)]
    {
        for len in 0..needed {
            let result = Frame::parse(&bytes[..len]);
            assert!(matches!(result, Err(WireError::Truncated { .. })), "{len} of {needed}: {result:?}");
        }
    }
}

#[test]
fn lying_arp_fields_are_refused() {
    check_refused(
        &REPLY,
        "unsupported",
        &[(14, 9), (16, 0x86), (18, 8), (19, 16), (21, 0), (21, 3), (12, 0x81)],
    );
    check_refused(&REPLY, "group_source", &[(6, 0x03)]);
}

#[test]
fn lying_neighbour_discovery_fields_are_refused() {
    check_refused(&SOLICITATION, "unsupported", &[(14, 0x40), (20, 17)]);
    check_refused(&SOLICITATION, "hop_limit", &[(21, 254), (21, 0)]);
    check_refused(&SOLICITATION, "checksum", &[(56, 0), (22, 0xfd), (54, 134), (85, 0x0b)]);
    check_refused(&SOLICITATION, "truncated", &[(19, 33), (18, 1), (19, 0), (19, 23)]);
}

#[test]
fn option_lengths_that_lie_are_refused() {
    for (units, reason) in [(0, "invalid"), (2, "truncated"), (32, "truncated"), (255, "truncated")] {
        let bytes = with_checksum(&SOLICITATION, &[(79, units)]);
        assert_eq!(Frame::parse(&bytes).map_err(WireError::reason), Err(reason), "{units} units");
    }
}

#[test]
fn neighbour_discovery_that_breaks_the_validity_rules_is_refused() {
    for (name, bytes) in [
        ("target is a group", with_checksum(&SOLICITATION, &[(62, 0xff)])),
        ("solicited to a group", with_checksum(&ADVERTISEMENT, &[(38, 0xff)])),
        ("duplicate check with option", with_checksum(&SOLICITATION, &[(22, 0), (23, 0), (37, 0)])),
    ] {
        assert_eq!(Frame::parse(&bytes).map_err(WireError::reason), Err("invalid"), "{name}");
    }
}

#[test]
fn unknown_options_are_skipped() {
    let mut bytes = SOLICITATION.to_vec();
    bytes.splice(78..78, [14, 1, 0xde, 0xad, 0xbe, 0xef, 0, 1]);
    bytes[19] = 40;
    let bytes = with_checksum(&bytes, &[]);
    assert_eq!(Frame::parse(&bytes).unwrap().packet, Packet::Solicitation(solicitation()));
}

#[test]
fn mutated_frames_never_panic_and_what_parses_survives_a_round_trip() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound).unwrap()).unwrap()
    };
    let seeds = [&REQUEST[..], &REPLY, &SOLICITATION, &ADVERTISEMENT];
    let mut parsed = 0_u32;
    for round in 0..200_000 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        bytes.truncate(if next(4) == 0 { next(bytes.len() + 1) } else { bytes.len() });
        if bytes.len() > 58 && next(2) == 0 {
            bytes = with_checksum(&bytes, &[]);
        }
        if let Ok(frame) = Frame::parse(&bytes) {
            assert_eq!(Frame::parse(&frame.emit()), Ok(frame));
            parsed += 1;
        }
    }
    assert!(parsed > 1_000, "only {parsed} mutants parsed");
}

fn request() -> Arp {
    Arp {
        operation: Operation::Request,
        sender_mac: ASKER,
        sender_ip: Ipv4Addr::new(192, 168, 1, 10),
        target_mac: Mac::ZERO,
        target_ip: VIP,
    }
}

fn solicitation() -> Solicitation {
    Solicitation {
        source: ASKER6,
        destination: solicited_node(VIP6),
        target: VIP6,
        source_link_layer: Some(ASKER),
    }
}

fn check_refused(bytes: &[u8], reason: &str, changes: &[(usize, u8)]) {
    for &(at, value) in changes {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        assert_eq!(Frame::parse(&bytes).map_err(WireError::reason), Err(reason), "byte {at} = {value:#x}");
    }
}

/// Makes the changes and then puts the ICMPv6 checksum right (RFC 4443 section 2.3), independently of `emit`.
fn with_checksum(bytes: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, value) in changes {
        bytes[at] = value;
    }
    bytes[56..58].fill(0);
    let length = u32::try_from(bytes.len() - 54).unwrap();
    let mut sum = length + 58;
    for pair in bytes[22..].chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap();
    bytes[56..58].copy_from_slice(&sum.to_be_bytes());
    bytes
}
