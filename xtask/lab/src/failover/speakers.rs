//! The speakers of a stage: processes on bare nodes, pods on full ones.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::stage::{Kind, PATIENCE, Stage};
use crate::parts::SPEAKER;
use crate::{Host, eventually};

/// How long a speaker may take to stop.
const STOP: Duration = Duration::from_secs(40);
/// The pods of the DaemonSet.
const COMPONENT: &str = "--selector=app.kubernetes.io/component=speaker";

impl Stage {
    /// Sends a signal to a node's speaker.
    pub(super) fn signal(&self, node: &Host, signal: Signal) -> Result<()> {
        match self.kind {
            Kind::Bare => {
                let speaker = self.ferrolb().speaker(node.name())?;
                if signal == Signal::KILL { speaker.kill() } else { speaker.id().signal(signal) }
            }
            Kind::Full => {
                // In the node's own process namespace; health checks are processes of the same name.
                let pid = node.exec_ok(["pgrep", "--exact", "--oldest", SPEAKER])?;
                node.exec_ok(["kill", &format!("-{}", signal.as_raw()), pid.trim()]).map(drop)
            }
        }
    }

    /// Starts a node's speaker, or lets its kubelet do so, and waits until it is ready.
    pub(super) fn start_speaker(&self, node: &Host) -> Result<()> {
        match self.kind {
            Kind::Bare => {
                self.ferrolb().start_speaker(node.name())?;
                eventually(PATIENCE, || self.ferrolb().ensure_ready(node.name()))
            }
            Kind::Full => self.await_ready_pod(node),
        }
    }

    /// Starts all speakers that do not run.
    pub(super) fn start_missing(&self) -> Result<()> {
        for node in self.lab.nodes()? {
            if self.kind == Kind::Full || !self.ferrolb().speaker(&node)?.is_alive() {
                self.start_speaker(&self.lab.host(&node)?)?;
            }
        }
        Ok(())
    }

    /// Has a node's speaker end as a pod that is deleted does, and another one take its place.
    pub(super) fn restart_speaker(&self, node: &Host) -> Result<()> {
        match self.kind {
            Kind::Bare => self.stop_speaker(node)?,
            Kind::Full => {
                let of_node = format!("--field-selector=spec.nodeName={}", node.name());
                self.lab.kubectl(["delete", "pods", "--namespace=ferrolb-system", COMPONENT, &of_node])?;
            }
        }
        self.start_speaker(node)
    }

    /// Tells a bare node's speaker to stop, and waits until it has.
    pub(super) fn stop_speaker(&self, node: &Host) -> Result<()> {
        let speaker = self.ferrolb().speaker(node.name())?;
        ensure!(speaker.terminate(STOP)?, "the speaker of {} did not stop", node.name());
        Ok(())
    }

    /// Waits until the DaemonSet's pod of a node is ready.
    pub(super) fn await_ready_pod(&self, node: &Host) -> Result<()> {
        let of_node = format!("--field-selector=spec.nodeName={}", node.name());
        let ready = "--output=jsonpath={.items[*].status.containerStatuses[*].ready}";
        eventually(PATIENCE, || {
            node.exec_ok(["pgrep", "--exact", "--oldest", SPEAKER])?;
            let state = self.lab.kubectl([
                "get",
                "pods",
                "--namespace=ferrolb-system",
                COMPONENT,
                &of_node,
                ready,
            ])?;
            ensure!(state == "true", "the speaker's pod on {}: ready {state:?}", node.name());
            Ok(())
        })
    }
}
