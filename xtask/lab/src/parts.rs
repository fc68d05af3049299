//! FerroLB's own parts as processes, for tests that need no images: speakers of bare nodes, and the operator.
//!
//! They run with the rights that the installation manifest gives them, so it must be applied before.

use std::path::Path;

use anyhow::Result;

use crate::lab::Lab;
use crate::plan::CONTROL_PLANE;
use crate::service::{Process, Program};

const NAMESPACE: &str = "ferrolb-system";
/// The operator's binary, process and ServiceAccount.
pub(crate) const OPERATOR: &str = "ferrolb-operator";
/// The speaker's binary, process and ServiceAccount.
pub(crate) const SPEAKER: &str = "ferrolb-speaker";

impl Lab {
    /// Starts `binary` as the speaker of a node, with a token bound to that Node.
    ///
    /// It gets what the DaemonSet gives it, `NODE_NAME`, and a `KUBECONFIG`; it is the host's process
    /// `ferrolb-speaker`, to be killed, frozen and read as any other.
    pub fn start_speaker(&self, node: &str, binary: &Path, arguments: &[&str]) -> Result<Process> {
        let kubeconfig = self.service_account_kubeconfig(NAMESPACE, SPEAKER, Some(node))?;
        let program = program(binary, arguments, &kubeconfig).env("NODE_NAME", node);
        self.host(node)?.spawn(SPEAKER, &program)
    }

    /// Starts `binary` as the operator, on the control plane's host; its process is `ferrolb-operator`.
    pub fn start_operator(&self, binary: &Path, arguments: &[&str]) -> Result<Process> {
        let kubeconfig = self.service_account_kubeconfig(NAMESPACE, OPERATOR, None)?;
        // Its kubeconfig is for whoever runs it, and so lies among the machine's files.
        let program = program(binary, arguments, &kubeconfig).with_machine_files();
        self.host(CONTROL_PLANE)?.spawn(OPERATOR, &program)
    }
}

fn program(binary: &Path, arguments: &[&str], kubeconfig: &Path) -> Program {
    let words = std::iter::once(binary.to_string_lossy()).chain(arguments.iter().map(|&word| word.into()));
    Program::new(words).env("KUBECONFIG", kubeconfig.to_string_lossy())
}
