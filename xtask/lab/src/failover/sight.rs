//! What is seen during a trial.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::Host;
use crate::clock;
use crate::probe::{Answer, ConnectProbe, EstablishedProbe, Mac, ResolveProbe};

/// How long answers are awaited at the start of a trial.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers that a trial begins with.
const BEFORE: usize = 25;
/// Two hardware addresses are answered at once if their answers alternate within this time.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What a client saw in one trial.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Of each address, in the order of the Service's status.
    pub seen: Vec<Seen>,
}

/// What a client saw of one address.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The address.
    pub address: IpAddr,
    /// The longest time without an answer to a client that asks every 20 ms with an empty cache. An answer that names
    /// a node which can't receive is none.
    pub unanswered: Duration,
    /// How long two nodes' hardware addresses were answered at once, from the first such answer to the last.
    pub quarrel: Duration,
    /// Who was answered before the fault.
    pub before: Mac,
    /// Who was answered at the end.
    pub after: Mac,
    /// How many answers named another hardware address than the first.
    pub strays: usize,
    /// How many nodes answered in the first owner's name.
    pub coverers: usize,
    /// The longest time without a new connection, where there is a server.
    pub unconnected: Option<Duration>,
    /// How often a connection broke that was there, where there is a server.
    pub broken: Option<usize>,
}

impl Outcome {
    /// The longest time without an answer, of all addresses.
    pub fn unanswered(&self) -> Duration {
        self.seen.iter().map(|seen| seen.unanswered).max().unwrap_or_default()
    }

    /// The longest time without a new connection, of all addresses.
    pub fn unconnected(&self) -> Option<Duration> {
        self.seen.iter().filter_map(|seen| seen.unconnected).max()
    }

    /// How many connections broke.
    pub fn broken(&self) -> Option<usize> {
        self.seen.iter().map(|seen| seen.broken).sum()
    }

    /// How many addresses are at another node at the end.
    pub fn moved(&self) -> usize {
        self.seen.iter().filter(|seen| seen.before != seen.after).count()
    }

    /// How many addresses were answered with another node's hardware address at any time, if only once.
    pub fn strayed(&self) -> usize {
        self.seen.iter().filter(|seen| seen.strays > 0).count()
    }

    /// How many nodes answered in the owner's name, for the address for which fewest did.
    pub fn coverers(&self) -> usize {
        self.seen.iter().map(|seen| seen.coverers).min().unwrap_or_default()
    }

    /// How long two nodes' hardware addresses were answered at once.
    pub fn quarrel(&self) -> Duration {
        self.seen.iter().map(|seen| seen.quarrel).max().unwrap_or_default()
    }
}

/// The probes on one address.
struct Eye {
    address: IpAddr,
    resolve: ResolveProbe,
    tcp: Option<(ConnectProbe, EstablishedProbe)>,
}

/// The probes on all addresses.
pub(super) struct Sight {
    eyes: Vec<Eye>,
    dark: Option<Instant>,
}

impl Sight {
    /// Starts looking, and returns once everything is as it is when nothing fails.
    pub(super) fn open(client: &Host, addresses: &[IpAddr], port: Option<u16>) -> Result<Self> {
        let open = |&address: &IpAddr| -> Result<Eye> {
            let resolve = ResolveProbe::start(client, address)?;
            let tcp = port.map(|port| -> Result<_> {
                let server = SocketAddr::new(address, port);
                Ok((ConnectProbe::start(client, server)?, EstablishedProbe::start(client, server)?))
            });
            Ok(Eye { address, resolve, tcp: tcp.transpose()? })
        };
        let sight = Self { eyes: addresses.iter().map(open).collect::<Result<Vec<_>>>()?, dark: None };
        let answered = || sight.eyes.iter().all(|eye| eye.resolve.answers().len() >= BEFORE).then_some(());
        clock::poll(PATIENCE, Duration::from_millis(20), answered)
            .with_context(|| format!("{addresses:?} are not answered for"))?;
        Ok(sight)
    }

    /// The first owner can't receive any more: from now on an answer that names it is of no use to a client.
    pub(super) fn owner_goes_dark(&mut self) {
        self.dark = Some(clock::now());
    }

