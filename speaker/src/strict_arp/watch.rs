//! Asks the kernel again and again, and tells what is new.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_runtime::tasks::Shutdown;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;

use super::answers::{Answers, answers};
use super::told::Told;
use crate::driver::{Cluster, Notice};
use crate::link::Links;
use crate::net::{LocalError, listeners, local_addresses};
use crate::ownership::{Desired, Event};
use crate::report::Reports;

/// How often the kernel is asked: it tells nobody that `arp_ignore` changed.
pub const PERIOD: Duration = Duration::from_secs(30);

/// Watches what the node's kernel answers for.
pub struct KernelWatch {
    /// How often it is asked; see [`PERIOD`].
    pub period: Duration,
    /// The links, once they are known.
    pub links: watch::Receiver<Option<Links>>,
    /// The cluster, once it is known.
    pub cluster: watch::Receiver<Option<Cluster>>,
    /// What the node does for Services, once it has decided: what its last process reported stands until then.
    pub reports: watch::Receiver<Reports>,
    /// Takes what is new.
    pub notices: mpsc::UnboundedSender<Notice>,
}

impl KernelWatch {
    /// Watches until shutdown.
    ///
    /// # Errors
    /// Never, but for the supervisor's sake.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut stop = pin!(shutdown.requested());
        let mut told = Told::default();
        let mut failing = false;
        let decided = async { self.reports.wait_for(Option::is_some).await.is_ok() };
        tokio::select! {
            () = &mut stop => return Ok(()),
            decided = decided => if !decided {
                // Nobody decides any more, as the process is about to end.
                stop.await;
                return Ok(());
            },
        }
        loop {
            match self.look().await {
                Ok(now) => {
                    failing = false;
                    self.tell(told.update(now));
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(event = "kernelNotRead", %error, "can't see for which addresses the node's kernel answers; retrying");
                    }
                }
            }
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = sleep(self.period) => {}
            }
        }
    }

    /// What the kernel answers for now. It is asked on another thread, as it may have many addresses.
    async fn look(&self) -> Result<Answers, LocalError> {
        let desired = self.cluster.borrow().as_ref().map(|cluster| Arc::clone(&cluster.desired));
        let desired = desired.unwrap_or_default();
        let links = self.links.borrow().clone().unwrap_or_default();
        if desired.is_empty() || links.is_empty() {
            return Ok(Answers::new());
        }
        let asked = spawn_blocking(move || read(&links, &desired)).await;
        asked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Notices that nobody takes mean that the process is about to end.
    fn tell(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let at = wall_clock();
        for event in events {
            _ = self.notices.send(Notice::Event(event, at));
        }
        _ = self.notices.send(Notice::Settled);
    }
}

fn read(links: &Links, desired: &Desired) -> Result<Answers, LocalError> {
    let local = local_addresses(|address| desired.contains_key(&address))?;
    if local.is_empty() {
        return Ok(Answers::new());
    }
    Ok(answers(&local, &listeners(links), desired))
}

#[expect(clippy::disallowed_methods, reason = "a driver reads the clock")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
