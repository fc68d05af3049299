//! A switch that answers for hosts from memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use super::frames::{ARP, IPV6, Mac, advertisement, arp, ethernet, requested_target, solicited_target};
use super::tap::Tap;
use super::{Recorder, Worker};
use crate::host::Host;
use crate::segment::INTERFACE;

/// How long the thread waits for a frame before it looks whether it is to end.
const TURN: Duration = Duration::from_millis(4);
/// How long an answer takes: a host that is there itself answers sooner.
const DELAY: Duration = Duration::from_millis(3);

/// The Ethernet source of a switch that answers in its own name; no such host exists.
const SWITCH: Mac = Mac([0x02, 0xfb, 192, 168, 1, 5]);

/// How a switch answers for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// In its own name, and probes as well: proxy ARP as access points have it.
    Proxy,
    /// With the host's Ethernet source, and no probes, by which hosts look for duplicates: the suppression of Linux bridges
    /// and EVPN (RFC 9161).
    Suppression,
}

/// Answers questions for addresses from a memory that nothing corrects, as switches and access points do that spare
/// their ports broadcasts, until it is dropped.
///
/// It answers broadcast and multicast questions; one to a host's hardware address is that host's alone. The segment floods
/// questions all the same. While a host is there, its frames would be drawn away by answers with its Ethernet source: this
/// is for hosts that have gone.
#[derive(Debug)]
pub(crate) struct Suppression(Worker<()>);

/// Which hardware address an address had.
pub(crate) type Memory = BTreeMap<IpAddr, Mac>;

impl Suppression {
    /// Starts answering, at the link of a host.
    pub(crate) fn start(host: &Host, manner: Manner, memory: Memory) -> Result<Self> {
        let work = move |tap, recorder| answer(tap, manner, &memory, &recorder);
        Ok(Self(Worker::start(host, || Tap::open(INTERFACE, TURN), work)?))
    }

    /// Stops answering.
    pub(crate) fn stop(self) -> Result<()> {
        self.0.stop().map(drop)
    }
}

fn answer(mut tap: Tap, manner: Manner, memory: &Memory, recorder: &Recorder<()>) -> Result<()> {
    while !recorder.is_stopped() {
        let Some(answer) = tap.receive()?.and_then(|frame| recall(manner, memory, frame)) else { continue };
        std::thread::sleep(DELAY);
        tap.send(&answer);
    }
    Ok(())
}

/// The answer to a frame, if it asks all hosts for an address in memory.
fn recall(manner: Manner, memory: &Memory, frame: &[u8]) -> Option<Vec<u8>> {
    let mut answer = host_answer(manner == Manner::Proxy, memory, frame)?;
    if manner == Manner::Proxy {
        answer[6..12].copy_from_slice(&SWITCH.0);
    }
    Some(answer)
}

/// The answer that the host itself would give if it is asked by all hosts' address; probes only if `probes`.
fn host_answer(probes: bool, memory: &Memory, frame: &[u8]) -> Option<Vec<u8>> {
    let (destination, source) = (frame.get(..6)?, Mac(frame.get(6..12)?.try_into().ok()?));
    match [*frame.get(12)?, *frame.get(13)?] {
        ARP if destination == [0xff; 6] => {
            let (sender, target) = requested_target(frame)?;
            let mac = *memory.get(&target.into()).filter(|_| probes || !sender.is_unspecified())?;
            Some([ethernet(source.0, mac, ARP), arp(2, (mac, target), (source, sender))].concat())
        }
        IPV6 if destination.starts_with(&[0x33, 0x33]) => {
            let (sender, target) = solicited_target(frame)?;
            let mac = *memory.get(&target.into()).filter(|_| probes || !sender.is_unspecified())?;
            Some(advertisement((mac, target), (source, sender)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::frames::Asker;
    use super::super::frames::tests::{ASKER, NODE as GONE, VIP4, VIP6};
    use super::*;

    const VIPS: [IpAddr; 2] = [VIP4, VIP6];

    #[test]
    fn a_question_is_answered_with_the_address_of_the_host_that_is_gone() {
        for vip in VIPS {
            for (manner, source) in [(Manner::Proxy, SWITCH), (Manner::Suppression, GONE)] {
                let answer = recall(manner, &memory(), &ASKER.question(vip)).unwrap();
                assert_eq!(ASKER.answer(vip, &answer), Some((GONE, source)));
            }
        }
    }

    #[test]
    fn a_probe_is_answered_by_a_proxy_alone() {
        let nobody = Asker { v4: Ipv4Addr::UNSPECIFIED, v6: Ipv6Addr::UNSPECIFIED, ..ASKER };
        let answer = |vip| recall(Manner::Proxy, &memory(), &nobody.question(vip)).unwrap();
        assert_eq!(nobody.answer(VIPS[0], &answer(VIPS[0])), Some((GONE, SWITCH)));
        assert_eq!(answer(VIPS[1])[..6], [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(answer(VIPS[1])[38..54], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
        for vip in VIPS {
            assert_eq!(recall(Manner::Suppression, &memory(), &nobody.question(vip)), None);
        }
    }

    #[test]
    fn questions_to_one_host_or_for_others_and_announcements_go_unanswered() {
        let answer = |memory: &Memory, frame: &[u8]| recall(Manner::Proxy, memory, frame);
        for vip in VIPS {
            let mut to_one = ASKER.question(vip);
            to_one[..6].copy_from_slice(&GONE.0);
            assert_eq!(answer(&memory(), &to_one), None);
            assert_eq!(answer(&Memory::new(), &ASKER.question(vip)), None);
            assert_eq!(answer(&memory(), &ASKER.question(vip)[..41]), None, "a truncated one");
        }
        let IpAddr::V4(vip) = VIPS[0] else { unreachable!("an IPv4 address") };
        let announcement = Asker { v4: vip, ..ASKER }.question(VIPS[0]);
        assert_eq!(answer(&memory(), &announcement), None);
    }

    fn memory() -> Memory {
        VIPS.map(|vip| (vip, GONE)).into()
    }
}
