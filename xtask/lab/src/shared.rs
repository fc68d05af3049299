//! What the handles of one lab have in common, and how a lab ends.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::process_id::ProcessId;
use crate::segment::Segment;
use crate::store::Store;
use crate::{cgroup, namespace};

/// A lab as its handles see it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
}

impl Shared {
    pub(crate) fn segment(&self) -> Segment {
        Segment::of(&self.store)
    }
}

/// Held for reading while a host starts, until its process 1 is on record, and for writing by the one
/// who ends all labs of this process: so that no host starts behind its back.
static STARTING: RwLock<()> = RwLock::new(());

/// Permission to start a host.
pub(crate) fn starting() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, until the answer is dropped, no host starts.
pub(crate) fn stop_starting() -> RwLockWriteGuard<'static, ()> {
    STARTING.write().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a lab by its records. Repeating it is harmless, so an end that was cut short can be finished.
pub(crate) fn end(store: &Store) -> Result<()> {
    // Without a readable state there are still the names of its namespaces and folders to go by.
    let recorded = store.update(|state| {
        state.ending = true;
        Ok(state.hosts.values().filter_map(|host| host.init).collect::<Vec<_>>())
    });
    let mut processes = recorded.unwrap_or_default();
    for process in &processes {
        process.signal(Signal::KILL)?;
    }
    let netns: Vec<_> =
        namespace::names().into_iter().filter(|name| name.starts_with(&store.netns_prefix())).collect();
    // What started and was not yet on record when the owner died.
    for process in namespace::processes_in(&netns) {
        process.signal(Signal::KILL)?;
        processes.push(process);
    }
    for process in processes {
        gone(process)?;
    }
    namespace::remove(&netns)?;
    cgroup::remove(store.id())?;
    store.remove()
}

fn gone(process: ProcessId) -> Result<()> {
    process
        .wait_gone(Duration::from_secs(10))?
        .then_some(())
        .with_context(|| format!("process {} survived SIGKILL for 10 s", process.pid()))
}
