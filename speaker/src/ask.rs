//! Asking the segment for one address by hand: who answers for it, and how soon.
//!
//! The question is the one of an audit: whoever owns the address answers it, and announces the address too.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::link::LinkId;
use crate::net::exclusion::Patterns;
use crate::net::{LinkError, LinkWatch, Opened, Sockets};
use crate::ownership::frames::{self, Speech};
use crate::wire::{Frame, Mac};

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer frames are no answers.
const BUFFER_LEN: usize = 2048;

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no runtime for netlink.
    #[error("can't follow the links: {0}")]
    Runtime(io::Error),
    /// The links can't be listed.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// No link fits.
    #[error(
        "there is no interface to ask on: it has to be up, to have an address of its own of this family, and not to be \
         named by --exclude-interfaces"
    )]
    NoLink,
    /// A packet socket can't be opened.
    #[error("{interface}: can't open a packet socket (it needs the capability NET_RAW): {error}")]
    Open {
        /// The link's name.
        interface: String,
        /// What the kernel says.
        error: io::Error,
    },
    /// The question can't be sent.
    #[error("{interface}: can't send: {error}")]
    Send {
        /// The link's name.
        interface: String,
        /// What the kernel says.
        error: io::Error,
    },
    /// Answers can't be waited for.
    #[error("can't wait for answers: {0}")]
    Wait(io::Error),
}

/// What was answered on one link. Displayed as a line for each answer, or one that says that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    interface: String,
    address: IpAddr,
    heard: Vec<Answer>,
}

/// The first frame of a host that names a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// Where the address's traffic is to go.
    receiver: Mac,
    /// Who says so.
    speaker: Mac,
    after: Duration,
}

impl Answers {
    fn new(interface: &str, address: IpAddr) -> Self {
        Self { interface: interface.to_owned(), address, heard: Vec::new() }
    }

    fn hear(&mut self, frame: &Frame, after: Duration) {
        let Speech::Statement { address, receiver, .. } = frames::speech(&frame.packet) else { return };
        let speaker = frame.source;
        let known = self.heard.iter().any(|it| (it.receiver, it.speaker) == (receiver, speaker));
        if address == self.address && !known {
            self.heard.push(Answer { receiver, speaker, after });
        }
    }

    /// Whether anybody answered.
    pub fn is_answered(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Whether answers name different hardware addresses.
    pub fn is_contested(&self) -> bool {
        self.heard.iter().any(|answer| answer.receiver != self.heard[0].receiver)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, address, heard } = self;
        if heard.is_empty() {
            return write!(
                f,
                "{interface}: nobody answers for {address} within {PATIENCE:?}; a node does not answer itself: ask from \
                 another one too"
            );
        }
        for (place, Answer { receiver, speaker, after }) in heard.iter().enumerate() {
            let end = if place == 0 { "" } else { "\n" };
            write!(f, "{end}{interface}: {address} is at {receiver}")?;
            if speaker != receiver {
                write!(f, ", says {speaker}")?;
            }
            write!(f, ", after {:.1} ms", after.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

/// Asks everybody for an address, on each link that is not excluded.
///
/// # Errors
/// When nobody can be asked.
pub fn ask(address: IpAddr, excluded: Patterns) -> Result<Vec<Answers>, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut links =
        runtime.map_err(AskError::Runtime)?.block_on(async { LinkWatch::open(excluded)?.changed().await })?;
    links.retain(|_, link| link.up && frames::can_ask(address, link));
    if links.is_empty() {
        return Err(AskError::NoLink);
    }
    let name = |link: LinkId| links.get(&link).map(|link| link.name.clone()).unwrap_or_default();
    let mut sockets = Sockets::new().map_err(AskError::Wait)?;
    for ((link, _), opened) in sockets.sync(&links, &Patterns::default(), |_| ()) {
        if let Opened::No(error) = opened {
            return Err(AskError::Open { interface: name(link), error });
        }
    }
    let start = now();
    for (&link, here) in &links {
        let question = frames::question(address, here);
        let sent = sockets.get(link, &question.packet).map(|(socket, ())| socket.send(&question.emit()));
        sent.transpose().map_err(|error| AskError::Send { interface: name(link), error })?;
    }
    let mut all: BTreeMap<LinkId, Answers> =
        links.iter().map(|(&id, link)| (id, Answers::new(&link.name, address))).collect();
    let mut buffer = [0; BUFFER_LEN];
    loop {
        let after = now().saturating_duration_since(start);
        if after >= PATIENCE {
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
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::{Arp, Packet};

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 240);
    const ASKER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OWNER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 3]);

    /// Somebody tells the asker, or everybody, that an address is at a host.
    fn answers(said: &[(Mac, Mac, Ipv4Addr)]) -> Answers {
        let mut answers = Answers::new("eth0", VIP.into());
        for (speaker, receiver, address) in said {
            let question = Arp::question(ASKER, Ipv4Addr::new(192, 168, 1, 11), *address);
            let Packet::Arp(arp) = question.packet else { panic!("not ARP") };
            let frame = Frame { source: *speaker, ..arp.reply_from(*receiver) };
            answers.hear(&frame, Duration::from_micros(310));
        }
        answers
    }

    #[test]
    fn an_owner_that_answers_and_announces_is_told_once() {
        let mut one = answers(&[(OWNER, OWNER, VIP), (OWNER, OWNER, VIP)]);
        one.hear(&Arp::announcement(OWNER, VIP), Duration::from_millis(1));
        assert_eq!(one.to_string(), "eth0: 192.168.1.240 is at 02:00:00:00:00:02, after 0.3 ms");
        assert!(one.is_answered() && !one.is_contested());
    }

    #[test]
    fn who_covers_is_told_beside_the_owner() {
        let covered = answers(&[(OTHER, OWNER, VIP)]);
        assert_eq!(
            covered.to_string(),
            "eth0: 192.168.1.240 is at 02:00:00:00:00:02, says 02:00:00:00:00:03, after 0.3 ms"
        );
        assert!(!covered.is_contested());
    }

    #[test]
    fn two_that_name_different_hosts_are_both_told() {
        let two = answers(&[(OWNER, OWNER, VIP), (OTHER, OTHER, VIP)]);
        assert_eq!(two.to_string().lines().count(), 2, "{two}");
        assert!(two.is_contested());
    }

    #[test]
    fn what_is_said_of_other_addresses_is_no_answer() {
        let none = answers(&[(OWNER, OWNER, Ipv4Addr::new(192, 168, 1, 241))]);
        assert!(
            !none.is_answered() && none.to_string().starts_with("eth0: nobody answers for 192.168.1.240")
        );
    }
}
