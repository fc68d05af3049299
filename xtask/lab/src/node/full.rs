//! Full nodes: containerd, kubelet and kube-proxy, as on any machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::full_config as config;
use crate::control_plane::ApiServer;
use crate::credentials::User;
use crate::host::Host;
use crate::service::{Process, Program};
use crate::{cgroup, clock};

/// Where a node's configuration is, on its host.
pub(crate) const DIR: &str = "/var/lib/node";
const SOCKET: &str = "/run/containerd/containerd.sock";
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts containerd, and gives it the image that holds pods' namespaces open. It needs no API server.
pub(crate) fn start_containerd(host: &Host, lab: &str, pause_image: &Path) -> Result<()> {
    cgroup::create(lab, host.name())?;
    let dir = host.outside(DIR);
    fs::create_dir_all(dir.join("cni"))?;
    fs::write(dir.join("containerd.toml"), config::containerd(DIR, SOCKET))?;
    fs::write(dir.join("cni/10-ptp.conflist"), config::cni(host.plan()).to_string())?;
    let containerd = spawn(host, "containerd", vec![format!("--config={DIR}/containerd.toml")])?;
    let socket = host.outside(SOCKET);
    let ready = clock::poll(PATIENCE, Duration::from_millis(20), || {
        (socket.exists() || !containerd.is_alive()).then(|| containerd.is_alive())
    });
    anyhow::ensure!(
        ready == Some(true),
        "containerd did not start; its log is {}",
        host.log_path("containerd").display()
    );
    load_image(host, pause_image)
}

/// Starts kubelet and kube-proxy.
pub(crate) fn start_kubernetes(host: &Host, lab: &str, api: &ApiServer) -> Result<()> {
    let dir = host.outside(DIR);
    let plan = host.plan();
    api.write_kubeconfig(&dir.join("kubelet.kubeconfig"), &User::node(host.name()))?;
    api.write_kubeconfig(&dir.join("kube-proxy.kubeconfig"), &User::proxy())?;
    let kubelet = config::kubelet(&cgroup::path(lab, host.name()), SOCKET);
    fs::write(dir.join("kubelet.json"), kubelet.to_string())?;
    spawn(host, "kubelet", config::kubelet_arguments(DIR, plan))?;
    spawn(host, "kube-proxy", config::proxy_arguments(DIR, plan))?;
    Ok(())
}

fn spawn(host: &Host, name: &str, arguments: Vec<String>) -> Result<Process> {
    host.spawn(name, &Program::new(std::iter::once(name.to_owned()).chain(arguments)))
}

/// Imports an image archive into a node's containerd.
pub(crate) fn load_image(host: &Host, archive: &Path) -> Result<()> {
    let file = fs::File::open(archive).with_context(|| format!("open {}", archive.display()))?;
    // From standard input: the archive may lie where the host has a folder of its own.
    let mut command =
        host.command(&Program::new(["ctr", "--namespace", "k8s.io", "images", "import", "-"]))?;
    let output = host.enter(|| command.stdin(file).output())?.context("run ctr")?;
    anyhow::ensure!(
        output.status.success(),
        "import {} on {}: {}",
        archive.display(),
        host.name(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
