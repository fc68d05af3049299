//! A cluster that announces a Service.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::plan::Role;
use crate::probe::{Mac, ResolveProbe};
use crate::{Ferrolb, Host, Lab, eventually};

/// How long anything may take to come to rest.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
/// A better candidate may take an address over that was placed less than this ago.
const PLACED: Duration = Duration::from_secs(31);
/// How long a speaker takes at most to be heard by all peers, once it is ready.
const HEARD: Duration = Duration::from_secs(3);
/// The label that leaves a node out of load balancing.
pub(super) const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// The Service, in the namespace default.
pub(super) const SERVICE: &str = "failover";

const POOL: &str = "
apiVersion: ferrolb.io/v1beta1
kind: IPAddressPool
metadata: {name: failover, namespace: ferrolb-system}
spec: {addresses: [192.168.1.240-192.168.1.250, 'fd00:192:168:1::240-fd00:192:168:1::250']}
---
apiVersion: ferrolb.io/v1beta1
kind: L2Advertisement
metadata: {name: failover, namespace: ferrolb-system}
spec: {nodeSelectors: [{matchExpressions: [{key: ferrolb-lab/servers, operator: DoesNotExist}]}]}
";

/// Pods on a node that announces nothing, so that what fails never fails with its server.
const SERVERS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: failover}
spec:
  replicas: 2
  selector: {matchLabels: {app: failover}}
  template:
    metadata: {labels: {app: failover}}
    spec:
      nodeSelector: {ferrolb-lab/servers: ''}
      containers:
        - {name: nginx, image: IMAGE, imagePullPolicy: Never}
";

/// Which nodes a stage has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speakers are processes; nothing serves.
    Bare,
    /// Speakers are pods of the DaemonSet; nginx serves.
    Full,
}

/// A cluster that announces a Service of both families, and has come to rest.
pub struct Stage {
    pub(super) lab: Lab,
    pub(super) kind: Kind,
    binaries: PathBuf,
    pub(super) addresses: Vec<IpAddr>,
    /// Nothing has happened since the cluster came to rest last.
    pub(super) rests: AtomicBool,
}

impl Stage {
    /// FerroLB as processes on bare nodes. Each node has an endpoint of the Service.
    pub fn bare(lab: Lab, binaries: &Path, manifest: &Path) -> Result<Self> {
        let ferrolb = Ferrolb::new(&lab, binaries);
        ferrolb.install(manifest)?;
        ferrolb.start()?;
        let mut stage = Self {
            lab,
            kind: Kind::Bare,
            binaries: binaries.to_owned(),
            addresses: Vec::new(),
            rests: AtomicBool::new(false),
        };
        stage.announce("")?;
        Ok(stage)
    }

    /// FerroLB as pods of the installation, whose images are in a folder, on full nodes; the last node serves, and
    /// announces nothing.
    pub fn full(lab: Lab, images: &Path, manifest: &Path, nginx: &Path) -> Result<Self> {
        for archive in ["ferrolb-operator.tar", "ferrolb-speaker.tar"] {
            lab.load_image(&images.join(archive))?;
        }
        lab.load_image(nginx)?;
        let last = lab.state()?.plan.of_role(Role::Full).last().map(|node| node.name.clone());
        let last = last.context("a stage needs full nodes")?;
        lab.kubectl(["label", "node", &last, "ferrolb-lab/servers="])?;
        lab.kubectl(["apply", "--filename", &manifest.to_string_lossy()])?;
        let mut stage = Self {
            lab,
            kind: Kind::Full,
            binaries: PathBuf::new(),
            addresses: Vec::new(),
            rests: AtomicBool::new(false),
        };
        stage.lab.await_rollout("ferrolb-system", "deployment/ferrolb-operator", PATIENCE)?;
        stage.lab.await_rollout("ferrolb-system", "daemonset/ferrolb-speaker", PATIENCE)?;
        let servers = SERVERS.replace("IMAGE", crate::image::NGINX_IMAGE);
        stage.lab.kubectl_stdin(["apply", "--filename=-"], &servers)?;
        stage.lab.await_rollout("default", "deployment/failover", PATIENCE)?;
        stage.announce("selector: {app: failover}, ")?;
        Ok(stage)
    }

