//! Asking the segment for one address by hand: who answers for it, and how soon.
//!
//! The question is the one of an audit: whoever owns the address answers it, and announces the address too. The node's own
//! speaker, if one runs, hears the answers as well, as it hears all that is said to the node.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::link::{Link, LinkId, Links};
use crate::net::exclusion::Patterns;
use crate::net::{BUFFER_LEN, LinkError, LinkWatch, Opened, Protocol, Sockets};
use crate::ownership::frames::{self, Speech};
use crate::wire::{Frame, Mac};

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no runtime for netlink.
    #[error("can't follow the links: {0}")]
    Runtime(io::Error),
    /// The links can't be listed.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// Answers can't be waited for.
    #[error("can't wait for answers: {0}")]
    Wait(io::Error),
}

/// What was heard on one link. Displayed as a line for each host that said something, or one that says that none did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    interface: String,
    /// The link's own hardware address.
    mac: Mac,
    address: IpAddr,
    heard: Vec<Heard>,
    /// Why nobody was asked here.
    unasked: Option<String>,
}

/// What a host said first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    speaker: Mac,
    said: Said,
    after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The address's traffic is to go there.
    At(Mac),
    /// Does anybody have it? So asks an owner in place of its answer while it is not sure, or who is about to own it.
    Probe,
}

impl Answers {
    fn new(link: &Link, address: IpAddr) -> Self {
        let unasked = match (link.up, frames::can_ask(address, link)) {
            (false, _) => Some("it is down".to_owned()),
            (true, false) if address.is_ipv4() => Some("it has no IPv4 address".to_owned()),
            (true, false) => Some("it has no IPv6 link-local address".to_owned()),
            (true, true) => None,
        };
        Self { interface: link.name.clone(), mac: link.mac, address, heard: Vec::new(), unasked }
    }

    /// Takes up a frame. What is said to everybody was not asked for, but for probes.
    fn hear(&mut self, frame: &Frame, after: Duration) {
        let speaker = frame.source;
        let said = match frames::speech(&frame.packet) {
            Speech::Statement { address, receiver, .. }
                if address == self.address && frame.destination == self.mac =>
            {
                Said::At(receiver)
            }
            Speech::Question { address, probe: true } if address == self.address => Said::Probe,
            Speech::Statement { .. } | Speech::Question { .. } | Speech::Nothing => return,
        };
        if !self.heard.iter().any(|it| (it.speaker, it.said) == (speaker, said)) {
            self.heard.push(Heard { speaker, said, after });
        }
    }

    /// The hardware addresses that answers name.
    fn receivers(&self) -> impl Iterator<Item = Mac> {
        self.heard.iter().filter_map(|heard| match heard.said {
            Said::At(receiver) => Some(receiver),
            Said::Probe => None,
        })
    }

    /// Whether anybody answered.
    pub fn is_answered(&self) -> bool {
        self.receivers().next().is_some()
    }

