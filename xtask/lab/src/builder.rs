//! Starting a lab.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::control_plane::{self, ApiServer};
use crate::credentials::User;
use crate::host::Host;
use crate::lab::Lab;
use crate::node::{bare, full};
use crate::parallel::{in_parallel, join};
use crate::plan::{CONTROL_PLANE, HostPlan, Plan, Role};
use crate::process_id::ProcessId;
use crate::programs::DEFAULT_KUBERNETES;
use crate::progress::{Progress, Silent, step};
use crate::store::{State, Store};
use crate::{clock, host, image, lab, packages, programs};

/// How long nodes may take to become Ready; building and installing do not count.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a lab is to be.
///
/// ```no_run
/// use ferrolb_lab::LabBuilder;
///
/// let lab = LabBuilder::new().full_nodes(3).bare_nodes(2).start()?;
/// println!("{}", lab.kubectl(["get", "nodes", "--output=wide"])?);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone)]
pub struct LabBuilder {
    name: Option<String>,
    full: u16,
    bare: u16,
    kubernetes: String,
    keep: bool,
    progress: Arc<dyn Progress>,
}

impl Default for LabBuilder {
    fn default() -> Self {
        let kubernetes = DEFAULT_KUBERNETES.to_owned();
        Self { name: None, full: 0, bare: 0, kubernetes, keep: false, progress: Arc::new(Silent) }
    }
}

impl LabBuilder {
    /// A lab of a control plane and a client.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names it; without a name it gets one that no other lab has.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Nodes `node-1`… with containerd, kubelet and kube-proxy.
    pub fn full_nodes(mut self, count: u16) -> Self {
        self.full = count;
        self
    }

    /// Nodes `bare-1`… with a Node object and a network.
    pub fn bare_nodes(mut self, count: u16) -> Self {
        self.bare = count;
        self
    }

    /// Kubernetes' version, such as `1.36`; one of [`crate::KUBERNETES_VERSIONS`].
    pub fn kubernetes(mut self, version: impl Into<String>) -> Self {
        self.kubernetes = version.into();
        self
    }

    /// Leaves it running when the [`Lab`] is dropped or its process ends.
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Who hears of the steps.
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Starts the lab, and returns when every node is Ready.
    ///
    /// Builds and installs what is missing first, and removes labs whose owner is dead.
    ///
    /// # Errors
    /// If anything does not come up; what was started is then ended.
    pub fn start(&self) -> Result<Lab> {
        let progress = self.progress.as_ref();
        anyhow::ensure!(
            rustix::process::geteuid().is_root(),
            "the lab makes network namespaces: run it as root"
        );
        for gone in lab::remove_abandoned()? {
            progress.note(&format!("removed what a dead process left of lab {gone:?}"));
        }
        packages::ensure(progress)?;
        let version = programs::kubernetes_version(&self.kubernetes)?;
        let programs = programs::ensure(version, progress)?;
        host::ensure_visible(&programs)?;
        image::pause(&programs)?;
        let name = self.name.clone().map_or_else(random_name, Ok)?;
        let store = Store::of(&name)?;
        let state = State {
            id: name,
            owner: ProcessId::current()?,
            // Until it runs it is not worth keeping.
            keep: false,
            ending: false,
            kubernetes: version.to_owned(),
            programs,
            plan: Plan::new(self.full, self.bare)?,
            hosts: BTreeMap::new(),
        };
        store.create(&state)?;
        // From here on, dropping it on an error ends it.
        let lab = Lab::owned(store);
        step(progress, "start the lab", || Start { lab: &lab, state: &state, progress }.run())?;
        if self.keep {
            lab.keep()?;
        }
        Ok(lab)
    }
}

/// One start of a lab.
struct Start<'a> {
    lab: &'a Lab,
    state: &'a State,
    progress: &'a dyn Progress,
}

