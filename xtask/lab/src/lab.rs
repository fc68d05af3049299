//! A running lab.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::control_plane::ApiServer;
use crate::credentials::write_kubeconfig;
use crate::host::Host;
use crate::namespace;
use crate::node::full;
use crate::plan::{CLIENT, CONTROL_PLANE, Role};
use crate::probe::Mac;
use crate::shared::{Shared, end, stop_starting};
use crate::store::{State, Store};

/// A running lab. Dropping the one that [`crate::LabBuilder::start`] returned ends the lab, unless it is kept.
#[derive(Debug)]
pub struct Lab {
    shared: Arc<Shared>,
    ends_on_drop: std::sync::atomic::AtomicBool,
}

impl Lab {
    pub(crate) fn owned(store: Store) -> Self {
        Self { shared: Arc::new(Shared { store }), ends_on_drop: true.into() }
    }

    /// A lab that runs already, by name; dropping this handle does nothing.
    pub fn attach(name: &str) -> Result<Self> {
        let store = Store::of(name)?;
        store.read()?;
        Ok(Self { shared: Arc::new(Shared { store }), ends_on_drop: false.into() })
    }

    /// The names of all labs of this machine.
    pub fn names() -> Vec<String> {
        Store::ids()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.shared.store.id()
    }

    /// What is on record about it.
    pub fn state(&self) -> Result<State> {
        self.shared.store.read()
    }