    fn announce(&mut self, selector: &str) -> Result<()> {
        eventually(PATIENCE, || self.lab.kubectl_stdin(["apply", "--filename=-"], POOL))?;
        let service = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {SERVICE}}}, spec: {{type: LoadBalancer, {selector}\
             ipFamilyPolicy: RequireDualStack, ports: [{{port: 80}}]}}}}"
        );
        self.lab.kubectl_stdin(["apply", "--filename=-"], &service)?;
        let path = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
        self.addresses = eventually(PATIENCE, || {
            let texts = self.lab.kubectl(["get", "service", SERVICE, path])?;
            let addresses: Vec<IpAddr> =
                texts.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
            ensure!(addresses.len() == 2, "Service {SERVICE} has the addresses {texts:?}");
            Ok(addresses)
        })?;
        std::thread::sleep(PLACED);
        self.await_rest()?;
        self.rests.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether nothing has happened since the cluster came to rest last: not after a trial whose fault could not be made
    /// good.
    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// The cluster.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    pub(super) fn ferrolb(&self) -> Ferrolb<'_> {
        Ferrolb::new(&self.lab, &self.binaries)
    }

    /// The node with a hardware address.
    pub(super) fn node_of(&self, mac: Mac) -> Result<Host> {
        self.lab.host(&self.lab.node_of(mac)?)
    }

    /// Waits until all speakers are ready and have heard each other, and one node answers for all addresses.
    pub(super) fn await_rest(&self) -> Result<()> {
        match self.kind {
            Kind::Full => self.lab.await_rollout("ferrolb-system", "daemonset/ferrolb-speaker", PATIENCE)?,
            Kind::Bare => {
                for node in self.lab.nodes()? {
                    eventually(PATIENCE, || self.ferrolb().ensure_ready(&node))?;
                }
            }
        }
        std::thread::sleep(HEARD);
        let owners = eventually(PATIENCE, || self.sole_owners())?;
        if owners.iter().any(|owner| *owner != owners[0]) { self.unite(owners[0]) } else { Ok(()) }
    }

    /// Has one node own all addresses: after a split each may be at another.
    fn unite(&self, owner: Mac) -> Result<()> {
        let owner = self.node_of(owner)?;
        let others: Vec<_> = self.lab.nodes()?.into_iter().filter(|node| node != owner.name()).collect();
        for node in &others {
            self.lab.kubectl(["label", "node", node, &format!("{EXCLUDE}=")])?;
        }
        let united = eventually(PATIENCE, || self.sole_owner());
        for node in &others {
            self.lab.kubectl(["label", "node", node, &format!("{EXCLUDE}-")])?;
        }
        // They are candidates again, and others know it.
        std::thread::sleep(HEARD);
        united.map(drop)
    }

    /// The node that alone answers for all addresses.
    pub(super) fn sole_owner(&self) -> Result<Mac> {
        let owners = self.sole_owners()?;
        let owner = owners.first().copied().context("no address")?;
        ensure!(
            owners.iter().all(|other| *other == owner),
            "{:?} are answered by {owners:?}",
            self.addresses
        );
        Ok(owner)
    }

    /// For each address the node that alone answers for it, for half a second.
    fn sole_owners(&self) -> Result<Vec<Mac>> {
        let client = self.lab.client()?;
        let start = |&address: &IpAddr| ResolveProbe::start(&client, address);
        let probes = self.addresses.iter().map(start).collect::<Result<Vec<_>>>()?;
        std::thread::sleep(Duration::from_millis(500));
        let sole = |probe: ResolveProbe| {
            let heard = probe.stop()?.answers;
            ensure!(heard.len() > 10, "{} of 25 questions were answered", heard.len());
            ensure!(heard.iter().all(|answer| answer.mac == answer.source), "a speaker is covered for");
            let macs: BTreeSet<Mac> = heard.iter().map(|answer| answer.mac).collect();
            ensure!(macs.len() == 1, "an address is answered by {macs:?}");
            macs.first().copied().context("no answer")
        };
        probes.into_iter().map(sole).collect()
    }
}
