//! Control groups: a folder a host in every hierarchy, since kubelets that share one delete each other's pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock;

const MOUNT: &str = "/sys/fs/cgroup";
const PARENT: &str = "ferrolb-lab";

/// The path of a host's group, as the kubelet's `cgroupRoot` wants it.
pub(crate) fn path(id: &str, host: &str) -> String {
    format!("/{PARENT}/{id}/{host}")
}

/// Creates the group of a host in every hierarchy (one, where control groups are version 2 only).
pub(crate) fn create(id: &str, host: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let mut dir = hierarchy;
        for part in [PARENT, id, host] {
            let parent = dir.clone();
            pass_on_controllers(&parent);
            dir.push(part);
            if let Err(error) = fs::create_dir(&dir)
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(error).with_context(|| format!("create {}", dir.display()));
            }
            // A new group of version 1's cpuset may use nothing, not even what its parent may.
            if parent.join("cpuset.sched_load_balance").exists() {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(dir.join(file), fs::read(parent.join(file))?)
                        .with_context(|| format!("set {file} of {}", dir.display()))?;
                }
            }
        }
    }
    Ok(())
}

/// In version 2 a group has the controllers that its parent passes on; kubelets miss those that are not.
fn pass_on_controllers(parent: &Path) {
    let available = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        // One that can't be had is for the kubelet to judge.
        let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Removes the groups of a whole lab; its processes may still be on their way out.
pub(crate) fn remove(id: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let parent = hierarchy.join(PARENT);
        let dir = parent.join(id);
        let gone = clock::poll(Duration::from_secs(5), Duration::from_millis(20), || {
            remove_tree(&dir).then_some(())
        });
        gone.with_context(|| format!("{} still has processes", dir.display()))?;
        // Fails while another lab is there.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Removes a group and those below it; false if something holds on.
fn remove_tree(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return !dir.exists() };
    let mut all = true;
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all &= remove_tree(&entry.path());
        }
    }
    all && fs::remove_dir(dir).is_ok()
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
    Ok(parse_hierarchies(&mounts))
}

/// The folders below /sys/fs/cgroup on which control groups are mounted.
fn parse_hierarchies(mounts: &str) -> Vec<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields
        .filter(|f| f.len() > 2 && matches!(f[2], "cgroup" | "cgroup2") && f[1].starts_with(MOUNT))
        .map(|f| PathBuf::from(f[1]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_of_a_hybrid_machine_is_found() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
            proc /proc proc rw 0 0\n";
        let found = parse_hierarchies(mounts);
        assert_eq!(found, ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from));
    }

    #[test]
    fn a_machine_with_version_2_has_one_hierarchy() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        assert_eq!(parse_hierarchies(mounts), [PathBuf::from("/sys/fs/cgroup")]);
    }
}
