//! Programs that the lab takes from the distribution.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::{Progress, step};

/// Programs, and the Debian packages that they are in.
const NEEDED: [(&str, &str); 11] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("/usr/lib/cni/host-local", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// Makes sure that everything is there: installs what is missing where that is possible, else names it.
pub(crate) fn ensure(progress: &dyn Progress) -> Result<()> {
    let missing = missing(has_program);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() || !has_program("apt-get") {
        bail!("the lab needs these packages, under their Debian names: {list}");
    }
    progress.note(&format!("installing the packages {list}"));
    step(progress, "install packages", || {
        apt_get(&["update"])?;
        let mut install = vec!["install", "--yes", "--no-install-recommends"];
        install.extend(&missing);
        apt_get(&install)
    })?;
    let still = self::missing(has_program);
    anyhow::ensure!(
        still.is_empty(),
        "apt-get installed {list}, yet programs of {} are missing",
        still.join(" ")
    );
    Ok(())
}

/// The packages of the programs that `has` denies, each once.
fn missing(has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> =
        NEEDED.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Whether a program is where the lab's hosts look for it.
pub(crate) fn has_program(program: &str) -> bool {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().any(|folder| Path::new(folder).join(program).exists())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Packages ask this before they start a daemon; the machine needs none of its own.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()
        .context("run apt-get")?;
    if !output.status.success() {
        bail!("apt-get {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_several_missing_programs_is_named_once() {
        let without_containerd = |program: &str| !program.starts_with("c") && program != "ctr";
        assert_eq!(missing(without_containerd), ["containerd", "curl"]);
        assert!(missing(|_| true).is_empty());
    }
}
