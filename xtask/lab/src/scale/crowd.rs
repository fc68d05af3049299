//! A cluster of many bare nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::settle::{Question, Settled};
use crate::parallel::in_parallel;
use crate::parts::SPEAKER;
use crate::probe::Mac;
use crate::{Ferrolb, Host, Lab, Planted, Process, clock, eventually};

/// How long a speaker may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(180);
/// What is asked is delivered to every node, at most 10 000 times a second.
const DELIVERY: Duration = Duration::from_micros(100);
/// Of how many nodes one is lost.
const PARTS: usize = 10;

const POOL: &str = "
apiVersion: ferrolb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: ferrolb-system}
spec: {addresses: [10.64.0.0/16, 'fd00:64::/112']}
";
/// Addresses that are advertised at one moment.
const WAVE: usize = 100;
/// The label that says in which wave a Service is.
const LABEL: &str = "ferrolb-lab/wave";

/// Bare nodes, and Services with an address each, which are planted: IPv4 and IPv6 in turn.
pub struct Crowd {
    lab: Lab,
    binaries: PathBuf,
    addresses: Vec<IpAddr>,
}

impl Crowd {
    /// Installs FerroLB on a lab, and plants Services, at most 20 000. Nothing runs yet.
    pub fn gather(lab: Lab, binaries: &Path, manifest: &Path, services: u32) -> Result<Self> {
        let ferrolb = Ferrolb::new(&lab, binaries);
        ferrolb.install(manifest)?;
        eventually(PATIENCE, || lab.kubectl_stdin(["apply", "--filename=-"], POOL))?;
        let addresses: Vec<IpAddr> = (1..=services).map(address).collect();
        let server = lab.nodes()?.first().cloned().context("a crowd needs nodes")?;
        let objects = (1..).zip(&addresses).flat_map(|(number, &address)| {
            let name = format!("service-{number}");
            [
                Planted::served(&name, number, address).label(LABEL, &wave_of(number).to_string()),
                Planted::endpoints(&name, number, &server, address),
            ]
        });
        lab.plant(&objects.collect::<Vec<_>>())?;
        Ok(Self { lab, binaries: binaries.to_owned(), addresses })
    }

    /// The cluster.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The speakers of all nodes that are on.
    pub fn speakers(&self) -> Result<Vec<Process>> {
        self.live()?.iter().map(|host| self.ferrolb().speaker(host.name())).collect()
    }

    /// Starts the operator and all speakers, which have nothing to announce yet.
    pub fn start(&self) -> Result<()> {
        self.ferrolb().start()?;
        self.await_ready(&self.live()?)
    }

    /// Lets all nodes announce the addresses, a hundred after the other: where all speakers share a few processors, they
    /// can't place thousands at one moment, and take each other for silent.
    pub fn advertise(&self) -> Result<Settled> {
        let mut all = Settled { after: Vec::new(), owners: BTreeMap::new() };
        for (wave, addresses) in self.addresses.chunks(WAVE).enumerate() {
            let advertisement = format!(
                "{{apiVersion: ferrolb.io/v1beta1, kind: L2Advertisement, \
                 metadata: {{name: wave-{wave}, namespace: ferrolb-system}}, \
                 spec: {{serviceSelectors: [{{matchLabels: {{{LABEL}: '{wave}'}}}}]}}}}"
            );
            let start = clock::now();
            self.lab.kubectl_stdin(["apply", "--filename=-"], &advertisement)?;
            let settled = self.question(addresses)?.settle(start, addresses.to_vec())?;
            all.after.extend(settled.after);
            all.owners.extend(settled.owners);
        }
        Ok(all)
    }

    /// Asks for all addresses, until each is answered by one live node.
    pub fn settle(&self) -> Result<Settled> {
        self.settle_since(clock::now(), self.addresses.clone())
    }

    /// Switches a tenth of the nodes off at once; they stay off. `before` tells what they own.
    pub fn lose_a_tenth(&self, before: &Settled) -> Result<Settled> {
        let live = self.live()?;
        let lost: Vec<_> = live.iter().step_by(PARTS).collect();
        let gone: BTreeSet<Mac> = lost.iter().map(|host| host.plan().mac()).collect();
        let owned = before.owners.iter().filter(|(_, mac)| gone.contains(mac));
        let owned = owned.map(|(address, _)| *address).collect();
        let start = clock::now();
        in_parallel(&lost, |host| host.power_off())?;
        self.settle_since(start, owned)
    }

    /// Restarts all speakers, one after the other, as the DaemonSet's rollout does.
    pub fn restart(&self) -> Result<Settled> {
        let start = clock::now();
        for host in self.live()? {
            let stopped = self.ferrolb().speaker(host.name())?.terminate(PATIENCE)?;
            ensure!(stopped, "the speaker of {} did not stop", host.name());
            // With the token that it has: new ones are no part of a rollout.
            Process::restart(&host, SPEAKER)?;
            self.await_ready(&[host])?;
        }
        self.settle_since(start, self.addresses.clone())
    }

    /// Stops the operator and all speakers.
    pub fn stop(&self) -> Result<()> {
        let stop = |process: &Process| {
            let stopped = process.terminate(PATIENCE)?;
            ensure!(stopped, "{} did not stop", process.name());
            Ok(())
        };
        stop(&self.ferrolb().operator()?)?;
        in_parallel(&self.speakers()?, stop).map(drop)
    }

    fn ferrolb(&self) -> Ferrolb<'_> {
        Ferrolb::new(&self.lab, &self.binaries)
    }

    /// The nodes that are on.
    fn live(&self) -> Result<Vec<Host>> {
        let state = self.lab.state()?;
        let is_on = |name: &String| state.hosts.get(name).is_some_and(|host| host.init.is_some());
        self.lab.nodes()?.iter().filter(|name| is_on(name)).map(|name| self.lab.host(name)).collect()
    }

    fn await_ready(&self, nodes: &[Host]) -> Result<()> {
        let ready = |host: &Host| eventually(PATIENCE, || self.ferrolb().ensure_ready(host.name()));
        in_parallel(nodes, ready).map(drop)
    }

    fn settle_since(&self, start: Instant, doubtful: Vec<IpAddr>) -> Result<Settled> {
        self.question(&self.addresses)?.settle(start, doubtful)
    }

    fn question<'a>(&self, addresses: &'a [IpAddr]) -> Result<Question<'a>> {
        let live = self.live()?;
        Ok(Question {
            client: self.lab.client()?,
            addresses,
            live: live.iter().map(|host| host.plan().mac()).collect(),
            pace: DELIVERY * u32::try_from(live.len())?,
        })
    }
}

fn wave_of(number: u32) -> usize {
    (number as usize - 1) / WAVE
}

/// The address of a Service by its number.
fn address(number: u32) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv6Addr::from_bits(Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 0).to_bits() + u128::from(number))
            .into()
    } else {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 64, 0, 0).to_bits() + number).into()
    }
}
