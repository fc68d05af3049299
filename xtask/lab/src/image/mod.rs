//! Container images, made without an engine.

mod archive;
mod debian;
mod nginx;

use std::path::PathBuf;

use anyhow::Result;

pub use archive::{Entry, Image};
pub use nginx::NGINX_IMAGE;

use crate::cache::{beside, cached};
use crate::progress::{Progress, step};

/// The image that holds a pod's namespaces open; no registry has it.
pub const PAUSE_IMAGE: &str = "ferrolb.io/pause:lab";
/// To be changed whenever the recipe below changes.
const PAUSE_CACHE_NAME: &str = "pause-2.tar";

/// Returns the archive of [`PAUSE_IMAGE`], made from a program that only waits.
pub(crate) fn pause(programs: &std::path::Path) -> Result<PathBuf> {
    let archive = programs.join(PAUSE_CACHE_NAME);
    if !archive.exists() {
        let image = Image {
            name: PAUSE_IMAGE.into(),
            entrypoint: vec!["/pause".into()],
            user: "65535:65535".into(),
            env: Vec::new(),
            entries: vec![Entry::file("pause", programs.join("pause"), 0o755)],
        };
        // Of two labs that start at once each writes a file of its own, and the content is the same.
        let partial = beside(&archive);
        image.write(&partial)?;
        std::fs::rename(partial, &archive)?;
    }
    Ok(archive)
}

/// Returns the archive of [`NGINX_IMAGE`], made from Debian's packages and kept in the cache.
pub fn nginx(progress: &dyn Progress) -> Result<PathBuf> {
    cached(nginx::CACHE_NAME, |path| step(progress, "make the nginx image", || nginx::make(path)))
}
