//! The course of each fault: how it strikes, when it is over, and how it is mended.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::fault::Fault;
use super::sight::{Outcome, Sight};
use super::stage::{EXCLUDE, Kind, PATIENCE, SERVICE, Stage};
use crate::plan::CONTROL_PLANE;
use crate::probe::{Mac, Manner, Memory, Suppression};
use crate::{Host, clock, eventually};

/// How long a fault lasts that passes by itself.
const PASSING: Duration = Duration::from_secs(3);
/// How long a pulled cable is out that is put back at once.
const FLAP: Duration = Duration::from_millis(200);
/// Who spoke for an address within this time answers for it.
const RECENT: Duration = Duration::from_millis(300);
/// How long it is watched what comes after a fault is over.
const AFTER: Duration = Duration::from_secs(2);
/// How long a move may take: longer than a Lease lives.
const MOVE: Duration = Duration::from_secs(40);
/// A bridge that a part of the segment is moved to.
const APART: u8 = 9;

impl Stage {
    /// Strikes with a fault, and returns what was seen from shortly before it to shortly after it. Without the API server,
    /// that is stopped before and started after.
    ///
    /// # Errors
    /// When the cluster can't be struck or does not come to rest again; what a client misses is no error.
    pub fn trial(&self, fault: Fault, with_api: bool) -> Result<Outcome> {
        if !self.rests.swap(false, Ordering::Relaxed) {
            self.await_rest()?;
        }
        self.prepare(fault)?;
        let client = self.lab.client()?;
        let mut sight = Sight::open(&client, &self.addresses, (self.kind == Kind::Full).then_some(80))?;
        if !with_api {
            self.lab.api()?.stop()?;
            std::thread::sleep(PASSING);
        }
        let macs = sight.macs()?;
        let owner = self.node_of(*macs.first().context("no address")?)?;
        let struck = self.strike(fault, with_api, &owner, &mut sight, &macs);
        if struck.is_ok() {
            std::thread::sleep(AFTER);
        }
        let outcome = sight.close();
        if !with_api {
            self.lab.api()?.start()?;
        }
        let mended = self.mend(fault, &owner);
        mended?;
        self.rests.store(true, Ordering::Relaxed);
        struck?;
        outcome
    }

    fn prepare(&self, fault: Fault) -> Result<()> {
        match fault {
            Fault::EndpointLost => {
                self.serve_from(&self.lab.nodes()?)?;
                self.patch_policy("Local")?;
                self.await_rest()
            }
            Fault::NodeLostIsolated => {
                self.isolate(true)?;
                // Peers that heard each other once would take each other for dead.
                for node in self.lab.nodes()? {
                    self.stop_speaker(&self.lab.host(&node)?)?;
                    self.ferrolb().start_speaker(&node)?;
                }
                self.await_rest()
            }
            Fault::NodeLost
            | Fault::NodeProxied
            | Fault::NodeSuppressed
            | Fault::LinkCut
            | Fault::LinkFlap
            | Fault::SpeakerKilled
            | Fault::SpeakerFrozen
            | Fault::CrashLoop
            | Fault::CovererKilled
            | Fault::SpeakerRestarted
            | Fault::Upgrade
            | Fault::Excluded
            | Fault::Rebooted
            | Fault::Split => Ok(()),
        }
    }

