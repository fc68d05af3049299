//! Writes what this node does for Services: a `ServiceL2Status` for each, and then Events.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use ferrolb_crds::names;
use ferrolb_crds::service_l2_status::{
    InterfaceInfo, ServiceL2Status, ServiceL2StatusFields, ServiceL2StatusStatus, object_name,
};
use ferrolb_runtime::events::{Events, News};
use ferrolb_runtime::tasks::Shutdown;
use ferrolb_runtime::watch::PAGE_SIZE;
use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::warn;

use super::request::{RequestError, answer};
use crate::finding::list;
use crate::ownership::ServiceName;
use crate::report::{Reports, ServiceReport};

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between a failed write and the next, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Writes under way at once.
const CONCURRENCY: usize = 8;
/// Writes after which it is looked whether something else is wanted.
const PART: usize = 128;

/// Keeps the node's `ServiceL2Status` objects as its reports are.
pub struct StatusWriter {
    api: Api<ServiceL2Status>,
    node: String,
    namespace: String,
    /// What the API server has, as far as we know.
    written: BTreeMap<ServiceName, Written>,
}

/// What an object says but for how and when that came about, as a hash; the object itself would take a multiple of the
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written(u64);

/// A write of one object.
struct Write {
    service: ServiceName,
    status: ServiceL2StatusStatus,
}

/// How Events are told: they wait while the API server is away, as reports do.
pub struct Telling {
    /// What there is to tell.
    pub news: mpsc::Receiver<News>,
    /// Where it is handed in.
    pub events: Events,
}

impl StatusWriter {
    /// A writer for the objects of a node.
    pub fn new(client: Client, node: &str, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            node: node.to_owned(),
            namespace: namespace.to_owned(),
            written: BTreeMap::new(),
        }
    }

    /// Writes until shutdown. What an earlier process of the node left is taken over, or deleted.
    ///
    /// # Errors
    /// Never, but for the supervisor's sake.
    pub async fn run(
        mut self,
        mut reports: watch::Receiver<Reports>,
        mut telling: Telling,
        shutdown: Shutdown,
    ) -> Result<(), std::convert::Infallible> {
        let mut stop = pin!(shutdown.requested());
        let mut retry = RETRY.0;
        let mut loaded = false;
        loop {
            let wanted = reports.borrow_and_update().clone();
            let result = tokio::select! {
                () = &mut stop => return Ok(()),
                result = self.step(wanted, &mut loaded, || reports.has_changed().unwrap_or(false)) => result,
            };
            if result.as_ref().err().is_none_or(RequestError::is_refusal) {
                telling.catch_up();
            }
            let delay = match result {
                Ok(false) => continue,
                Ok(true) => {
                    retry = RETRY.0;
                    None
                }
                Err(error) => {
                    if retry == RETRY.0 {
                        warn!(event = "statusNotWritten", %error, "a ServiceL2Status can't be written, and is retried");
                    }
                    let delay = retry;
                    retry = (retry * 2).min(RETRY.1);
                    Some(delay)
                }
            };
            let tells = delay.is_none();
            let retried = async {
                match delay {
                    Some(delay) => sleep(delay).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = retried => {}
                changed = reports.changed() => if changed.is_err() {
                    // Nobody reports any more, as the process is about to end.
                    stop.await;
                    return Ok(());
                },
                () = telling.keep_up(), if tells => {}
            }
        }
    }

    /// Writes what differs, and says whether that was all: something else may be wanted meanwhile. The error is the
    /// first one; what was written is not written again.
    async fn step(
        &mut self,
        wanted: Reports,
        loaded: &mut bool,
        changed: impl Fn() -> bool,
    ) -> Result<bool, RequestError> {
        let Some(wanted) = wanted else { return Ok(true) };
        if !*loaded {
            self.load().await?;
            *loaded = true;
        }
        let mut refused = None;
        let mut reports = wanted.iter();
        while reports.len() > 0 {
            let writes = reports.by_ref().filter_map(|(service, report)| self.outdated(service, report));
            let part = stream::iter(writes.take(PART).collect::<Vec<_>>());
            let (api, namespace) = (&self.api, &self.namespace);
            let mut sent = part.map(|write| write.send(api, namespace)).buffer_unordered(CONCURRENCY);
            while let Some((service, result)) = sent.next().await {
                let made = result.map(|written| _ = self.written.insert(service, written));
                set_aside(&mut refused, made)?;
            }
            if changed() {
                return Ok(false);
            }
        }
        let gone: Vec<_> =
            self.written.keys().filter(|service| !wanted.contains_key(*service)).cloned().collect();
        for service in gone {
            set_aside(&mut refused, self.delete(&service).await)?;
        }
        refused.map_or(Ok(true), Err)
    }

    /// The write that makes an object what is wanted, if it is not.
    fn outdated(&self, service: &ServiceName, report: &ServiceReport) -> Option<Write> {
        let status = content(&self.node, service, report);
        let known = self.written.get(service);
        if known == Some(&Written::from(&status)) {
            return None;
        }
        Some(Write { service: service.clone(), status })
    }

    async fn load(&mut self) -> Result<(), RequestError> {
        let of_node = format!("{}={}", names::NODE_LABEL, names::label_value(&self.node));
        let mut params = ListParams::default().labels(&of_node).limit(PAGE_SIZE);
        loop {
            let page = answer(TIMEOUT, self.api.list(&params)).await?;
            for status in page.items.into_iter().filter_map(|object| object.status) {
                let service = ServiceName::new(&status.service_namespace, &status.service_name);
                self.written.insert(service, Written::from(&status));
            }
            let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { return Ok(()) };
            params = params.continue_token(&next);
        }
    }

    async fn delete(&mut self, service: &ServiceName) -> Result<(), RequestError> {
        let name = object_name(&self.node, service.namespace(), service.name());
        match answer(TIMEOUT, self.api.delete(&name, &DeleteParams::default())).await {
            Err(RequestError::Api(kube::Error::Api(status))) if status.is_not_found() => {}
            result => _ = result?,
        }
        self.written.remove(service);
        Ok(())
    }
}

