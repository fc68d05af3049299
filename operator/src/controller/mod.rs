//! The driver: it feeds the engine with what the watches show, and makes the writes that the engine asks for.
//!
//! One task does all this, so nothing is shared: watches, writes and timers are polled in one loop, and a decision
//! is made only when everything that is known has been taken in.

mod intake;
mod objects;
mod sweep;
#[cfg(test)]
mod tests;
mod watches;
mod write;

use std::time::{Duration, Instant};

use ferrolb_crds::names::OPERATOR_MANAGER;
use ferrolb_runtime::events::{self, Events, News, Reporter};
use ferrolb_runtime::readiness::Gate;
use ferrolb_runtime::tasks::Shutdown;
use futures::StreamExt;
use futures::future::{BoxFuture, Fuse, FusedFuture, FutureExt};
use futures::stream::{BoxStream, FuturesUnordered};
use jiff::Timestamp;
use kube::Client;
use tracing::{info, warn};

use self::intake::Listings;
use self::objects::Rounds;
use self::sweep::Sweeps;
use self::watches::{Change, Stores};
use self::write::{Outcome, Tried, Writer};
use crate::engine::{Engine, Settings};
use crate::key::ServiceKey;
use crate::leader::Tenure;
use crate::leader::record::lease_name;
use crate::metrics::Metrics;
use crate::notice::Notice;

/// Writes to Services that are under way at once.
const CONCURRENCY: usize = 32;

/// How long writes that are under way may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// What the controller works on.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Namespace of the pools and advertisements.
    pub namespace: String,
    /// What the user decides for all Services.
    pub settings: Settings,
}

/// The watches ended, which they never should.
#[derive(Debug, thiserror::Error)]
#[error("the watches ended")]
pub struct WatchesEnded;

/// Whether all writes have been answered that were under way at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained(pub bool);

/// Runs until shutdown, and opens the gate when all caches are filled. It writes while the tenure lasts.
///
/// # Errors
/// When the watches end.
pub async fn run(
    client: Client,
    scope: Scope,
    tenure: Tenure,
    metrics: Metrics,
    caches: Gate,
    shutdown: Shutdown,
) -> Result<Drained, WatchesEnded> {
    let (stores, changes) = watches::watch(&client, &scope.namespace);
    let (events, sender) =
        events::channel(client.clone(), reporter(), tenure.clone(), metrics.dropped_events());
    let controller = Controller {
        writer: Writer::new(client.clone(), tenure.clone(), scope.settings.class.as_deref()),
        lease: lease_name(scope.settings.class.as_deref()),
        engine: Engine::new(scope.settings, clock()),
        tenure,
        client,
        namespace: scope.namespace,
        stores,
        changes,
        writes: FuturesUnordered::new(),
        rounds: Rounds::default(),
        round: Fuse::terminated(),
        sweeps: Sweeps::default(),
        sweep: Fuse::terminated(),
        listings: Listings::default(),
        events,
        metrics,
        caches,
    };
    let telling = sender.run(shutdown.clone()).map(Ok);
    tokio::try_join!(controller.run(shutdown.clone()), telling).map(|(drained, ())| drained)
}

/// Who tells Events: this operator.
fn reporter() -> Reporter {
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| OPERATOR_MANAGER.to_owned());
    Reporter { controller: OPERATOR_MANAGER, instance }
}

/// The Event that tells a notice about a Service.
fn news(service: &ServiceKey, uid: &str, notice: &Notice) -> News {
    News {
        namespace: service.namespace.to_string(),
        service: service.name.to_string(),
        uid: Some(uid.to_owned()),
        reason: notice.kind.as_str(),
        action: "Allocate",
        note: notice.note.clone(),
        is_warning: notice.kind.is_warning(),
    }
}

struct Controller {
    engine: Engine,
    writer: Writer,
    tenure: Tenure,
    /// The name of the operator's own Lease.
    lease: String,
    client: Client,
    namespace: String,
    stores: Stores,
    changes: BoxStream<'static, Vec<Change>>,
    writes: FuturesUnordered<BoxFuture<'static, Tried>>,
    rounds: Rounds,
    /// A round of status writes that is under way.
    round: Fuse<BoxFuture<'static, bool>>,
    sweeps: Sweeps,
    /// A sweep that is under way.
    sweep: Fuse<BoxFuture<'static, bool>>,
    listings: Listings,
    events: Events,
    metrics: Metrics,
    caches: Gate,
}