impl Start<'_> {
    fn run(&self) -> Result<()> {
        let shared = self.lab.shared();
        let plan = &self.state.plan;
        step(self.progress, "lay out the segment", || shared.segment().create(plan))?;
        Host::of(shared, CONTROL_PLANE)?.switch_on()?;
        std::thread::scope(|scope| {
            let api = scope
                .spawn(|| step(self.progress, "start the API server", || control_plane::start_api(shared)));
            let hosts = scope.spawn(|| step(self.progress, "start the hosts", || self.start_hosts()));
            let api = join(api)?;
            let controllers = scope.spawn({
                let api = api.clone();
                move || control_plane::start_controllers(&api)
            });
            let hosts = join(hosts)?;
            step(self.progress, "start the nodes", || self.start_nodes(&api, &hosts))?;
            join(controllers)?;
            step(self.progress, "await the nodes", || await_ready(&api, plan))
        })?;
        self.write_tools()
    }

    /// Starts every host but the control plane's; on full nodes also containerd, which needs no API server.
    fn start_hosts(&self) -> Result<Vec<Host>> {
        let (shared, state) = (self.lab.shared(), self.state);
        let others: Vec<_> = state.plan.hosts.iter().filter(|host| host.role != Role::ControlPlane).collect();
        let start = |plan: &HostPlan| -> Result<Host> {
            let host = Host::of(shared, &plan.name)?;
            host.switch_on()?;
            if plan.role == Role::Full {
                full::start_containerd(&host, &state.id, &image::pause(&state.programs)?)?;
            }
            Ok(host)
        };
        in_parallel(&others, |plan| start(plan))
    }

    fn start_nodes(&self, api: &ApiServer, hosts: &[Host]) -> Result<()> {
        let of_role = |role| hosts.iter().filter(move |host| host.plan().role == role);
        let bare: Vec<_> = of_role(Role::Bare).cloned().collect();
        if !bare.is_empty() {
            bare::start_heartbeats(&self.lab.host(CONTROL_PLANE)?, api, &bare)?;
        }
        let full: Vec<_> = of_role(Role::Full).collect();
        in_parallel(&full, |host| full::start_kubernetes(host, &self.state.id, api))?;
        Ok(())
    }

    /// Writes what people and tests reach the cluster with from outside.
    fn write_tools(&self) -> Result<()> {
        self.lab.api()?.write_kubeconfig(&self.lab.kubeconfig(), &User::admin())?;
        self.lab.write_shims(&self.state.programs)
    }
}

/// Waits until every node of the plan is Ready.
fn await_ready(api: &ApiServer, plan: &Plan) -> Result<()> {
    let wanted: Vec<_> = plan.nodes().map(|node| node.name.as_str()).collect();
    let mut missing = wanted.join(", ");
    let ready = clock::poll(PATIENCE, Duration::from_millis(200), || {
        let nodes = match api.get("/api/v1/nodes") {
            Ok(nodes) => nodes?,
            Err(error) => return Some(Err(error)),
        };
        let ready = match ready_nodes(&nodes) {
            Ok(ready) => ready,
            Err(error) => return Some(Err(error)),
        };
        let absent: Vec<_> =
            wanted.iter().filter(|name| !ready.iter().any(|node| node == *name)).copied().collect();
        missing = absent.join(", ");
        absent.is_empty().then_some(Ok(()))
    });
    ready.with_context(|| format!("not Ready after {} s: {missing}", PATIENCE.as_secs())).flatten()
}

/// The names of the Ready ones in a NodeList.
fn ready_nodes(list: &str) -> Result<Vec<String>> {
    let list: serde_json::Value =
        serde_json::from_str(list).context("read the API server's list of nodes")?;
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ready = |node: &&serde_json::Value| {
        let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    Ok(items
        .iter()
        .filter(is_ready)
        .filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned))
        .collect())
}

fn random_name() -> Result<String> {
    let mut bytes = [0; 3];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_that_say_so_are_ready() {
        let list = r#"{"items": [
            {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            {"metadata": {"name": "c"}, "status": {}}]}"#;
        assert_eq!(ready_nodes(list).unwrap(), ["a"]);
        assert!(ready_nodes("<html>").is_err());
    }
}