impl Telling {
    /// Hands in what waits.
    fn catch_up(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.events.tell(news);
        }
    }

    /// Hands in what comes, without end.
    async fn keep_up(&mut self) {
        while let Some(news) = self.news.recv().await {
            self.events.tell(news);
        }
        std::future::pending().await
    }
}

impl Write {
    /// Makes the write. Gives what was written.
    async fn send(
        self,
        api: &Api<ServiceL2Status>,
        namespace: &str,
    ) -> (ServiceName, Result<Written, RequestError>) {
        let Self { service, status } = self;
        let written = Written::from(&status);
        let object = object(namespace, status);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let params = PatchParams::apply(names::SPEAKER_MANAGER).force();
        let result = answer(TIMEOUT, api.patch(name, &params, &Patch::Apply(&object))).await;
        (service, result.map(|_| written))
    }
}

impl From<&ServiceL2StatusStatus> for Written {
    fn from(status: &ServiceL2StatusStatus) -> Self {
        // A restart changes when and how it came about, and nothing else.
        let ServiceL2StatusStatus {
            node,
            service_name: _,
            service_namespace: _,
            role,
            ips,
            addresses,
            conflicting_ips,
            interfaces,
            conditions,
            reason: _,
            since: _,
        } = status;
        let mut hasher = DefaultHasher::new();
        (node, role, ips, addresses, conflicting_ips, interfaces).hash(&mut hasher);
        for Condition { type_, status, reason, message, last_transition_time, observed_generation } in
            conditions
        {
            (type_, status, reason, message, last_transition_time.0, observed_generation).hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

/// Sets a refusal aside: it is about one object, and the others have their turn. Where the server gave no answer,
/// there will be none to the others either.
fn set_aside(
    refused: &mut Option<RequestError>,
    result: Result<(), RequestError>,
) -> Result<(), RequestError> {
    match result {
        Err(error) if error.is_refusal() => {
            refused.get_or_insert(error);
            Ok(())
        }
        result => result,
    }
}

fn content(node: &str, service: &ServiceName, report: &ServiceReport) -> ServiceL2StatusStatus {
    let ips: Vec<_> = report.ips.iter().map(ToString::to_string).collect();
    ServiceL2StatusStatus {
        node: node.to_owned(),
        service_name: service.name().to_owned(),
        service_namespace: service.namespace().to_owned(),
        role: report.role,
        addresses: ips.join(","),
        ips,
        interfaces: report.interfaces.iter().map(|name| InterfaceInfo { name: name.to_string() }).collect(),
        reason: report.reason.to_owned(),
        since: Time(report.since),
        conflicting_ips: conflicting(report).iter().map(ToString::to_string).collect(),
        conditions: conditions(report),
    }
}

fn conflicting(report: &ServiceReport) -> BTreeSet<IpAddr> {
    let conflicts = report.findings.iter().filter(|(finding, _)| finding.is_conflict());
    conflicts.flat_map(|(_, (ips, _))| ips).copied().collect()
}

/// A condition for each kind of thing that is wrong: of several of a kind the first.
fn conditions(report: &ServiceReport) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = Vec::new();
    for (finding, (ips, since)) in &report.findings {
        if conditions.last().is_some_and(|last| last.type_ == finding.condition()) {
            continue;
        }
        conditions.push(Condition {
            type_: finding.condition().to_owned(),
            status: "True".to_owned(),
            reason: finding.reason().to_owned(),
            message: finding.message(&list(ips)),
            last_transition_time: Time(*since),
            observed_generation: None,
        });
    }
    conditions
}

fn object(namespace: &str, status: ServiceL2StatusStatus) -> ServiceL2Status {
    let labels = [
        (names::NODE_LABEL, names::label_value(&status.node)),
        (names::SERVICE_NAME_LABEL, status.service_name.clone()),
        (names::SERVICE_NAMESPACE_LABEL, status.service_namespace.clone()),
    ];
    ServiceL2Status {
        metadata: ObjectMeta {
            name: Some(object_name(&status.node, &status.service_namespace, &status.service_name)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(label, value)| (label.to_owned(), value)).into()),
            ..Default::default()
        },
        spec: ServiceL2StatusFields {},
        status: Some(status),
    }
}

#[cfg(test)]
mod tests;
