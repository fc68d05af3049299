//! Image archives in the format of `docker save`: a configuration, one layer, a manifest.
//!
//! The same entries give the same bytes, whenever and wherever they are written.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::cache::beside;

/// What to make an image of.
#[derive(Debug, Clone)]
pub struct Image {
    /// The full name with registry and tag, such as `ferrolb.io/ferrolb-speaker:v1.0.0`.
    pub name: String,
    /// Program and arguments.
    pub entrypoint: Vec<String>,
    /// `uid:gid`; empty for root.
    pub user: String,
    /// `NAME=value` each.
    pub env: Vec<String>,
    /// What the file system holds.
    pub entries: Vec<Entry>,
}

/// A part of an image's file system; owned by root.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where in the image, without a leading slash.
    path: PathBuf,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    File { source: PathBuf, mode: u32 },
    Text { text: String },
    Directory { mode: u32 },
    Link { target: PathBuf },
    Tree { source: PathBuf },
}

impl Entry {
    /// A copy of the file `source`.
    pub fn file(path: impl Into<PathBuf>, source: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), what: What::File { source: source.into(), mode } }
    }

    /// A file, readable by all, with that content.
    pub fn text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), what: What::Text { text: text.into() } }
    }

    /// An empty folder.
    pub fn directory(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), what: What::Directory { mode } }
    }

    /// A symbolic link.
    pub fn link(path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), what: What::Link { target: target.into() } }
    }

    /// Everything below the folder `source`, with its modes.
    pub fn tree(path: impl Into<PathBuf>, source: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), what: What::Tree { source: source.into() } }
    }
}

impl Image {
    /// Writes the archive.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.try_write(path).with_context(|| format!("write image {} to {}", self.name, path.display()))
    }

    fn try_write(&self, path: &Path) -> Result<()> {
        // The layer's digest comes before it in the archive, so it waits in a file of its own.
        let layer_path = beside(path);
        let mut layer = Hashing { inner: File::create_new(&layer_path)?, hash: Sha256::new() };
        // It has a descriptor from here on, and needs no name.
        let reader = File::open(&layer_path);
        fs::remove_file(&layer_path)?;
        let mut reader = reader?;
        let mut builder = tar::Builder::new(&mut layer);
        for entry in &self.entries {
            append(&mut builder, &entry.path, &entry.what)?;
        }
        builder.finish()?;
        drop(builder);
        let layer_digest = hex(&layer.hash.finalize());

        let config = self.config(&layer_digest)?;
        let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
        let layer_name = format!("{layer_digest}/layer.tar");
        let manifest = serde_json::to_vec(
            &json!([{"Config": config_name, "RepoTags": [self.name], "Layers": [layer_name]}]),
        )?;

        let mut archive = tar::Builder::new(io::BufWriter::new(File::create(path)?));
        append_bytes(&mut archive, Path::new(&config_name), &config, 0o644)?;
        let size = reader.seek(io::SeekFrom::End(0))?;
        reader.rewind()?;
        let mut header = header(tar::EntryType::Regular, 0o644, size);
        archive.append_data(&mut header, layer_name, &mut reader)?;
        append_bytes(&mut archive, Path::new("manifest.json"), &manifest, 0o644)?;
        archive.into_inner()?.flush()?;
        Ok(())
    }

    /// The image configuration (OCI image-spec, config.md).
    fn config(&self, layer_digest: &str) -> Result<Vec<u8>> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "Env": self.env},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        });
        Ok(serde_json::to_vec(&config)?)
    }
}

fn append<W: Write>(builder: &mut tar::Builder<W>, path: &Path, what: &What) -> Result<()> {
    match what {
        What::Text { text } => append_bytes(builder, path, text.as_bytes(), 0o644),
        What::File { source, mode } => {
            let mut file = File::open(source).with_context(|| format!("open {}", source.display()))?;
            let mut header = header(tar::EntryType::Regular, *mode, file.metadata()?.len());
            Ok(builder.append_data(&mut header, path, &mut file as &mut dyn Read)?)
        }
        What::Directory { mode } => {
            let mut header = header(tar::EntryType::Directory, *mode, 0);
            Ok(builder.append_data(&mut header, path, io::empty())?)
        }
        What::Link { target } => {
            let mut header = header(tar::EntryType::Symlink, 0o777, 0);
            Ok(builder.append_link(&mut header, path, target)?)
        }
        What::Tree { source } => append_tree(builder, path, source),
    }
}

fn append_tree<W: Write>(builder: &mut tar::Builder<W>, path: &Path, source: &Path) -> Result<()> {
    let mut children = fs::read_dir(source)
        .with_context(|| format!("read {}", source.display()))?
        .collect::<io::Result<Vec<_>>>()?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let (inner, from, kind) = (path.join(child.file_name()), child.path(), child.file_type()?);
        let mode = child.metadata()?.permissions().mode() & 0o7777;
        if kind.is_dir() {
            append(builder, &inner, &What::Directory { mode })?;
            append_tree(builder, &inner, &from)?;
        } else if kind.is_symlink() {
            append(builder, &inner, &What::Link { target: fs::read_link(&from)? })?;
        } else {
            append(builder, &inner, &What::File { source: from, mode })?;
        }
    }
    Ok(())
}

fn append_bytes<W: Write>(builder: &mut tar::Builder<W>, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut header = header(tar::EntryType::Regular, mode, bytes.len() as u64);
    Ok(builder.append_data(&mut header, path, bytes)?)
}

/// A header without a time or an owner, which would make the digest differ.
fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A writer that hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
