//! Long-lived programs of hosts.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::host::{Host, SpawnInBackground as _, bury_in_time};
use crate::process_id::ProcessId;
use crate::store::Service;

/// What to run, with which environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Additions to the environment.
    pub env: BTreeMap<String, String>,
    /// It sees the machine's files where others see the host's own (`/run`, `/var/lib`, `/var/log`, `/proc`).
    pub machine_files: bool,
}

impl Program {
    /// A program and its arguments, in the lab's environment.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self { command, env: BTreeMap::new(), machine_files: false }
    }

    /// Adds to the environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Lets it see the machine's files.
    pub(crate) fn with_machine_files(mut self) -> Self {
        self.machine_files = true;
        self
    }
}

/// A long-lived program on a host. It ends with its host, not with this handle.
#[derive(Debug, Clone)]
pub struct Process {
    host: Host,
    name: String,
    id: ProcessId,
}

impl Process {
    pub(crate) fn spawn(host: &Host, name: &str, program: &Program) -> Result<Self> {
        let before = host.state()?.services.get(name).and_then(|service| service.process);
        if before.is_some_and(ProcessId::is_alive) {
            bail!("{name} runs already on {}", host.name());
        }
        let path = host.log_path(name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        let mut command = host.command(program)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = host
            .enter(|| command.spawn_in_background())?
            .with_context(|| format!("start {name} on {}", host.name()))?;
        let id = ProcessId::of(child.id())?;
        bury_in_time(child)?;
        let service = Service { program: program.clone(), process: Some(id) };
        host.update(|state| {
            state.services.insert(name.to_owned(), service);
            Ok(())
        })?;
        Ok(Self { host: host.clone(), name: name.to_owned(), id })
    }

    pub(crate) fn find(host: &Host, name: &str) -> Result<Self> {
        let services = host.state()?.services;
        let known = || services.keys().cloned().collect::<Vec<_>>().join(", ");
        let service = services.get(name).with_context(|| {
            format!("nothing called {name:?} was started on {}: there is {}", host.name(), known())
        })?;
        let id = service.process.with_context(|| format!("{name} does not run on {}", host.name()))?;
        Ok(Self { host: host.clone(), name: name.to_owned(), id })
    }

    /// Starts again, with the same command, what was started under that name and has ended.
    pub(crate) fn restart(host: &Host, name: &str) -> Result<Self> {
        let service = host.state()?.services.remove(name);
        let service = service.with_context(|| format!("{name} was never started on {}", host.name()))?;
        Self::spawn(host, name, &service.program)
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process, as the machine counts.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.id.is_alive()
    }

    /// Its output so far, that of earlier processes of this name included.
    pub fn log(&self) -> Result<String> {
        let path = self.host.log_path(&self.name);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends it at once (SIGKILL), and returns when it is gone.
    pub fn kill(&self) -> Result<()> {
        self.id.kill()
    }

    /// Asks it to end (SIGTERM), and returns whether it did so in time.
    pub fn terminate(&self, patience: Duration) -> Result<bool> {
        self.id.signal(Signal::TERM)?;
        self.id.wait_gone(patience)
    }

    /// Stops it from running, without ending it (SIGSTOP).
    pub fn freeze(&self) -> Result<()> {
        self.id.signal(Signal::STOP)
    }

    /// Lets a frozen one run on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.id.signal(Signal::CONT)
    }

    /// Waits until it has ended by itself; false if it still runs after `patience`.
    pub fn wait_gone(&self, patience: Duration) -> Result<bool> {
        self.id.wait_gone(patience)
    }
}
