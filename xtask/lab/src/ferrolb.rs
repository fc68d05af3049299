//! FerroLB on a lab without pods: operators as processes on the control plane, speakers on bare nodes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::parallel::in_parallel;
use crate::parts::{OPERATOR, SPEAKER};
use crate::plan::{CONTROL_PLANE, Role};
use crate::service::Process;

/// Logs are read by people and by tests.
const LOGS: &str = "--log-format=text";
/// Operators on one host serve their endpoints on ports from here on, by their numbers.
const FIRST_PORT: u16 = 7472;

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
        let nodes: Vec<_> = plan.of_role(Role::Bare).collect();
        in_parallel(&nodes, |node| self.start_speaker(&node.name)).map(drop)
    }

    /// Starts the operator.
    pub fn start_operator(&self) -> Result<Process> {
        self.start_replica(0)
    }

    /// Starts one of several operators, from 0 on; the first is [`Self::start_operator`]'s.
    pub fn start_replica(&self, number: u16) -> Result<Process> {
        self.spawn_replica(number, &[])
    }

    /// Starts an operator of a class of load balancers; its number is one that no other has.
    pub fn start_operator_of(&self, class: &str, number: u16) -> Result<Process> {
        self.spawn_replica(number, &[&format!("--lb-class={class}")])
    }

    fn spawn_replica(&self, number: u16, arguments: &[&str]) -> Result<Process> {
        let endpoints = format!("--metrics-bind-address=[::]:{}", replica_port(number));
        let arguments: Vec<&str> = [LOGS, &endpoints].iter().chain(arguments).copied().collect();
        self.lab.start_operator(&replica_name(number), &self.binaries.join(OPERATOR), &arguments)
    }

    /// Starts the speaker of a node.
    pub fn start_speaker(&self, node: &str) -> Result<Process> {
        // A pod has a volume there.
        std::fs::create_dir_all(self.lab.host(node)?.outside("/run/ferrolb"))?;
        self.lab.start_speaker(node, &self.binaries.join(SPEAKER), &[LOGS])
    }

    /// The operator's process.
    pub fn operator(&self) -> Result<Process> {
        self.replica(0)
    }

    /// The process of one of several operators.
    pub fn replica(&self, number: u16) -> Result<Process> {
        self.lab.host(CONTROL_PLANE)?.process(&replica_name(number))
    }

    /// Which of several operators leads, if the Lease names a holder.
    pub fn leader(&self) -> Result<Option<u16>> {
        let path = "--output=jsonpath={.spec.holderIdentity}";
        let lease = ["get", "lease", OPERATOR, "--namespace=ferrolb-system", "--ignore-not-found", path];
        let identity = self.lab.kubectl(lease)?;
        let Some((name, _)) = identity.rsplit_once('_') else { return Ok(None) };
        let number = (0..u16::MAX - FIRST_PORT).find(|number| replica_name(*number) == name);
        number.map(Some).with_context(|| format!("{identity:?} is no operator of this lab"))
    }

    /// What an operator answers at a path of its endpoints.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub fn ask_replica(&self, number: u16, path: &str) -> Result<String> {
        let url = format!("http://localhost:{}{path}", replica_port(number));
        self.lab.host(CONTROL_PLANE)?.exec_ok([
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "5",
            &url,
        ])
    }

    /// That a node's speaker is ready.
    ///
    /// # Errors
    /// When it is not, or does not answer.
    pub fn ensure_ready(&self, node: &str) -> Result<()> {
        let binary = self.binaries.join(SPEAKER);
        let answer = self.lab.host(node)?.exec([&*binary.to_string_lossy(), "health", "/readyz"])?;
        ensure!(answer.status.success(), "the speaker of {node} is not ready");
        Ok(())
    }

    /// The process of a node's speaker.
    pub fn speaker(&self, node: &str) -> Result<Process> {
        self.lab.host(node)?.process(SPEAKER)
    }
}

fn replica_name(number: u16) -> String {
    if number == 0 { OPERATOR.to_owned() } else { format!("{OPERATOR}-{number}") }
}

fn replica_port(number: u16) -> u16 {
    FIRST_PORT + number
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
