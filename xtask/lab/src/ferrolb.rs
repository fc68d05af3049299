//! FerroLB on a lab without pods: the operator as a process on the control plane, speakers on bare nodes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::host::Host;
use crate::lab::Lab;
use crate::plan::{CONTROL_PLANE, Role};
use crate::service::{Process, Program};

const NAMESPACE: &str = "ferrolb-system";
const OPERATOR: &str = "ferrolb-operator";
const SPEAKER: &str = "ferrolb-speaker";

/// An installation from the manifest, whose two programs run as processes with the accounts of their pods.
pub struct Ferrolb<'a> {
    lab: &'a Lab,
    binaries: PathBuf,
}

impl<'a> Ferrolb<'a> {
    /// FerroLB on a lab, with the binaries in a folder.
    pub fn new(lab: &'a Lab, binaries: impl Into<PathBuf>) -> Self {
        Self { lab, binaries: binaries.into() }
    }

    /// Applies the manifest but for the Deployment and the DaemonSet; nothing runs yet.
    pub fn install(&self, manifest: &Path) -> Result<()> {
        let manifest =
            std::fs::read_to_string(manifest).with_context(|| format!("read {}", manifest.display()))?;
        self.lab.kubectl_stdin(["apply", "--filename=-"], &without_workloads(&manifest)).map(drop)
    }

    /// Starts the operator, and a speaker on every bare node.
    pub fn start(&self) -> Result<()> {
        self.start_operator()?;
        let plan = self.lab.state()?.plan;
        plan.of_role(Role::Bare).try_for_each(|node| self.start_speaker(&node.name).map(drop))
    }

    /// Starts the operator.
    pub fn start_operator(&self) -> Result<Process> {
        let kubeconfig = self.lab.service_account_kubeconfig(NAMESPACE, OPERATOR, None)?;
        self.spawn(&self.lab.host(CONTROL_PLANE)?, OPERATOR, &kubeconfig, &[])
    }

    /// Starts the speaker of a node, with a token that is bound to the Node.
    pub fn start_speaker(&self, node: &str) -> Result<Process> {
        let kubeconfig = self.lab.service_account_kubeconfig(NAMESPACE, SPEAKER, Some(node))?;
        std::fs::create_dir_all(self.lab.host(node)?.outside("/run/ferrolb"))?;
        self.spawn(&self.lab.host(node)?, SPEAKER, &kubeconfig, &["--node-name", node])
    }

    /// The operator's process.
    pub fn operator(&self) -> Result<Process> {
        self.lab.host(CONTROL_PLANE)?.process(OPERATOR)
    }

    /// The process of a node's speaker.
    pub fn speaker(&self, node: &str) -> Result<Process> {
        self.lab.host(node)?.process(SPEAKER)
    }

    fn spawn(&self, host: &Host, name: &str, kubeconfig: &Path, arguments: &[&str]) -> Result<Process> {
        let binary = self.binaries.join(name);
        let mut command = vec![
            binary.display().to_string(),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--log-format=text".to_owned(),
        ];
        command.extend(arguments.iter().map(|&word| word.to_owned()));
        let program = Program::new(command);
        // A kubeconfig that is bound to no node lies among the machine's files.
        let program = if host.plan().is_node() { program } else { program.with_machine_files() };
        host.spawn(name, &program)
    }
}

/// Leaves out what would become pods, which nobody on a bare node runs.
fn without_workloads(manifest: &str) -> String {
    let is_workload =
        |object: &&str| object.lines().any(|line| matches!(line, "kind: Deployment" | "kind: DaemonSet"));
    manifest.split("\n---\n").filter(|object| !is_workload(object)).collect::<Vec<_>>().join("\n---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_left_out_and_nothing_else() {
        let manifest =
            "kind: Namespace\n---\nkind: Deployment\nspec: {}\n---\nkind: Role\n---\nkind: DaemonSet\n";
        assert_eq!(without_workloads(manifest), "kind: Namespace\n---\nkind: Role");
    }
}