    /// Strikes, and returns when it is over.
    fn strike(
        &self,
        fault: Fault,
        with_api: bool,
        owner: &Host,
        sight: &mut Sight,
        macs: &[Mac],
    ) -> Result<()> {
        let start = clock::now();
        let moved = |sight: &Sight| await_that(|| sight.answered_by_another(macs, start));
        match fault {
            Fault::NodeLost | Fault::NodeLostIsolated => {
                sight.owner_goes_dark();
                owner.power_off()?;
                moved(sight)
            }
            Fault::NodeProxied | Fault::NodeSuppressed => {
                let manner = if fault == Fault::NodeProxied { Manner::Proxy } else { Manner::Suppression };
                let (host, memory) = (self.lab.host(CONTROL_PLANE)?, self.memory_of(owner, macs));
                sight.owner_goes_dark();
                owner.power_off()?;
                let switch = Suppression::start(&host, manner, memory)?;
                let moved = moved(sight);
                std::thread::sleep(PASSING);
                switch.stop()?;
                moved
            }
            Fault::LinkCut => {
                sight.owner_goes_dark();
                owner.cut_link()?;
                let moved = moved(sight);
                std::thread::sleep(PASSING);
                owner.restore_link()?;
                moved
            }
            Fault::LinkFlap => {
                owner.cut_link()?;
                std::thread::sleep(FLAP);
                owner.restore_link()?;
                std::thread::sleep(PASSING);
                Ok(())
            }
            Fault::SpeakerKilled => {
                self.signal(owner, Signal::KILL)?;
                std::thread::sleep(PASSING);
                if with_api { self.start_speaker(owner) } else { Ok(()) }
            }
            Fault::SpeakerFrozen => {
                self.signal(owner, Signal::STOP)?;
                std::thread::sleep(PASSING);
                self.signal(owner, Signal::CONT)
            }
            Fault::CrashLoop => {
                match self.kind {
                    Kind::Bare => {
                        for _ in 0..4 {
                            self.signal(owner, Signal::KILL)?;
                            self.ferrolb().start_speaker(owner.name())?;
                            std::thread::sleep(Duration::from_millis(700));
                        }
                    }
                    // Its kubelet waits longer each time.
                    Kind::Full => {
                        for _ in 0..3 {
                            eventually(PATIENCE, || self.signal(owner, Signal::KILL))?;
                            self.start_speaker(owner)?;
                        }
                    }
                }
                self.await_rest()
            }
            Fault::CovererKilled => {
                self.signal(owner, Signal::KILL)?;
                let recent = || sight.speakers(clock::now() - RECENT);
                let covered =
                    || !recent().is_empty() && recent().is_disjoint(&macs.iter().copied().collect());
                await_that(covered)?;
                std::thread::sleep(Duration::from_millis(500));
                for coverer in recent() {
                    self.signal(&self.node_of(coverer)?, Signal::KILL)?;
                }
                std::thread::sleep(PASSING);
                if with_api { self.start_missing() } else { Ok(()) }
            }
            Fault::SpeakerRestarted => self.restart_speaker(owner),
            Fault::Upgrade => match self.kind {
                Kind::Full => {
                    self.lab.kubectl([
                        "rollout",
                        "restart",
                        "--namespace=ferrolb-system",
                        "daemonset/ferrolb-speaker",
                    ])?;
                    self.await_rest()
                }
                Kind::Bare => {
                    for node in self.lab.nodes()? {
                        self.restart_speaker(&self.lab.host(&node)?)?;
                        // A kubelet takes longer than a process to have another one ready.
                        self.await_rest()?;
                    }
                    Ok(())
                }
            },
            Fault::Excluded => {
                self.lab.kubectl(["label", "node", owner.name(), &format!("{EXCLUDE}=")])?;
                moved(sight)
            }
            Fault::Rebooted => {
                self.lab.kubectl(["cordon", owner.name()])?;
                // A drain takes longer than this until it comes to DaemonSets.
                std::thread::sleep(Duration::from_secs(1));
                self.stop_speaker(owner)?;
                sight.owner_goes_dark();
                owner.power_off()?;
                moved(sight)
            }
            Fault::EndpointLost => {
                let others = self.lab.nodes()?.into_iter().filter(|node| node != owner.name());
                self.serve_from(&others.collect::<Vec<_>>())?;
                moved(sight)
            }
            Fault::Split => {
                // The client is on the other side.
                let half = self.lab.nodes()?.len() / 2;
                let mut apart = vec![owner.name().to_owned()];
                apart
                    .extend(self.lab.nodes()?.into_iter().filter(|node| node != owner.name()).take(half - 1));
                for node in &apart {
                    self.lab.host(node)?.move_to(APART)?;
                }
                let moved = moved(sight);
                std::thread::sleep(PASSING);
                for node in &apart {
                    self.lab.host(node)?.move_to(0)?;
                }
                std::thread::sleep(PASSING);
                moved
            }
        }
    }

