//! Frames of two Linux hosts (6.18) on a veth pair, taken with a packet socket.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const HERE: Mac = Mac([0x1a, 0xd6, 0x30, 0xf5, 0xdc, 0xe1]);
const THERE: Mac = Mac([0x7e, 0x55, 0x31, 0x42, 0x72, 0x30]);
const HERE4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const THERE4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
const HERE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0xa);
const THERE6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0xb);

const REQUEST: &str =
    "ffffffffffff1ad630f5dce1 0806 0001080006040001 1ad630f5dce1c0a8010a000000000000c0a8010b";
const REPLY: &str = "1ad630f5dce17e5531427230 0806 0001080006040002 7e5531427230c0a8010b1ad630f5dce1c0a8010a";
/// With arp_notify, when the interface came up.
const ANNOUNCEMENT: &str =
    "ffffffffffff7e5531427230 0806 0001080006040001 7e5531427230c0a8010b000000000000c0a8010b";
const SOLICITATION: &str = "3333ff00000b1ad630f5dce1 86dd 6000000000203aff \
    fd00000100000000000000000000000a ff0200000000000000000001ff00000b \
    870056ce00000000 fd00000100000000000000000000000b 01011ad630f5dce1";
const ADVERTISEMENT: &str = "1ad630f5dce17e5531427230 86dd 6000000000203aff \
    fd00000100000000000000000000000b fd00000100000000000000000000000a \
    8800fcb560000000 fd00000100000000000000000000000b 02017e5531427230";
/// With a nonce (RFC 7527), which says nothing here.
const DUPLICATE_CHECK: &str = "3333ff00000b7e5531427230 86dd 6000000000203aff \
    00000000000000000000000000000000 ff0200000000000000000001ff00000b \
    8700357900000000 fd00000100000000000000000000000b 0e01f5b4c38880d0";
/// With ndisc_notify, when the address could be used.
const NEIGHBOUR_ANNOUNCEMENT: &str = "3333000000017e5531427230 86dd 6000000000203aff \
    fd00000100000000000000000000000b ff020000000000000000000000000001 \
    88003abe20000000 fd00000100000000000000000000000b 02017e5531427230";

#[test]
fn what_the_kernel_sends_is_what_would_be_sent_here() {
    let Packet::Arp(request) = read(REQUEST).packet else { panic!("not ARP") };
    let Packet::Solicitation(solicitation) = read(SOLICITATION).packet else { panic!("no solicitation") };
    for (captured, frame) in [
        (REQUEST, Arp::question(HERE, HERE4, THERE4)),
        (REPLY, request.reply_from(THERE)),
        (ANNOUNCEMENT, Arp::announcement(THERE, THERE4)),
        (
            SOLICITATION,
            Frame {
                packet: Packet::Solicitation(Solicitation {
                    source: HERE6,
                    source_link_layer: Some(HERE),
                    ..solicitation
                }),
                ..Solicitation::duplicate_check(HERE, THERE6)
            },
        ),
        (ADVERTISEMENT, solicitation.answer_from(THERE, false, HERE)),
        (NEIGHBOUR_ANNOUNCEMENT, Advertisement::announcement(THERE, THERE6, false)),
    ] {
        assert_eq!(read(captured), frame);
        assert_eq!(&*frame.emit(), bytes(captured), "{frame:?}");
    }
}

#[test]
fn a_duplicate_check_is_read_without_its_nonce() {
    assert_eq!(read(DUPLICATE_CHECK), Solicitation::duplicate_check(THERE, THERE6));
}

fn read(hex: &str) -> Frame {
    Frame::parse(&bytes(hex)).unwrap()
}

/// The bytes that a text tells in hexadecimal digits, with spaces anywhere between two.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