impl Controller {
    async fn run(mut self, shutdown: Shutdown) -> Result<Drained, WatchesEnded> {
        let stop = shutdown.requested();
        tokio::pin!(stop);
        loop {
            self.work();
            let deadline = self.poll_timeout();
            let timer = async move {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut stop => break,
                changes = self.changes.next() => {
                    let now = clock();
                    changes.ok_or(WatchesEnded)?.into_iter().for_each(|change| self.take_in(change, now));
                    self.start_when_complete();
                }
                Some(tried) = self.writes.next() => self.finish(tried),
                all = &mut self.round => {
                    if !all {
                        self.rounds.request(clock());
                    }
                }
                all = &mut self.sweep => {
                    if !all {
                        self.sweeps.request(clock());
                    }
                }
                () = timer => {}
            }
        }
        // What is under way is finished if it can be: half a batch is nothing to leave behind.
        let rest = async { while self.writes.next().await.is_some() {} };
        let drained = tokio::time::timeout(DRAIN, rest).await.is_ok();
        Ok(Drained(drained))
    }

    /// Does what can be done now, without waiting.
    fn work(&mut self) {
        let now = clock();
        self.engine.handle_timeout(now);
        while self.writes.len() < CONCURRENCY
            && let Some(update) = self.engine.next_update(now, wall_clock())
        {
            self.writes.push(self.writer.clone().write(update).boxed());
        }
        if !self.engine.is_started() {
            return;
        }
        if self.sweep.is_terminated() && self.sweeps.begin(now) {
            let (nodes, services) = (self.listings.nodes.known(), self.listings.services.known());
            let reports = self.engine.surroundings().reports();
            let stale = reports.stale(|node| nodes.contains(node), |service| services.contains(service));
            if !stale.is_empty() {
                let (client, namespace) = (self.client.clone(), self.namespace.clone());
                self.sweep = sweep::remove(client, namespace, stale, self.tenure.clone()).boxed().fuse();
            }
        }
        if self.round.is_terminated() && self.rounds.begin(now) {
            let standings = self.engine.standings().iter();
            let names = standings.map(|standing| &*standing.definition.name);
            self.metrics.set_pools(names.map(|name| (name, self.engine.usage(name))));
            let outdated = objects::outdated(&self.stores, &self.engine, wall_clock());
            if !outdated.is_empty() {
                let (client, namespace) = (self.client.clone(), self.namespace.clone());
                self.round = objects::write_all(outdated, client, namespace, self.tenure.clone()).fuse();
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let started = self.engine.is_started();
        let rounds = self.rounds.poll_timeout().filter(|_| started && self.round.is_terminated());
        let sweeps = self.sweeps.poll_timeout().filter(|_| started && self.sweep.is_terminated());
        [self.engine.poll_timeout(), rounds, sweeps].into_iter().flatten().min()
    }

    fn start_when_complete(&mut self) {
        if self.listings.are_complete() && !self.engine.is_started() {
            self.engine.start();
            self.caches.set(true);
            info!(event = "configLoaded", pools = self.engine.standings().len(), "the caches are filled");
        }
    }

    fn finish(&mut self, Tried { update, outcome }: Tried) {
        let now = clock();
        self.rounds.request(now);
        let service = &update.service;
        match outcome {
            Outcome::Applied(after) => {
                self.metrics.count_write("applied");
                if let Some(since) = update.waited_since {
                    self.metrics.observe_allocation(now.saturating_duration_since(since));
                }
                for notice in &update.patch.notices {
                    info!(event = notice.kind.log_name(), %service, note = notice.note);
                    self.metrics.count(notice);
                    self.events.tell(news(service, &update.uid, notice));
                }
                self.engine.applied(&update, &after, now);
            }
            Outcome::Conflict(fresh) => {
                self.metrics.count_write("conflict");
                self.engine.conflicted(&update, Some(&fresh), now);
            }
            Outcome::Gone => {
                self.metrics.count_write("gone");
                self.engine.conflicted(&update, None, now);
            }
            Outcome::Failed(error) => {
                self.metrics.count_write("error");
                let retry = self.engine.failed(&update, now);
                warn!(event = "serviceNotWritten", %service, %error, ?retry);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn wall_clock() -> Timestamp {
    let now = Timestamp::now();
    // Conditions have whole seconds: what is written has to be what is read.
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
