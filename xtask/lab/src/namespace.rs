//! Linux namespaces: entering them, and naming network namespaces.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process_id::ProcessId;

/// Where `ip netns` keeps names.
const NAMES: &str = "/run/netns";

/// The path of a named network namespace.
pub(crate) fn path_of(name: &str) -> PathBuf {
    Path::new(NAMES).join(name)
}

/// Whether a network namespace has that name.
pub(crate) fn exists(name: &str) -> bool {
    path_of(name).exists()
}

/// The names of all network namespaces.
pub(crate) fn names() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(NAMES) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Runs `work` on a thread that has entered the namespaces of these kinds and paths; the caller stays where it is.
///
/// A network namespace applies to the thread itself, a PID namespace to the processes that it starts.
pub(crate) fn within<T: Send>(
    namespaces: &[(LinkNameSpaceType, PathBuf)],
    work: impl FnOnce() -> T + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            for (kind, path) in namespaces {
                let namespace =
                    File::open(path).with_context(|| format!("open namespace {}", path.display()))?;
                move_into_link_name_space(namespace.as_fd(), Some(*kind))
                    .with_context(|| format!("enter namespace {}", path.display()))?;
            }
            Ok(work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `work` on a thread inside a named network namespace.
pub(crate) fn within_net<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    within(&[(LinkNameSpaceType::Network, path_of(name))], work)
}

/// Runs `ip` with lines of a batch, inside the named namespace or, without one, where the caller is.
pub(crate) fn ip_batch(netns: Option<&str>, lines: &[String]) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("run ip (package iproute2)")?;
    let mut script = lines.join("\n");
    script.push('\n');
    child.stdin.take().context("no pipe to ip")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ip in {}: {}", netns.unwrap_or("the host"), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Removes named network namespaces; that one is gone already is no error.
pub(crate) fn remove(names: &[String]) -> Result<()> {
    for name in names {
        let removed = ip_batch(None, &[format!("netns del {name}")]);
        if exists(name) {
            removed?;
        }
    }
    Ok(())
}

/// The processes whose network namespace is one of the named ones.
pub(crate) fn processes_in(names: &[String]) -> Vec<ProcessId> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let wanted: Vec<_> = names.iter().filter_map(|name| identity(&path_of(name))).collect();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            wanted.contains(&identity(&entry.path().join("ns/net"))?).then(|| ProcessId::of(pid).ok())?
        })
        .collect()
}
