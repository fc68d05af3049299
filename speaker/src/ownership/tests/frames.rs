//! The frames that speakers say things with, byte for byte, as docs/ownership.md has them.

use super::peers::PEER_MAC;
use super::*;
use crate::ownership::frames::{acceptance, answer, ask, offer, probe, question};
use crate::wire::captured::bytes;

const OWNER: Mac = Mac([2, 0, 0, 0, 0, 0x30]);

#[test]
fn arp_of_speakers_is_as_documented() {
    let (here, vip) = (here(), VIP.into());
    let covering = answer(&request(Mac::BROADCAST), &here, OWNER).unwrap();
    for (what, frame, expected) in [
        (
            "a probe",
            probe(vip, &here),
            "ffffffffffff 020000000010 0806 0001080006040001 020000000010 00000000 000000000000 c0a801f0",
        ),
        (
            "a question",
            question(vip, &here),
            "ffffffffffff 020000000010 0806 0001080006040001 020000000010 c0a8010b 000000000000 c0a801f0",
        ),
        (
            "a question to one",
            ask(vip, &here, PEER_MAC),
            "020000000020 020000000010 0806 0001080006040001 020000000010 c0a8010b 000000000000 c0a801f0",
        ),
        (
            "an offer",
            offer(vip, &here, PEER_MAC),
            "020000000020 020000000010 0806 0001080006040001 020000000010 00000000 000000000000 c0a801f0",
        ),
        (
            "an acceptance",
            acceptance(vip, &here, PEER_MAC),
            "020000000020 020000000010 0806 0001080006040002 020000000010 c0a801f0 020000000020 00000000",
        ),
        (
            "an answer while covering",
            covering,
            "0200000000aa 020000000010 0806 0001080006040002 020000000030 c0a801f0 0200000000aa c0a8010a",
        ),
    ] {
        assert_eq!(&*frame.emit(), bytes(expected), "{what}");
    }
}

#[test]
fn neighbour_discovery_of_speakers_is_as_documented() {
    let (here, vip) = (here(), VIP6.into());
    let covering = answer(&solicitation(ASKER6, Some(ASKER)), &here, OWNER).unwrap();
    let question_body = "86dd 6000000000203aff fe800000000000000000000000000010 ff0200000000000000000001ff000240 \
         8700777c00000000 fd000001000000000000000000000240 0101020000000010";
    let probe_body = "86dd 6000000000183aff 00000000000000000000000000000000 ff0200000000000000000001ff000240 \
         8700792600000000 fd000001000000000000000000000240";
    let acceptance_body = "86dd 6000000000203aff fd000001000000000000000000000240 ff020000000000000000000000000001 \
         8800560c20000000 fd000001000000000000000000000240 0201020000000010";
    let covering_body = "86dd 6000000000203aff fe800000000000000000000000000010 fe8000000000000000000000000000aa \
         8800167660000000 fd000001000000000000000000000240 0201020000000030";
    for (what, frame, receiver, body) in [
        ("a probe", probe(vip, &here), "333300000001", probe_body),
        ("a question", question(vip, &here), "333300000001", question_body),
        ("a question to one", ask(vip, &here, PEER_MAC), "020000000020", question_body),
        ("an offer", offer(vip, &here, PEER_MAC), "020000000020", probe_body),
        ("an acceptance", acceptance(vip, &here, PEER_MAC), "020000000020", acceptance_body),
        ("an answer while covering", covering, "0200000000aa", covering_body),
    ] {
        assert_eq!(&*frame.emit(), bytes(&format!("{receiver} 020000000010 {body}")), "{what}");
    }
}

fn here() -> Link {
    let addresses = ["192.168.1.11", "fe80::10"].map(|address| address.parse().unwrap());
    Link { addresses: addresses.into(), ..link("eth0", MAC0) }
}
