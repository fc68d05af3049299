//! Static checks.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, run, workspace};

/// The version of cargo-deny that is installed when none is cached.
const CARGO_DENY: &str = "0.20.2";

/// A check and its name.
pub(crate) type Check = (&'static str, fn() -> Result<()>);

/// All checks, quick ones first.
pub(crate) const ALL: [Check; 5] = [
    ("rustfmt", || run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("gofmt", gofmt),
    ("clippy", || {
        run(&mut cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    }),
    ("rustdoc", rustdoc),
    ("cargo-deny", deny),
];

fn gofmt() -> Result<()> {
    let folder = workspace().join("xtask/controlplane");
    let output = Command::new("gofmt")
        .arg("-l")
        .arg(".")
        .current_dir(folder)
        .output()
        .context("start gofmt: install Go 1.26 or newer")?;
    let files = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && files.is_empty(), "run gofmt -w on: {}", files.trim());
    Ok(())
}

fn rustdoc() -> Result<()> {
    let mut doc = cargo(&["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Bans, licences and sources; advisories need a database from the network and have a command of their own.
fn deny() -> Result<()> {
    let cargo_deny = cargo_deny()?;
    let mut check = Command::new(cargo_deny);
    check.args(["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    run(check.current_dir(workspace()))
}

/// Installs cargo-deny into the cache unless it is there, and returns its path.
fn cargo_deny() -> Result<PathBuf> {
    let root = ferrolb_lab::cache_dir()?.join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo(&["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]);
        run(install.arg(&root))?;
    }
    Ok(program)
}
