//! Kubernetes' programs, built from the Go module `xtask/controlplane` into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::cached;
use crate::progress::{Progress, step};

/// The patch release that a lab of each minor version runs, oldest first.
pub const KUBERNETES_VERSIONS: [&str; 5] = ["v1.33.13", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2"];
/// The version of a lab that asks for none; the one that `xtask/controlplane/go.mod` pins.
pub const DEFAULT_KUBERNETES: &str = "v1.36.3";

/// The names that the one binary is called by.
const NAMES: [&str; 9] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "heartbeat",
    "signing-key",
];
/// The module's sources, relative to its folder; go.mod and go.sum go with the default version alone.
const SOURCES: [&str; 6] = [
    "main.go",
    "heartbeat/heartbeat.go",
    "heartbeat/netns.go",
    "heartbeat/node.go",
    "pause/main.go",
    "signingkey/signingkey.go",
];

/// Finds the release that `wanted` names: `1.36`, `v1.36` or `v1.36.3`.
pub fn kubernetes_version(wanted: &str) -> Result<&'static str> {
    let wanted = wanted.trim_start_matches('v');
    let found = KUBERNETES_VERSIONS.iter().find(|version| {
        let version = version.trim_start_matches('v');
        version == wanted || version.rsplit_once('.').is_some_and(|(minor, _)| minor == wanted)
    });
    found
        .copied()
        .with_context(|| format!("no Kubernetes {wanted} here; there is {}", KUBERNETES_VERSIONS.join(", ")))
}

/// Returns the folder of the programs of that version, and builds them if they are not cached.
pub(crate) fn ensure(version: &str, progress: &dyn Progress) -> Result<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controlplane");
    let name = format!("kubernetes-{version}-{}", fingerprint(&module)?);
    cached(&name, |dir| {
        progress.note(&format!(
            "building Kubernetes {version} from source, once: five to ten minutes on two cores"
        ));
        step(progress, &format!("build Kubernetes {version}"), || {
            if version == DEFAULT_KUBERNETES {
                return build(&module, version, dir);
            }
            let derived = dir.join("src");
            derive_module(&module, version, &derived)?;
            build(&derived, version, dir)
        })
    })
}

/// Twelve hexadecimal digits that change with the sources.
fn fingerprint(module: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for file in SOURCES.iter().chain(&["go.mod"]) {
        let path = module.join(file);
        hash.update(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
    }
    Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

fn build(module: &Path, version: &str, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let flags = linker_flags(version)?;
    // Both packages in one call, each named after its folder: `controlplane` and `pause`.
    go(
        module,
        &["build", "-trimpath", "-ldflags", &flags, "-o", &format!("{}/", dir.display()), ".", "./pause"],
    )?;
    for name in NAMES {
        std::os::unix::fs::symlink("controlplane", dir.join(name))?;
    }
    Ok(())
}

/// Clients refuse a server without a version, which the linker sets.
fn linker_flags(version: &str) -> Result<String> {
    let mut parts = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else { bail!("{version} is no version") };
    let package = "k8s.io/component-base/version";
    Ok(format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    ))
}

/// Writes the module anew for another version: the same sources, and that version's dependencies.
fn derive_module(module: &Path, version: &str, derived: &Path) -> Result<()> {
    for file in SOURCES {
        let target = derived.join(file);
        fs::create_dir_all(target.parent().unwrap_or(derived))?;
        fs::copy(module.join(file), target)?;
    }
    let described = go(derived, &["mod", "download", "-json", &format!("k8s.io/kubernetes@{version}")])?;
    let described: serde_json::Value = serde_json::from_slice(&described.stdout)?;
    let upstream = described["GoMod"].as_str().context("go mod download names no go.mod")?;
    fs::write(derived.join("go.mod"), derive_go_mod(&fs::read_to_string(upstream)?, version))?;
    go(derived, &["mod", "tidy"])?;
    Ok(())
}

/// The go.mod for a version of Kubernetes, made from Kubernetes' own: what is replaced there by a folder
/// of its repository is replaced here by the published module of the same release.
fn derive_go_mod(upstream: &str, version: &str) -> String {
    let staging = version.replacen("v1.", "v0.", 1);
    let mut text = String::from("module ferrolb.io/controlplane\n\n");
    for line in upstream.lines().filter(|line| line.starts_with("go ")) {
        text += &format!("{line}\n");
    }
    text += &format!("\nrequire k8s.io/kubernetes {version}\n\nreplace (\n");
    for line in upstream.lines() {
        if let Some((module, target)) = line.trim().trim_start_matches("replace ").split_once(" => ")
            && target.starts_with("./staging/")
        {
            text += &format!("\t{module} => {module} {staging}\n");
        }
    }
    text + ")\n"
}

fn go(module: &Path, arguments: &[&str]) -> Result<Output> {
    let output = Command::new("go")
        .args(arguments)
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .output()
        .context("run go: install Go from https://go.dev/dl or your distribution")?;
    if !output.status.success() {
        bail!("go {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_version_names_its_patch_release() {
        for wanted in ["1.36", "v1.36", "1.36.3", "v1.36.3"] {
            assert_eq!(kubernetes_version(wanted).unwrap(), "v1.36.3");
        }
        let error = kubernetes_version("1.32").unwrap_err().to_string();
        assert!(error.contains("v1.33.13"), "{error}");
        assert!(kubernetes_version("1.3").is_err());
    }

    #[test]
    fn staging_folders_become_published_modules() {
        let upstream = "module k8s.io/kubernetes\n\ngo 1.24.0\n\nrequire (\n\tgithub.com/x/y v1.0.0\n)\n\n\
            replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tgithub.com/a => github.com/b v1.0.0\n)\n";
        let expected = "module ferrolb.io/controlplane\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v1.33.13\n\n\
            replace (\n\tk8s.io/api => k8s.io/api v0.33.13\n)\n";
        assert_eq!(derive_go_mod(upstream, "v1.33.13"), expected);
    }

    #[test]
    fn the_committed_module_pins_the_default_version() {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controlplane/go.mod");
        let text = fs::read_to_string(module).unwrap();
        assert!(text.contains(&format!("k8s.io/kubernetes {DEFAULT_KUBERNETES}\n")));
        assert!(KUBERNETES_VERSIONS.contains(&DEFAULT_KUBERNETES));
    }
}
