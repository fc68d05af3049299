//! Cargo, and the workspace that this program was built from.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The target of release binaries: statically linked, so that an image needs nothing else.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Flags for static linking. With an explicit target they don't apply to build scripts and macros, which can't be
/// static.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A cargo command in the workspace, with the lock file as it is.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace());
    // What cargo tells of this program's own package is not to reach other builds: build scripts of some crates take
    // it for a change, and everything that depends on them is built anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
///
/// # Errors
/// When it can't be started, or its status is not 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    ensure!(status.success(), "{} failed: {status}", words(command));
    Ok(())
}

/// The command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Builds the statically linked release binaries of operator and speaker, and returns their folder.
pub(crate) fn release_binaries() -> Result<PathBuf> {
    let mut build = cargo(&[
        "build",
        "--release",
        "--locked",
        "--target",
        TARGET,
        "--bins",
        "--package",
        "ferrolb-operator",
        "--package",
        "ferrolb-speaker",
    ]);
    build.env("CARGO_ENCODED_RUSTFLAGS", STATIC);
    run(&mut build)?;
    Ok(target_dir()?.join(TARGET).join("release"))
}

/// Builds a benchmark's program of a package, and returns its path.
pub(crate) fn bench_program(package: &str, name: &str) -> Result<PathBuf> {
    let mut build = cargo(&["bench", "--locked", "--target", TARGET, "--package", package]);
    build.args(["--bench", name, "--no-run", "--message-format=json-render-diagnostics"]);
    build.env("CARGO_ENCODED_RUSTFLAGS", STATIC).stderr(Stdio::inherit());
    let built = build.output().with_context(|| format!("start {}", words(&build)))?;
    ensure!(built.status.success(), "{} failed: {}", words(&build), built.status);
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .with_context(|| format!("{} told of no program", words(&build)))
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> Result<PathBuf> {
    // This program is TARGET_DIR/PROFILE/xtask.
    let program = std::env::current_exe()?;
    program.ancestors().nth(2).map(Path::to_owned).context("this program is not in cargo's target folder")
}
