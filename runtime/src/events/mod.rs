//! Events: told beside the work, at a bounded rate, those first that somebody has to act on.

mod allowance;
mod fence;
mod series;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::warn;

use self::allowance::Allowance;
pub use self::fence::{Fence, NoAnswer, NoFence};
use self::series::Recent;
use crate::tasks::Shutdown;

/// Events of each sort that may wait; more are dropped and counted. At the pace at which they are sent, the last one
/// comes some minutes late.
pub const WAITING: usize = 1024;
/// How long the API server may take for an Event.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// What is told about a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct News {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The Service's UID, if it is known.
    pub uid: Option<String>,
    /// What happened, in one CamelCase word.
    pub reason: &'static str,
    /// What was being done, in one CamelCase word.
    pub action: &'static str,
    /// The details, for people.
    pub note: String,
    /// Whether somebody has to mend something.
    pub is_warning: bool,
}

/// Who tells.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The program.
    pub controller: &'static str,
    /// Which of its instances.
    pub instance: String,
}

/// Where news are handed in.
#[derive(Clone)]
pub struct Events {
    warnings: mpsc::Sender<Told>,
    others: mpsc::Sender<Told>,
    dropped: Counter,
}

struct Told {
    news: News,
    at: Timestamp,
}

/// Sends the Events that are handed in, while the fence lets it.
pub struct Sender<F> {
    client: Client,
    fence: F,
    warnings: mpsc::Receiver<Told>,
    others: mpsc::Receiver<Told>,
    recent: Recent,
    reporter: Reporter,
}

/// A place to hand news in, and what sends them. What can't be sent, as too much waits, is counted.
pub fn channel<F: Fence>(
    client: Client,
    reporter: Reporter,
    fence: F,
    dropped: Counter,
) -> (Events, Sender<F>) {
    let (to_warnings, warnings) = mpsc::channel(WAITING);
    let (to_others, others) = mpsc::channel(WAITING);
    let events = Events { warnings: to_warnings, others: to_others, dropped };
    (events, Sender { client, fence, warnings, others, recent: Recent::default(), reporter })
}

impl Events {
    /// Hands news in, without waiting.
    pub fn tell(&self, news: News) {
        #[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
        let at = Timestamp::now();
        let queue = if news.is_warning { &self.warnings } else { &self.others };
        if queue.try_send(Told { news, at }).is_err() {
            self.dropped.inc();
        }
    }
}

impl<F: Fence> Sender<F> {
    /// Sends until shutdown; Events that wait then are not sent any more.
    pub async fn run(mut self, shutdown: Shutdown) {
        let stop = shutdown.requested();
        tokio::pin!(stop);
        let mut allowance = Allowance::new(clock());
        loop {
            let told = tokio::select! {
                biased;
                () = &mut stop => return,
                Some(told) = self.warnings.recv() => told,
                Some(told) = self.others.recv() => told,
                else => break,
            };
            self.send(told).await;
            tokio::time::sleep(allowance.take(clock())).await;
        }
        // Nobody has news any more, as the process is about to end.
        stop.await;
    }

    /// Sends an Event. What was told a while ago already is counted on the Event that told it.
    async fn send(&mut self, Told { news, at }: Told) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &news.namespace);
        let sent = if let Some((name, count)) = self.recent.repeat(&news, clock()) {
            let patch =
                Patch::Merge(json!({ "series": { "count": count, "lastObservedTime": MicroTime(at) } }));
            let params = PatchParams::default();
            self.fence.pass(TIMEOUT, events.patch(&name, &params, &patch)).await
        } else {
            let event = event(&news, at, &self.reporter);
            self.recent.first(news.clone(), event.metadata.name.clone().unwrap_or_default(), clock());
            self.fence.pass(TIMEOUT, events.create(&PostParams::default(), &event)).await
        };
        let failure = match sent {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(refusal) => refusal.to_string(),
        };
        let (namespace, service, reason) = (&*news.namespace, &*news.service, news.reason);
        warn!(event = "eventNotSent", namespace, service, reason, error = failure);
        self.recent.forget(&news);
    }
}

fn event(news: &News, at: Timestamp, reporter: &Reporter) -> Event {
    let News { namespace, service, uid, reason, action, note, is_warning } = news;
    let mut note = note.clone();
    note.truncate((0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0));
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{service}.{:x}", at.as_nanosecond())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(at)),
        type_: Some(if *is_warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some((*reason).to_owned()),
        action: Some((*action).to_owned()),
        note: Some(note),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            name: Some(service.clone()),
            namespace: Some(namespace.clone()),
            uid: uid.clone(),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(format!("ferrolb.io/{}", reporter.controller)),
        reporting_instance: Some(reporter.instance.clone()),
        ..Event::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