    /// Leaves it running when this handle is dropped or its process ends.
    pub fn keep(&self) -> Result<()> {
        self.shared.store.update(|state| {
            state.keep = true;
            Ok(())
        })?;
        self.ends_on_drop.store(false, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }

    /// Ends it: all its processes, namespaces, control groups and files.
    pub fn end(&self) -> Result<()> {
        self.ends_on_drop.store(false, std::sync::atomic::Ordering::SeqCst);
        end(&self.shared.store)
    }

    /// A host, by name.
    pub fn host(&self, name: &str) -> Result<Host> {
        Host::of(&self.shared, name)
    }

    /// The host that is no part of the cluster.
    pub fn client(&self) -> Result<Host> {
        self.host(CLIENT)
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> Result<Vec<String>> {
        Ok(self.state()?.plan.nodes().map(|node| node.name.clone()).collect())
    }

    /// The name of the node whose first link has a hardware address.
    pub fn node_of(&self, mac: Mac) -> Result<String> {
        let plan = self.state()?.plan;
        plan.nodes()
            .find(|node| node.mac() == mac)
            .map(|node| node.name.clone())
            .with_context(|| format!("{mac} is no node's"))
    }

    /// Waits until a workload, such as `daemonset/ferrolb-speaker`, is as its newest revision says.
    pub fn await_rollout(&self, namespace: &str, workload: &str, patience: Duration) -> Result<()> {
        let timeout = format!("--timeout={}s", patience.as_secs());
        self.kubectl(["rollout", "status", "--namespace", namespace, workload, &timeout]).map(drop)
    }

    /// The API server.
    pub fn api(&self) -> Result<ApiServer> {
        ApiServer::of(&self.shared)
    }

    /// Switches a host on that [`Host::power_off`] has switched off; a full node starts as a machine does, a bare
    /// node with nothing on it. Its Node is Ready some seconds later.
    pub fn power_on(&self, name: &str) -> Result<()> {
        let host = self.host(name)?;
        anyhow::ensure!(host.state()?.init.is_none(), "{name} is on already");
        host.switch_on()?;
        if host.plan().role == Role::Full {
            let state = self.state()?;
            full::start_containerd(&host, self.name(), &crate::image::pause(&state.programs)?)?;
            full::start_kubernetes(&host, self.name(), &self.api()?)?;
        }
        Ok(())
    }

    /// Imports an image archive on every full node that is on.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let state = self.state()?;
        let is_on = |name: &str| state.hosts.get(name).is_some_and(|host| host.init.is_some());
        let nodes: Vec<_> = state.plan.of_role(Role::Full).filter(|node| is_on(&node.name)).collect();
        let load = |name: &str| full::load_image(&self.host(name)?, archive);
        std::thread::scope(|scope| {
            let loads: Vec<_> = nodes.iter().map(|node| scope.spawn(|| load(&node.name))).collect();
            loads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// The administrator's kubeconfig; it works on hosts of the segment, not from the machine itself.
    pub fn kubeconfig(&self) -> PathBuf {
        self.shared.store.run_dir().join("kubeconfig")
    }

    /// A kubectl that runs as the administrator in the control plane's network, with the caller's files.
    /// It is to be started on a thread inside that network: see [`Self::kubectl`] and [`Host::run`].
    pub fn kubectl_command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Command> {
        let mut command = Command::new(self.state()?.programs.join("kubectl"));
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Runs kubectl as the administrator, and returns what it printed.
    ///
    /// # Errors
    /// With what it wrote to standard error, if its status is not 0.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        self.kubectl_stdin(arguments, "")
    }

    /// Runs kubectl with that standard input, such as a manifest for `apply --filename=-`.
    pub fn kubectl_stdin<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String> {
        let mut command = self.kubectl_command(arguments)?;
        let output = self.host(CONTROL_PLANE)?.run(|| {
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                // One that ends without reading says why on its own.
                let _ = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output()
        })?;
        let output = output.context("run kubectl")?;
        if !output.status.success() {
            let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
            bail!("kubectl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes a kubeconfig with a real token of a ServiceAccount, and returns its path.
    ///
    /// With a node the token is bound to that Node, as one in a pod of it is, and the file lies on its
    /// host too, under the returned path. The ServiceAccount must exist.
    pub fn service_account_kubeconfig(
        &self,
        namespace: &str,
        account: &str,
        node: Option<&str>,
    ) -> Result<PathBuf> {
        let api = self.api()?;
        let token = api.token(namespace, account, node)?;
        let name = format!("{namespace}.{account}.kubeconfig");
        let write = |path: &Path| write_kubeconfig(path, &api.url(), &api.ca()?, account, &token);
        let Some(node) = node else {
            let path = self.shared.store.run_dir().join(name);
            write(&path)?;
            return Ok(path);
        };
        let path = Path::new(full::DIR).join(name);
        let outside = self.host(node)?.outside(&path.to_string_lossy());
        std::fs::create_dir_all(outside.parent().unwrap_or(Path::new("/")))?;
        write(&outside)?;
        Ok(path)
    }

    /// The folder of programs that work on this lab from outside its network: `kubectl`.
    pub fn shims(&self) -> PathBuf {
        self.shared.store.run_dir().join("bin")
    }

    pub(crate) fn write_shims(&self, programs: &Path) -> Result<()> {
        let netns = namespace::path_of(&self.shared.store.netns(CONTROL_PLANE));
        let kubectl = programs.join("kubectl");
        std::fs::create_dir_all(self.shims())?;
        let shim = self.shims().join("kubectl");
        let text =
            format!("#!/bin/sh\nexec nsenter --net='{}' '{}' \"$@\"\n", netns.display(), kubectl.display());
        std::fs::write(&shim, text)?;
        Ok(std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755))?)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if *self.ends_on_drop.get_mut()
            && let Err(error) = end(&self.shared.store)
        {
            // Its records are still there, and the next lab's start finishes this.
            let _ = writeln!(std::io::stderr(), "could not end lab {:?}: {error:#}", self.name());
        }
    }
}

/// Ends every lab whose owner is dead and that was not to be kept; returns their names.
pub fn remove_abandoned() -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for id in Store::ids() {
        let store = Store::of(&id)?;
        if store.read().is_ok_and(|state| state.is_abandoned()) {
            end(&store).with_context(|| format!("remove lab {id:?}"))?;
            removed.push(id);
        }
    }
    Ok(removed)
}

/// Ends the lab of that name, whatever state it is in.
pub fn remove(name: &str) -> Result<()> {
    end(&Store::of(name)?)
}

/// On SIGINT or SIGTERM, ends every lab that this process started and does not keep, and exits with 128 + the signal.
///
/// To be called once, before the first lab starts.
pub fn end_on_signal() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("handle SIGINT and SIGTERM")?;
    let owner = crate::process_id::ProcessId::current()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        let _until_exit = stop_starting();
        let mut code = 128 + signal;
        for id in Store::ids() {
            let ended = Store::of(&id).and_then(|store| match store.read() {
                Ok(state) if state.owner == owner && !state.keep => end(&store),
                _ => Ok(()),
            });
            if let Err(error) = ended {
                let _ = writeln!(std::io::stderr(), "could not end lab {id:?}: {error:#}");
                code = 1;
            }
        }
        std::process::exit(code);
    })?;
    Ok(())
}
