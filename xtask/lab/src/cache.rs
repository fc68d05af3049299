//! What is costly to make and the same for every lab: kept outside the tree.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// `$FERROLB_CACHE`, else `$XDG_CACHE_HOME/ferrolb`, else `~/.cache/ferrolb`.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("FERROLB_CACHE") {
        return Ok(dir.into());
    }
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir).join("ferrolb"));
    }
    let home = std::env::var_os("HOME")
        .context("set HOME, XDG_CACHE_HOME or FERROLB_CACHE to a folder to cache in")?;
    Ok(PathBuf::from(home).join(".cache/ferrolb"))
}

/// Returns `<cache>/<name>`, which `make` fills if it is missing.
///
/// `make` gets a path to create (a file or a folder) that becomes visible under its name only when it is whole;
/// of two processes that want the same, one makes it and the other waits.
pub(crate) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let dir = cache_dir()?;
    let target = dir.join(name);
    if target.exists() {
        return Ok(target);
    }
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let lock = File::create(dir.join(format!("{name}.lock")))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if target.exists() {
        return Ok(target);
    }
    let partial = dir.join(format!("{name}.partial"));
    remove(&partial)?;
    make(&partial)?;
    fs::rename(&partial, &target).with_context(|| format!("create {}", target.display()))?;
    Ok(target)
}

/// A path in the same folder that nobody else writes to: no other process, and no other thread of this one.
pub(crate) fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!(".{name}.{process}-{count}"))
}

fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
