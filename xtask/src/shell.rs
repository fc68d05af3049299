//! Commands printed and run as a user would type them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use ferrolb_lab::{CONTROL_PLANE, Lab};

use crate::cargo::workspace;

/// Prints each command before it runs it, and runs kubectl as the lab's administrator.
pub(crate) struct Shell<'a> {
    lab: &'a Lab,
}

#[expect(clippy::print_stdout, reason = "the transcript is what the command is for")]
impl<'a> Shell<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        Self { lab }
    }

    /// Runs a kubectl command line, whose words are separated by spaces, and prints what it prints.
    pub(crate) fn kubectl(&self, line: &str) -> Result<String> {
        println!("\n$ kubectl {line}");
        let output = self.kubectl_output(line)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{text}");
        eprint(&output.stderr);
        ensure!(output.status.success(), "kubectl {line}: {}", output.status);
        Ok(text)
    }

    /// Prints those lines of a kubectl command's output that contain a text.
    pub(crate) fn kubectl_grep(&self, line: &str, text: &str) -> Result<()> {
        println!("\n$ kubectl {line} | grep {text}");
        let output = self.kubectl_output(line)?;
        ensure!(output.status.success(), "kubectl {line}: {}", String::from_utf8_lossy(&output.stderr));
        let all = String::from_utf8_lossy(&output.stdout);
        for found in all.lines().filter(|line| line.contains(text)) {
            println!("{found}");
        }
        Ok(())
    }

    /// Runs a command on the client, outside the cluster, and prints what it prints.
    pub(crate) fn client(&self, words: &[&str]) -> Result<String> {
        println!("\nclient$ {}", words.join(" "));
        let output = self.lab.client()?.exec(words)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{text}");
        if !output.status.success() {
            bail!(
                "{}: {}: {}",
                words.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(text)
    }

    fn kubectl_output(&self, line: &str) -> Result<Output> {
        let mut command = self.lab.kubectl_command(line.split(' '))?;
        self.at(workspace(), &mut command).with_context(|| format!("run kubectl {line}"))
    }

    fn at(&self, folder: &Path, command: &mut Command) -> Result<Output> {
        command.current_dir(folder).stdin(Stdio::null());
        Ok(self.lab.host(CONTROL_PLANE)?.run(|| command.output())??)
    }
}

#[expect(clippy::print_stderr, reason = "a command's own complaints")]
fn eprint(bytes: &[u8]) {
    eprint!("{}", String::from_utf8_lossy(bytes));
}