    /// Makes good what a fault left, and waits until the cluster has come to rest.
    fn mend(&self, fault: Fault, owner: &Host) -> Result<()> {
        match fault {
            Fault::NodeLost
            | Fault::NodeProxied
            | Fault::NodeSuppressed
            | Fault::NodeLostIsolated
            | Fault::Rebooted => {
                self.lab.power_on(owner.name())?;
                if fault == Fault::NodeLostIsolated {
                    self.isolate(false)?;
                }
                if fault == Fault::Rebooted {
                    self.lab.kubectl(["uncordon", owner.name()])?;
                }
                if self.kind == Kind::Bare {
                    self.ferrolb().start_speaker(owner.name())?;
                } else {
                    self.await_ready_pod(owner)?;
                }
            }
            Fault::Excluded => {
                self.lab.kubectl(["label", "node", owner.name(), &format!("{EXCLUDE}-")])?;
            }
            Fault::EndpointLost => self.patch_policy("Cluster")?,
            Fault::SpeakerKilled | Fault::CrashLoop if self.kind == Kind::Full => {
                // A kubelet waits longer each time before it starts a pod's container that ended; a new pod's at once.
                self.restart_speaker(owner)?;
            }
            Fault::SpeakerKilled | Fault::CovererKilled | Fault::CrashLoop => self.start_missing()?,
            Fault::LinkCut
            | Fault::LinkFlap
            | Fault::SpeakerFrozen
            | Fault::SpeakerRestarted
            | Fault::Upgrade
            | Fault::Split => {}
        }
        self.await_rest()
    }

    /// What a switch has learnt of the addresses' owner: theirs, and its own.
    fn memory_of(&self, owner: &Host, macs: &[Mac]) -> Memory {
        let mac = macs[0];
        let own = [owner.plan().v4.into(), owner.plan().v6.into(), mac.link_local().into()];
        self.addresses.iter().copied().chain(own).map(|address| (address, mac)).collect()
    }

    fn isolate(&self, isolated: bool) -> Result<()> {
        self.lab.nodes()?.iter().try_for_each(|node| self.lab.host(node)?.isolate(isolated))
    }

    fn patch_policy(&self, policy: &str) -> Result<()> {
        let patch = format!("--patch={{\"spec\": {{\"externalTrafficPolicy\": \"{policy}\"}}}}");
        self.lab.kubectl(["patch", "service", SERVICE, "--type=merge", &patch]).map(drop)
    }

    /// Says that the Service has an endpoint on these nodes.
    fn serve_from(&self, nodes: &[String]) -> Result<()> {
        for (family, address) in [("IPv4", "10.0.0.1"), ("IPv6", "'fd00::1'")] {
            let endpoint = |node: &String| {
                format!(
                    "{{addresses: [{address}], nodeName: {node}, conditions: {{ready: true, serving: true}}}}"
                )
            };
            let endpoints: Vec<_> = nodes.iter().map(endpoint).collect();
            let slice = format!(
                "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: {family}, \
                 metadata: {{name: {SERVICE}-{name}, labels: {{kubernetes.io/service-name: {SERVICE}}}}}, \
                 ports: [{{port: 80}}], endpoints: [{}]}}",
                endpoints.join(", "),
                name = family.to_lowercase(),
            );
            self.lab.kubectl_stdin(["apply", "--filename=-"], &slice)?;
        }
        Ok(())
    }
}

fn await_that(done: impl Fn() -> bool) -> Result<()> {
    let start: Instant = clock::now();
    clock::poll(MOVE, Duration::from_millis(10), || done().then_some(()))
        .with_context(|| format!("no other node answers after {:?}", start.elapsed()))
}
