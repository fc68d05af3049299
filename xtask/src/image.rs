//! Container images of the two binaries, written without an engine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use ferrolb_lab::image::{Entry, Image};

use crate::cargo::{release_binaries, workspace};

#[derive(Args)]
pub(crate) struct ImageArgs {
    /// Folder to write ferrolb-operator.tar and ferrolb-speaker.tar into
    #[arg(long, default_value = "dist")]
    out: PathBuf,
}

/// What was written.
pub(crate) struct Images {
    /// The folder that they are in.
    pub(crate) folder: PathBuf,
    /// The folder of the binaries that they were made from.
    pub(crate) binaries: PathBuf,
    /// The operator's archive.
    pub(crate) operator: PathBuf,
    /// The speaker's archive.
    pub(crate) speaker: PathBuf,
}

#[expect(clippy::print_stdout, reason = "what the command was run for")]
pub(crate) fn run(args: &ImageArgs) -> Result<()> {
    let images = write(&args.out)?;
    println!("{}\n{}", images.operator.display(), images.speaker.display());
    Ok(())
}

/// Builds the release binaries and writes their images into a folder.
pub(crate) fn write(folder: &Path) -> Result<Images> {
    let binaries = release_binaries()?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let make = |name: &str, user: &str| {
        let archive = folder.join(format!("{name}.tar"));
        let image = Image {
            name: installed_image(name)?,
            entrypoint: vec![format!("/{name}")],
            user: user.to_owned(),
            env: Vec::new(),
            entries: vec![Entry::file(name, binaries.join(name), 0o755)],
        };
        image.write(&archive)?;
        Ok::<_, anyhow::Error>(archive)
    };
    Ok(Images {
        folder: folder.to_owned(),
        binaries: binaries.clone(),
        operator: make("ferrolb-operator", "65532:65532")?,
        speaker: make("ferrolb-speaker", "")?,
    })
}

/// The full name of an image, as the installation asks for it.
fn installed_image(name: &str) -> Result<String> {
    let path = workspace().join("deploy/install.yaml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: "))
        .find(|image| image.contains(name))
        .map(str::to_owned)
        .with_context(|| format!("{} has no image named {name}", path.display()))
}