    /// Whether all addresses were answered for with another hardware address than this one, after a moment.
    pub(super) fn answered_by_another(&self, than: &[Mac], after: Instant) -> bool {
        let is_other = |eye: &Eye, than: &Mac| {
            eye.resolve.answers().iter().rev().take(50).any(|it| it.at > after && it.mac != *than)
        };
        self.eyes.iter().zip(than).all(|(eye, than)| is_other(eye, than))
    }

    /// Who spoke for the addresses since a moment: Ethernet sources.
    pub(super) fn speakers(&self, since: Instant) -> BTreeSet<Mac> {
        let recent = |eye: &Eye| -> Vec<Mac> {
            eye.resolve.answers().iter().filter(|it| it.at > since).map(|it| it.source).collect()
        };
        self.eyes.iter().flat_map(recent).collect()
    }

    /// The hardware address that is answered for each address.
    pub(super) fn macs(&self) -> Result<Vec<Mac>> {
        let last = |eye: &Eye| eye.resolve.answers().last().map(|answer| answer.mac).context("no answer");
        self.eyes.iter().map(last).collect()
    }

    /// Stops looking.
    pub(super) fn close(self) -> Result<Outcome> {
        let close = |eye: Eye| -> Result<Seen> {
            let mut resolved = eye.resolve.stop()?;
            let owner = resolved.answers.first().context("no answer")?.mac;
            let is_useless =
                |answer: &Answer| answer.mac == owner && self.dark.is_some_and(|dark| answer.at > dark);
            resolved.answers.retain(|answer| !is_useless(answer));
            let last = resolved.answers.last().context("no answer")?;
            let (unconnected, broken) = match eye.tcp {
                Some((connect, established)) => {
                    let (connected, exchanged) = (connect.stop()?, established.stop()?);
                    (Some(connected.longest_gap().length), Some(exchanged.breaks()))
                }
                None => (None, None),
            };
            Ok(Seen {
                address: eye.address,
                unanswered: resolved.longest_gap().length,
                quarrel: quarrel(&resolved.answers),
                before: owner,
                after: last.mac,
                coverers: coverers(&resolved.answers, owner),
                strays: resolved.answers.iter().filter(|answer| answer.mac != owner).count(),
                unconnected,
                broken,
            })
        };
        Ok(Outcome { seen: self.eyes.into_iter().map(close).collect::<Result<Vec<_>>>()? })
    }
}

/// How many nodes named the owner that were not it.
fn coverers(answers: &[Answer], owner: Mac) -> usize {
    let others = answers.iter().filter(|answer| answer.mac == owner && answer.source != owner);
    others.map(|answer| answer.source).collect::<BTreeSet<_>>().len()
}

/// From the first answer that names another hardware address than one shortly before to the last that does, if it is not
/// a single change.
fn quarrel(answers: &[Answer]) -> Duration {
    let changes: Vec<Instant> = answers
        .windows(2)
        .filter(|pair| pair[0].mac != pair[1].mac && pair[1].at.duration_since(pair[0].at) < AT_ONCE)
        .map(|pair| pair[1].at)
        .collect();
    match (changes.first(), changes.last()) {
        (Some(first), Some(last)) => *last - *first,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_is_no_quarrel_and_answers_in_turns_are() {
        let (a, b) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        check(&[(0, a), (20, a), (40, b), (60, b)], 0);
        check(&[(0, a), (20, a), (22, b), (40, a), (42, b), (60, b)], 20);
        // A hand-over back later, after silence.
        check(&[(0, a), (500, b), (1000, a)], 0);
    }

    #[expect(clippy::disallowed_methods, reason = "any moment does")]
    fn check(answers: &[(u64, Mac)], expected: u64) {
        let start = Instant::now();
        let answers: Vec<Answer> = answers
            .iter()
            .map(|&(at, mac)| Answer { at: start + Duration::from_millis(at), mac, source: mac })
            .collect();
        assert_eq!(quarrel(&answers), Duration::from_millis(expected));
    }
}
