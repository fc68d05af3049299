//! FerroLB's own parts as processes, for tests that need no images: speakers of bare nodes, and the operator.
//!
//! They run with the rights that the installation manifest gives them, so it must be applied before.

use std::path::Path;

use anyhow::Result;

use crate::lab::Lab;
use crate::plan::CONTROL_PLANE;
use crate::service::{Process, Program};

const NAMESPACE: &str = "ferrolb-system";
/// The operator's binary and ServiceAccount, and the process of the first.
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

    /// Starts `binary` as an operator, on the control plane's host, under a name that is its process's and, as a
    /// pod's would be, its own.
    pub fn start_operator(&self, name: &str, binary: &Path, arguments: &[&str]) -> Result<Process> {
        let kubeconfig = self.service_account_kubeconfig(NAMESPACE, OPERATOR, None)?;
        // Its kubeconfig is for whoever runs it, and so lies among the machine's files.
        let program = program(binary, arguments, &kubeconfig).env("HOSTNAME", name).with_machine_files();
        self.host(CONTROL_PLANE)?.spawn(name, &program)
    }
}

fn program(binary: &Path, arguments: &[&str], kubeconfig: &Path) -> Program {
    let words = std::iter::once(binary.to_string_lossy()).chain(arguments.iter().map(|&word| word.into()));
    Program::new(words).env("KUBECONFIG", kubeconfig.to_string_lossy())
}
