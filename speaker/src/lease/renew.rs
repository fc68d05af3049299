//! Renews the node's own Lease.

use std::pin::pin;
use std::time::Duration;

use ferrolb_crds::lease::{self, HANDOVER_DURATION, LeaseLink, PERIODS, period};
use ferrolb_crds::names::{LEASE_PREFIX, SPEAKER_MANAGER};
use ferrolb_runtime::readiness::Gate;
use ferrolb_runtime::tasks::Shutdown;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::links;
use crate::jitter;
use crate::kube::request::{RequestError, answer};
use crate::link::Links;
use crate::metrics::RenewalMetrics;
use crate::ownership::Stop;

/// A renewal that takes longer has failed. With the retry it has to end well before peers' expiry clocks are
/// stopped by its absence.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Between a failed renewal and the next.
const RETRY: Duration = Duration::from_secs(1);
/// Links often change several at a time.
const SETTLE: Duration = Duration::from_millis(50);

/// What a renewal depends on, besides the links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The UID of this node's object; without one there is nothing to renew for.
    pub node_uid: Option<String>,
    /// How many speakers have a Lease.
    pub speakers: usize,
    /// How many addresses this node owns.
    pub owned: u32,
}

/// Renews the Lease of a node's speaker.
pub struct Renewer {
    /// The Leases in our namespace.
    pub leases: Api<Lease>,
    /// The node's name.
    pub node: String,
    /// The namespace that the Lease is in.
    pub namespace: String,
    /// The node's links, once they are known.
    pub links: watch::Receiver<Option<Links>>,
    /// How the wire's part stopped, once it did: the Lease is kept for the next process, or released.
    pub stopped: watch::Receiver<Option<Stop>>,
    /// What else it depends on.
    pub surroundings: watch::Receiver<Surroundings>,
    /// Told that the Lease is held, from the first renewal on.
    pub held: watch::Sender<bool>,
    /// Opened by the first renewal.
    pub gate: Gate,
    /// Counts renewals.
    pub metrics: RenewalMetrics,
}

impl Renewer {
    /// Renews until shutdown; the last renewal gives the node's next speaker time to start.
    ///
    /// # Errors
    /// Never, but for the supervisor's sake.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let mut stop = pin!(shutdown.requested());
        let acquired = wall_clock();
        let mut failing = false;
        let mut count = 0_u128;
        loop {
            let Some(uid) = self.surroundings.borrow_and_update().node_uid.clone() else {
                tokio::select! {
                    () = &mut stop => return Ok(()),
                    _ = self.surroundings.changed() => continue,
                }
            };
            let links = self.current_links();
            let period = period(self.surroundings.borrow().speakers);
            let result = self.renew(&uid, &links, period * PERIODS, acquired).await;
            self.metrics.count(result.is_ok());
            count += 1;
            let delay = match result {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        info!(event = "leaseRenewed", "the node's Lease is renewed again");
                    }
                    if !self.held.send_replace(true) {
                        info!(event = "leaseAcquired", lease = self.name(), "the node takes part");
                        self.gate.set(true);
                    }
                    let spread = jitter::spread(jitter::seed(&self.node), count, period / 5);
                    period * 9 / 10 + spread
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(event = "leaseNotRenewed", %error, "the node's Lease can't be renewed, and is retried");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = &mut stop => break,
                () = sleep(delay) => {}
                () = Self::links_differ(&mut self.links, &links) => sleep(SETTLE).await,
            }
        }
        let Some(uid) = self.surroundings.borrow().node_uid.clone() else { return Ok(()) };
        let links = self.current_links();
        // If it ended without a word it failed, and is started again.
        let stop = self
            .stopped
            .wait_for(Option::is_some)
            .await
            .map_or(Stop::Restart, |stop| stop.unwrap_or(Stop::Restart));
        let duration = match stop {
            Stop::Restart => HANDOVER_DURATION,
            Stop::Leave => Duration::ZERO,
        };
        match self.renew(&uid, &links, duration, acquired).await {
            Ok(()) if stop == Stop::Leave => info!(event = "leaseReleased", "the node takes part no more"),
            Ok(()) => info!(
                event = "leaseKept",
                seconds = HANDOVER_DURATION.as_secs(),
                "the Lease waits for the node's next speaker"
            ),
            Err(error) => {
                warn!(event = "leaseNotRenewed", %error, "the last renewal failed: the next speaker has less time to start")
            }
        }
        Ok(())
    }

    async fn renew(
        &self,
        uid: &str,
        links: &[LeaseLink],
        duration: Duration,
        acquired: Timestamp,
    ) -> Result<(), RequestError> {
        let holder = lease::Holder { node: &self.node, uid, namespace: &self.namespace };
        let owned = self.surroundings.borrow().owned;
        let lease = lease::write(holder, links, owned, duration, acquired, wall_clock());
        let params = PatchParams::apply(SPEAKER_MANAGER).force();
        let name = self.name();
        let patch = Patch::Apply(&lease);
        answer(TIMEOUT, self.leases.patch(&name, &params, &patch)).await.map(drop)
    }

    /// Resolves when the links are no longer those that the Lease tells.
    async fn links_differ(receiver: &mut watch::Receiver<Option<Links>>, told: &[LeaseLink]) {
        let differ = |links: &Option<Links>| links.as_ref().is_some_and(|links| links::links(links) != told);
        if receiver.wait_for(differ).await.is_err() {
            // The sender is gone, so they will not change.
            std::future::pending().await
        }
    }

    fn current_links(&self) -> Vec<LeaseLink> {
        self.links.borrow().as_ref().map(links::links).unwrap_or_default()
    }

    fn name(&self) -> String {
        format!("{LEASE_PREFIX}{}", self.node)
    }
}

#[expect(clippy::disallowed_methods, reason = "a Lease tells the wall clock's time, which nobody compares")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests;
