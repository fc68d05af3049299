//! What a lab has made, on disk: enough to end all of it after its owner has crashed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::cache::beside;
use crate::plan::{HostPlan, Plan};
use crate::process_id::ProcessId;
use crate::service::Program;

/// Small files, gone after a reboot as the processes are.
const RUN: &str = "/run/ferrolb-lab";
/// Images, logs and etcd's data; `/run` is often memory.
const DATA: &str = "/var/lib/ferrolb-lab";
/// The file in a lab's folder below [`RUN`] that makes it a lab.
const STATE: &str = "state.json";

/// A lab as its state file describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The lab's name.
    pub id: String,
    /// The process that started it.
    pub owner: ProcessId,
    /// It outlives its owner.
    pub keep: bool,
    /// Its end has begun: nothing more may start.
    pub ending: bool,
    /// Kubernetes' version, such as `v1.36.3`.
    pub kubernetes: String,
    /// The folder of Kubernetes' programs.
    pub programs: PathBuf,
    /// Hosts and addresses.
    pub plan: Plan,
    /// What runs, by host.
    pub hosts: BTreeMap<String, HostState>,
}

/// What runs on a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostState {
    /// Process 1 of the host's PID namespace; none while it is switched off.
    pub init: Option<ProcessId>,
    /// The link is cut.
    pub cut: bool,
    /// Its long-lived programs, by name.
    pub services: BTreeMap<String, Service>,
}

/// A long-lived program of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// What was started.
    pub program: Program,
    /// The process that was started last; none since its host was switched off.
    pub process: Option<ProcessId>,
}

impl State {
    /// Whether nobody will end this lab any more.
    pub fn is_abandoned(&self) -> bool {
        (self.ending || !self.keep) && !self.owner.is_alive()
    }

    /// The plan of a host; the error names those that exist.
    pub fn host_plan(&self, name: &str) -> Result<&HostPlan> {
        self.plan.host(name).with_context(|| {
            let names: Vec<_> = self.plan.hosts.iter().map(|host| host.name.as_str()).collect();
            format!("lab {:?} has no host {name:?}; it has {}", self.id, names.join(", "))
        })
    }
}

/// The folders and the state file of one lab.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    id: String,
}

impl Store {
    /// The store of the lab `id`, which need not exist.
    pub(crate) fn of(id: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !id.is_empty() && id.len() <= 24 && id.chars().all(fits),
            "{id:?} is no name for a lab: use 1 to 24 of a-z, 0-9 and '-'"
        );
        Ok(Self { id: id.to_owned() })
    }

    /// The ids of all labs on this machine.
    pub(crate) fn ids() -> Vec<String> {
        ids_in(Path::new(RUN))
    }

    /// Creates the lab's folders and state; refuses if a lab of that name exists.
    pub(crate) fn create(&self, state: &State) -> Result<()> {
        fs::create_dir_all(RUN).with_context(|| format!("create {RUN} (the lab needs root)"))?;
        if !create_whole(&self.run_dir(), state)? {
            bail!("lab {:?} exists already: end it with `cargo xtask lab down --name {0}`", self.id);
        }
        fs::create_dir_all(self.data_dir())?;
        Ok(())
    }

    /// Reads the state.
    pub(crate) fn read(&self) -> Result<State> {
        let path = self.state_file();
        let text = fs::read(&path).with_context(|| {
            format!("there is no lab {:?}: start one with `cargo xtask lab up --name {0}`", self.id)
        })?;
        serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
    }

    /// Changes the state, one process at a time.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let lock = File::open(self.run_dir()).with_context(|| format!("lab {:?} is gone", self.id))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let mut state = self.read()?;
        let answer = change(&mut state)?;
        write(&self.state_file(), &state)?;
        Ok(answer)
    }

    /// Removes the lab's folders. Their parents stay: the next lab may be about to start in them.
    pub(crate) fn remove(&self) -> Result<()> {
        // The state goes last: while it is there, somebody will finish this.
        unless_gone(fs::remove_dir_all(self.data_dir()))
            .with_context(|| format!("remove {}", self.data_dir().display()))?;
        unless_gone(remove_whole(&self.run_dir()))
            .with_context(|| format!("remove {}", self.run_dir().display()))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The folder of the state and the kubeconfigs.
    pub(crate) fn run_dir(&self) -> PathBuf {
        Path::new(RUN).join(&self.id)
    }

    /// The folder of everything large.
    pub(crate) fn data_dir(&self) -> PathBuf {
        Path::new(DATA).join(&self.id)
    }

    /// A host's private folder.
    pub(crate) fn host_dir(&self, host: &str) -> PathBuf {
        self.data_dir().join(host)
    }

    /// The network namespace of a host.
    pub(crate) fn netns(&self, host: &str) -> String {
        format!("{}{host}", self.netns_prefix())
    }

    /// What the names of all network namespaces of this lab begin with.
    ///
    /// The dot, which no lab's name holds, keeps lab `a` from taking those of `a-b` for its own.
    pub(crate) fn netns_prefix(&self) -> String {
        format!("flb-{}.", self.id)
    }

    fn state_file(&self) -> PathBuf {
        self.run_dir().join(STATE)
    }
}