    /// Whether answers name different hardware addresses.
    pub fn is_contested(&self) -> bool {
        let first = self.receivers().next();
        self.receivers().any(|receiver| Some(receiver) != first)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, mac: _, address, heard, unasked } = self;
        if let Some(why) = unasked {
            return write!(f, "{interface}: not asked: {why}");
        }
        if heard.is_empty() {
            return write!(
                f,
                "{interface}: nobody answers for {address} within {PATIENCE:?}; a node does not answer itself"
            );
        }
        for (place, Heard { speaker, said, after }) in heard.iter().enumerate() {
            let end = if place == 0 { "" } else { "\n" };
            write!(f, "{end}{interface}: ")?;
            match said {
                Said::At(receiver) if receiver == speaker => write!(f, "{address} is at {receiver}"),
                Said::At(receiver) => write!(f, "{address} is at {receiver}, says {speaker}"),
                Said::Probe => write!(f, "{speaker} asks itself who has {address}"),
            }?;
            write!(f, ", after {:.1} ms", after.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

/// Asks everybody for an address, on each link that is not excluded.
///
/// # Errors
/// When the links can't be listed or answers not waited for. That a link can't be asked is told among the answers.
pub fn ask(address: IpAddr, excluded: Patterns) -> Result<Vec<Answers>, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let links =
        runtime.map_err(AskError::Runtime)?.block_on(async { LinkWatch::open(excluded)?.changed().await })?;
    let mut all: BTreeMap<LinkId, Answers> =
        links.iter().map(|(&id, link)| (id, Answers::new(link, address))).collect();
    let asked: Links =
        links.into_iter().filter(|(id, _)| all.get(id).is_some_and(|it| it.unasked.is_none())).collect();
    let mut sockets = Sockets::new().map_err(AskError::Wait)?;
    let family = if address.is_ipv4() { Protocol::Arp } else { Protocol::Ndp };
    for ((link, protocol), opened) in sockets.sync(&asked, &Patterns::default(), |_| ()) {
        if let (Opened::No(error), true, Some(answers)) = (opened, protocol == family, all.get_mut(&link)) {
            let why = format!("can't open a packet socket (it needs the capability NET_RAW): {error}");
            answers.unasked = Some(why);
        }
    }
    let start = now();
    for (&link, here) in &asked {
        let question = frames::question(address, here);
        if let Some((socket, ())) = sockets.get(link, &question.packet)
            && let Err(error) = socket.send(&question.emit())
            && let Some(answers) = all.get_mut(&link)
        {
            answers.unasked = Some(format!("can't send: {error}"));
        }
    }
    let mut buffer = [0; BUFFER_LEN];
    loop {
        if now() >= start + PATIENCE {
            return Ok(all.into_values().collect());
        }
        sockets.wait(start + PATIENCE, now()).map_err(AskError::Wait)?;
        let after = now().saturating_duration_since(start);
        while let Some(((link, _), received)) = sockets.receive(&mut buffer) {
            let bytes = received.ok().and_then(|length| buffer.get(..length));
            if let Some(Ok(frame)) = bytes.map(Frame::parse)
                && let Some(answers) = all.get_mut(&link)
            {
                answers.hear(&frame, after);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it waits, beside no other loop")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::wire::{Arp, Packet};

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 240);
    const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
    const ASKER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OWNER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 3]);

    fn link(up: bool, addresses: Vec<IpAddr>) -> Link {
        let (name, port_macs, gateways) = ("eth0".to_owned(), vec![], vec![]);
        Link { name, mac: ASKER, port_macs, up, router: false, addresses, gateways }
    }

    /// Somebody tells the asker that an address is at a host.
    fn says(speaker: Mac, receiver: Mac, address: Ipv4Addr) -> Frame {
        let question = Arp::question(ASKER, OWN, address);
        let Packet::Arp(arp) = question.packet else { panic!("not ARP") };
        Frame { source: speaker, ..arp.reply_from(receiver) }
    }

    fn heard(frames: &[Frame]) -> Answers {
        let mut answers = Answers::new(&link(true, vec![OWN.into()]), VIP.into());
        frames.iter().for_each(|frame| answers.hear(frame, Duration::from_micros(310)));
        answers
    }

    #[test]
    fn an_owner_that_answers_and_announces_is_told_once() {
        let answer = says(OWNER, OWNER, VIP);
        let one = heard(&[Arp::announcement(OWNER, VIP), answer, answer]);
        assert_eq!(one.to_string(), "eth0: 192.168.1.240 is at 02:00:00:00:00:02, after 0.3 ms");
        assert!(one.is_answered() && !one.is_contested());
    }

    #[test]
    fn who_covers_is_told_beside_the_owner() {
        let covered = heard(&[says(OTHER, OWNER, VIP)]);
        assert_eq!(
            covered.to_string(),
            "eth0: 192.168.1.240 is at 02:00:00:00:00:02, says 02:00:00:00:00:03, after 0.3 ms"
        );
        assert!(covered.is_answered() && !covered.is_contested());
    }

    #[test]
    fn two_that_name_different_hosts_are_both_told() {
        let two = heard(&[says(OWNER, OWNER, VIP), says(OTHER, OTHER, VIP)]);
        assert_eq!(two.to_string().lines().count(), 2, "{two}");
        assert!(two.is_contested());
    }

    #[test]
    fn a_probe_is_told_and_is_no_answer() {
        let doubt = heard(&[Arp::probe(OWNER, VIP)]);
        assert_eq!(
            doubt.to_string(),
            "eth0: 02:00:00:00:00:02 asks itself who has 192.168.1.240, after 0.3 ms"
        );
        assert!(!doubt.is_answered());
    }

    #[test]
    fn what_was_not_asked_for_is_no_answer() {
        let other = Ipv4Addr::new(192, 168, 1, 241);
        let none =
            heard(&[says(OWNER, OWNER, other), Arp::announcement(OWNER, VIP), Arp::probe(OWNER, other)]);
        assert!(!none.is_answered() && !none.is_contested());
        assert!(none.to_string().starts_with("eth0: nobody answers for 192.168.1.240"), "{none}");
    }

    #[test]
    fn a_link_that_can_t_ask_says_why() {
        let v6 = IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
        for (link, address, why) in [
            (link(false, vec![OWN.into()]), VIP.into(), "it is down"),
            (link(true, vec![v6]), VIP.into(), "it has no IPv4 address"),
            (link(true, vec![OWN.into(), v6]), v6, "it has no IPv6 link-local address"),
        ] {
            assert_eq!(Answers::new(&link, address).to_string(), format!("eth0: not asked: {why}"));
        }
    }
}
