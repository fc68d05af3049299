//! The loop between the API and the wire: watches come in, wishes for the machine and reports go out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_placement::Speaker;
use ferrolb_runtime::events::News;
use ferrolb_runtime::readiness::Gate;
use ferrolb_runtime::tasks::Shutdown;
use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{info, warn};

use crate::chronicle::Chronicle;
use crate::driver::{Cluster, Notice, SourceEnded};
use crate::kube::hints::Hints;
use crate::kube::index::Index;
use crate::kube::watch::Change;
use crate::lease::renew::Surroundings;
use crate::link::Links;
use crate::metrics::Metrics;
use crate::ownership::{Change as Part, Event, NodeId, ServiceName};
use crate::report::{Owned, Reports};

/// Changes often come several at a time: a plan is made this long after the first of them.
const SETTLE: Duration = Duration::from_millis(5);
/// The addresses of a Service often move one after the other, and those of a node thousands at a time: what happens is told,
/// and reported, this long after the first of it.
const TELL: Duration = Duration::from_millis(100);

/// What the control loop is connected to.
pub struct Wiring {
    /// The links, once they are known.
    pub links: watch::Receiver<Option<Links>>,
    /// Whether the node's own Lease is held.
    pub held: watch::Receiver<bool>,
    /// What the driver tells.
    pub notices: mpsc::UnboundedReceiver<Notice>,
    /// Takes what is known of the cluster.
    pub cluster: watch::Sender<Option<Cluster>>,
    /// Takes what renewals depend on.
    pub surroundings: watch::Sender<Surroundings>,
    /// Counts.
    pub metrics: Metrics,
    /// Takes what the node does for Services.
    pub reports: watch::Sender<Reports>,
    /// Takes what Events are to tell about Services; what finds no room is counted.
    pub news: mpsc::Sender<News>,
    /// Opened once everything was listed.
    pub gate: Gate,
}

/// Keeps the index, plans, and reports.
pub struct Control {
    node: String,
    index: Index,
    owned: Owned,
    chronicle: Chronicle,
    wiring: Wiring,
    /// When the next plan is due.
    plan_due: Option<Instant>,
    /// When it is due to tell what happened.
    tell_due: Option<Instant>,
    /// When reports are due, unless the driver is in the midst of something.
    report_due: Option<Instant>,
    /// The driver has nothing more to say for now.
    settled: bool,
    loaded: bool,
    hints: Option<Arc<HashMap<IpAddr, NodeId>>>,
}

impl Control {
    /// A loop for this node that knows nothing yet.
    pub fn new(node: &str, index: Index, wiring: Wiring) -> Self {
        Self {
            node: node.to_owned(),
            index,
            owned: Owned::default(),
            chronicle: Chronicle::new(node),
            wiring,
            plan_due: None,
            tell_due: None,
            report_due: None,
            settled: false,
            loaded: false,
            hints: None,
        }
    }

    /// Runs until shutdown, and then until nobody has anything to tell any more.
    ///
    /// # Errors
    /// When a part that it depends on ended.
    pub async fn run(
        mut self,
        mut changes: impl Stream<Item = Box<Change>> + Unpin,
        hints: impl Future<Output = Hints>,
        shutdown: Shutdown,
    ) -> Result<(), SourceEnded> {
        let mut stop = pin!(shutdown.requested());
        let mut hints = pin!(hints);
        loop {
            let report_due = self.report_due.filter(|_| self.settled);
            let due = [self.plan_due, self.tell_due, report_due, self.index.poll_timeout()];
            let due = due.into_iter().flatten().min();
            let timeout = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            // In this order: what ended because of the shutdown is no error, and changes of the API, of which there may
            // always be another, come last.
            tokio::select! {
                biased;
                () = &mut stop => {
                    // The driver hands over now, and ends after that.
                    while let Some(notice) = self.wiring.notices.recv().await {
                        self.take_notice(notice);
                    }
                    if self.report_due.is_some() {
                        self.report();
                    }
                    return Ok(());
                }
                changed = self.wiring.links.changed() => {
                    changed.map_err(|_| SourceEnded("the watch of links"))?;
                    self.after(true, now());
                }
                changed = self.wiring.held.changed() => {
                    changed.map_err(|_| SourceEnded("the renewal of the Lease"))?;
                    self.after(true, now());
                }
                notice = self.wiring.notices.recv() => {
                    self.take_notice(notice.ok_or(SourceEnded("the driver"))?);
                }
                hints = &mut hints, if self.hints.is_none() => {
                    let own = hints.iter().filter(|(_, node)| **node == self.node).map(|(address, _)| *address);
                    self.chronicle.set_reported(own);
                    let ids = hints.into_iter().map(|(address, node)| (address, self.index.node_id(&node)));
                    self.hints = Some(Arc::new(ids.collect()));
                    self.after(true, now());
                }
                () = timeout => {
                    let now = now();
                    let differs = self.index.handle_timeout(now);
                    self.after(differs, now);
                    if self.plan_due.is_some_and(|due| due <= now) {
                        self.plan_due = None;
                        self.plan();
                    }
                    if self.tell_due.is_some_and(|due| due <= now) {
                        self.tell_due = None;
                        self.tell();
                    }
                    if self.settled && self.report_due.is_some_and(|due| due <= now) {
                        self.report();
                    }
                }
                change = changes.next() => {
                    let change = change.ok_or(SourceEnded("the watches"))?;
                    let now = now();
                    let differs = self.index.apply(&change, now);
                    self.after(differs, now);
                }
            }
        }
    }

