//! Asking until each address is answered by exactly one live node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::Host;
use crate::probe::{Answer, Mac, census};

/// How long it may take until all is settled.
const PATIENCE: Duration = Duration::from_secs(300);

/// All addresses are answered by one live node each.
#[derive(Debug, Clone)]
pub struct Settled {
    /// How long it took, of each address that was not known to be untouched: until it was answered by one live node, and
    /// from then on whenever it was asked for.
    pub after: Vec<Duration>,
    /// Who answers for each address.
    pub owners: BTreeMap<IpAddr, Mac>,
}

impl Settled {
    /// How long it took until the last address was settled.
    pub fn last(&self) -> Duration {
        self.after.iter().max().copied().unwrap_or_default()
    }

    /// How many addresses another node answered for before.
    pub fn moved_since(&self, before: &Self) -> usize {
        self.owners.iter().filter(|(address, mac)| before.owners.get(address) != Some(mac)).count()
    }

    /// The most addresses that one node answers for.
    pub fn most_at_a_node(&self) -> usize {
        let mut counts: BTreeMap<Mac, usize> = BTreeMap::new();
        self.owners.values().for_each(|mac| *counts.entry(*mac).or_default() += 1);
        counts.into_values().max().unwrap_or_default()
    }
}

/// Who asks, for what, and who may answer.
pub(super) struct Question<'a> {
    pub(super) client: Host,
    pub(super) addresses: &'a [IpAddr],
    pub(super) live: BTreeSet<Mac>,
    /// From one question to the next: each is delivered to every node.
    pub(super) pace: Duration,
}

impl Question<'_> {
    /// Asks for the addresses in doubt until each is answered by one live node, and then for all, until that is so of each.
    ///
    /// # Errors
    /// When it is not so within five minutes since `start`.
    pub(super) fn settle(&self, start: Instant, doubtful: Vec<IpAddr>) -> Result<Settled> {
        let mut pending = doubtful;
        let mut settled: BTreeMap<IpAddr, Instant> = BTreeMap::new();
        loop {
            let asked_all = pending.is_empty();
            let asked = if asked_all { self.addresses.to_vec() } else { pending };
            let answers = census(&self.client, &asked, self.pace)?;
            let sole = |address: &IpAddr| self.sole(answers.get(address).map_or(&[], Vec::as_slice));
            pending = asked.iter().copied().filter(|address| sole(address).is_none()).collect();
            for address in &pending {
                settled.remove(address);
            }
            if asked_all && pending.is_empty() {
                let owners =
                    asked.iter().filter_map(|address| Some((*address, sole(address)?.mac))).collect();
                return Ok(Settled { after: settled.values().map(|at| *at - start).collect(), owners });
            }
            if !asked_all {
                settled.extend(asked.iter().filter_map(|address| Some((*address, sole(address)?.at))));
            }
            let first = pending.first().map(|address| (address, answers.get(address)));
            ensure!(
                start.elapsed() < PATIENCE,
                "{} addresses are not answered by one live node each after {PATIENCE:?}: {first:?}",
                pending.len()
            );
        }
    }

    /// The answer, if all are by one live node for itself.
    fn sole<'b>(&self, answers: &'b [Answer]) -> Option<&'b Answer> {
        let first = answers.first()?;
        let is_same = |answer: &Answer| answer.mac == first.mac && answer.source == first.mac;
        (answers.iter().all(is_same) && self.live.contains(&first.mac)).then_some(first)
    }
}