/// The labs with a state in `run`, sorted. What a process left that was killed while it created or removed one has
/// a name that none has.
fn ids_in(run: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(run) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut ids: Vec<_> =
        names.filter(|name| Store::of(name).is_ok() && run.join(name).join(STATE).exists()).collect();
    ids.sort();
    ids
}

/// Creates a folder with its state in one step; says no if there is one.
fn create_whole(dir: &Path, state: &State) -> Result<bool> {
    let next = beside(dir);
    fs::create_dir(&next).with_context(|| format!("create {}", next.display()))?;
    write(&next.join(STATE), state)?;
    // This takes the place of an empty folder, which is nobody's lab.
    match fs::rename(&next, dir) {
        Ok(()) => Ok(true),
        Err(error) => {
            fs::remove_dir_all(&next)?;
            let exists = error.kind() == io::ErrorKind::DirectoryNotEmpty;
            if exists { Ok(false) } else { Err(error).with_context(|| format!("create {}", dir.display())) }
        }
    }
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Removes a folder so that nobody sees half of it.
fn remove_whole(dir: &Path) -> io::Result<()> {
    let gone = beside(dir);
    fs::rename(dir, &gone)?;
    fs::remove_dir_all(gone)
}

/// Replaces the file whole, so that a reader never sees half of it.
fn write(path: &Path, state: &State) -> Result<()> {
    let next = path.with_extension("next");
    fs::write(&next, serde_json::to_vec_pretty(state)?)?;
    fs::rename(&next, path).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_from_its_text_unchanged() {
        let state = state();
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&text).unwrap(), state);
    }

    #[test]
    fn a_lab_is_abandoned_when_its_owner_is_dead_and_it_was_not_to_be_kept() {
        let mut state = state();
        assert!(!state.is_abandoned(), "its owner lives");
        state.owner = dead();
        assert!(state.is_abandoned());
        state.keep = true;
        assert!(!state.is_abandoned(), "it was to be kept");
        state.ending = true;
        assert!(state.is_abandoned(), "its end was begun and not finished");
    }

    #[test]
    fn a_name_that_could_leave_the_folder_is_refused() {
        for bad in ["", "..", "a/b", "A", "a.b", "a23456789012345678901234x"] {
            assert!(Store::of(bad).is_err(), "{bad}");
        }
        assert!(Store::of("default").is_ok());
    }

    #[test]
    fn an_unknown_host_is_answered_with_the_known_ones() {
        let error = state().host_plan("node-9").unwrap_err().to_string();
        assert!(error.contains("node-1") && error.contains("client"), "{error}");
    }

    #[test]
    fn a_lab_is_there_with_its_state_or_not_at_all() {
        let run = std::env::temp_dir().join(format!("ferrolb-store-{}", std::process::id()));
        fs::create_dir_all(run.join("empty")).unwrap();
        fs::create_dir_all(run.join(".a.1-0")).unwrap();
        let (a, b) = (run.join("a"), run.join("b"));
        assert!(create_whole(&a, &state()).unwrap() && create_whole(&b, &state()).unwrap());
        assert!(!create_whole(&a, &state()).unwrap(), "it exists");
        assert_eq!(ids_in(&run), ["a", "b"], "a folder without a state is none");
        assert!(create_whole(&run.join("empty"), &state()).unwrap(), "nor in the way of one");
        remove_whole(&a).unwrap();
        assert_eq!(remove_whole(&a).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(ids_in(&run), ["b", "empty"]);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 3, "nothing is left besides");
        fs::remove_dir_all(run).unwrap();
    }

    fn state() -> State {
        State {
            id: "t".into(),
            owner: ProcessId::current().unwrap(),
            keep: false,
            ending: false,
            kubernetes: "v1.36.3".into(),
            programs: "/nowhere".into(),
            plan: Plan::new(1, 1).unwrap(),
            hosts: BTreeMap::from([("node-1".to_owned(), HostState::default())]),
        }
    }

    fn dead() -> ProcessId {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        id
    }
}