    fn after(&mut self, differs: bool, now: Instant) {
        self.tell_surroundings();
        if !self.loaded && self.index.is_loaded() {
            self.loaded = true;
            self.wiring.gate.set(true);
            info!(event = "configLoaded", speakers = self.index.speakers(), "everything was listed");
            if self.index.own_uid().is_none() {
                warn!(
                    event = "nodeMissing",
                    node = self.node,
                    "there is no such Node: check --node-name (NODE_NAME)"
                );
            }
        }
        if differs {
            self.plan_due.get_or_insert(now + SETTLE);
        }
    }

    fn tell_surroundings(&self) {
        let surroundings = Surroundings {
            node_uid: self.index.own_uid().map(str::to_owned),
            speakers: self.index.speakers(),
            owned: u32::try_from(self.owned.count()).unwrap_or(u32::MAX),
        };
        self.wiring.surroundings.send_if_modified(|known| {
            let differs = *known != surroundings;
            *known = surroundings;
            differs
        });
    }

    /// Plans once everything is known that a plan depends on, and the node takes part: a plan made earlier would
    /// withdraw what the last process of this node announced.
    fn plan(&mut self) {
        let (Some(interfaces), Some(hints)) = (self.interfaces(), self.hints.clone()) else { return };
        if !self.loaded || !*self.wiring.held.borrow() {
            return;
        }
        let changed = self.index.plan(Speaker::Live { interfaces });
        let going = self.index.is_going();
        self.wiring.cluster.send_if_modified(|known| {
            let differs = changed || known.as_ref().is_none_or(|known| known.going != going);
            if differs {
                let (desired, peers) = (self.index.desired(), self.index.peers());
                *known = Some(Cluster { desired, peers, hints, going });
            }
            differs
        });
    }

    /// The names of the links that are up, once the links are known.
    fn interfaces(&self) -> Option<Vec<String>> {
        let links = self.wiring.links.borrow();
        let up = links.as_ref()?.values().filter(|link| link.up);
        Some(up.map(|link| link.name.clone()).collect())
    }

    fn tell(&mut self) {
        for news in self.chronicle.tell(|service| self.index.uid(service)) {
            if self.wiring.news.try_send(news).is_err() {
                self.wiring.metrics.dropped_events().inc();
            }
        }
    }

    fn take_notice(&mut self, notice: Notice) {
        if let Notice::Event(event, at) = notice {
            log(&event);
            self.wiring.metrics.count_change(&event.change);
            self.owned.apply(&event, at);
            self.chronicle.apply(&event);
            if !self.chronicle.is_empty() {
                self.tell_due.get_or_insert_with(|| now() + TELL);
            }
            self.settled = false;
            return;
        }
        self.settled = true;
        self.report_due.get_or_insert_with(|| now() + TELL);
    }

    fn report(&mut self) {
        self.report_due = None;
        self.tell_surroundings();
        let Some(cluster) = self.wiring.cluster.borrow().clone() else { return };
        self.wiring.reports.send_if_modified(|known| {
            let reports = Some(Arc::new(self.owned.reports(&cluster.desired, known.as_deref())));
            let differs = *known != reports;
            *known = reports;
            differs
        });
    }
}

/// Logs are written here, since a reader that is slow must not delay the wire.
fn log(event: &Event) {
    let Event { address, interface, services, change, .. } = event;
    let service = join(services);
    match change {
        Part::Announcing { mac, cause, silence } => info!(
            event = "serviceAnnounced",
            ips = %address,
            %interface,
            %mac,
            service,
            reason = cause.reason(),
            from = cause.from(),
            silent_ms = silence.map(|silence| silence.as_millis()),
            "announcing"
        ),
        Part::Withdrawn(cause) => info!(
            event = "serviceWithdrawn",
            ips = %address,
            %interface,
            service,
            reason = cause.reason(),
            "withdrawn: {cause}"
        ),
        Part::Covering { owner } => info!(
            event = "serviceCovered",
            ips = %address,
            %interface,
            service,
            %owner,
            "answering for the owner, whose speaker is silent"
        ),
        Part::Uncovered => {
            info!(event = "serviceUncovered", ips = %address, %interface, service, "not answering for the owner any more");
        }
        Part::Found(finding) => warn!(
            event = "found",
            ips = %address,
            %interface,
            service,
            finding = finding.condition(),
            "{}",
            finding.message(&address.to_string())
        ),
        Part::Over(finding) => info!(
            event = "foundOver",
            ips = %address,
            %interface,
            service,
            finding = finding.condition(),
            "{} is over",
            finding.condition()
        ),
    }
}

fn join(services: &[ServiceName]) -> String {
    services.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[expect(clippy::disallowed_methods, reason = "a driver reads the clock")]
fn now() -> Instant {
    Instant::now()
}
