//! Events on Services: told beside the work, at a bounded rate, those first that somebody has to act on.

mod allowance;
mod series;

use std::sync::Arc;
use std::time::Duration;

use ferrolb_crds::names::OPERATOR_MANAGER;
use ferrolb_runtime::tasks::Shutdown;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::warn;

use self::allowance::Allowance;
use self::series::Recent;
use super::clock;
use crate::key::ServiceKey;
use crate::leader::Tenure;
use crate::leader::fence::fenced;
use crate::metrics::Metrics;
use crate::notice::Notice;

/// Events of each sort that may wait; more are dropped and counted. At the pace at which they are sent, the last one
/// comes some minutes late.
const WAITING: usize = 1024;
/// How long the API server may take for an Event.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Where notices are handed in.
#[derive(Clone)]
pub(super) struct Events {
    warnings: mpsc::Sender<Told>,
    others: mpsc::Sender<Told>,
    metrics: Metrics,
}

/// A notice about a Service.
struct Told {
    service: ServiceKey,
    uid: String,
    notice: Notice,
    at: Timestamp,
}

/// Sends the Events that are handed in.
pub(super) struct Sender {
    client: Client,
    tenure: Tenure,
    warnings: mpsc::Receiver<Told>,
    others: mpsc::Receiver<Told>,
    recent: Recent,
    instance: String,
}

/// A place to hand notices in, and what sends them.
pub(super) fn channel(client: Client, tenure: Tenure, metrics: Metrics) -> (Events, Sender) {
    let (to_warnings, warnings) = mpsc::channel(WAITING);
    let (to_others, others) = mpsc::channel(WAITING);
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| OPERATOR_MANAGER.to_owned());
    let events = Events { warnings: to_warnings, others: to_others, metrics };
    (events, Sender { client, tenure, warnings, others, recent: Recent::default(), instance })
}

impl Events {
    /// Hands a notice in, without waiting.
    pub(super) fn tell(&self, service: &ServiceKey, uid: &str, notice: Notice) {
        #[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
        let at = Timestamp::now();
        let queue = if notice.kind.is_warning() { &self.warnings } else { &self.others };
        let told = Told { service: service.clone(), uid: uid.to_owned(), notice, at };
        if queue.try_send(told).is_err() {
            self.metrics.count_dropped_event();
        }
    }
}

impl Sender {
    /// Sends until shutdown; Events that wait then are not sent any more.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let stop = shutdown.requested();
        tokio::pin!(stop);
        let mut allowance = Allowance::new(clock());
        loop {
            let told = tokio::select! {
                biased;
                () = &mut stop => None,
                Some(told) = self.warnings.recv() => Some(told),
                told = self.others.recv() => told,
            };
            let Some(told) = told else { return };
            self.send(&told).await;
            tokio::time::sleep(allowance.take(clock())).await;
        }
    }

    /// Sends an Event. What was told a while ago already is counted on the Event that told it.
    async fn send(&mut self, told: &Told) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &told.service.namespace);
        let subject = (told.uid.clone(), told.notice.clone());
        let sent = if let Some((name, count)) = self.recent.repeat(&subject, clock()) {
            let last = MicroTime(told.at);
            let patch = Patch::Merge(json!({ "series": { "count": count, "lastObservedTime": last } }));
            let params = PatchParams::default();
            fenced(&self.tenure, TIMEOUT, events.patch(&name, &params, &patch)).await
        } else {
            let event = event(told, &self.instance);
            self.recent.first(subject, event.metadata.name.clone().unwrap_or_default(), clock());
            fenced(&self.tenure, TIMEOUT, events.create(&PostParams::default(), &event)).await
        };
        let failure = match sent {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(fenced) => fenced.to_string(),
        };
        warn!(event = "eventNotSent", service = %told.service, reason = told.notice.kind.as_str(), error = failure);
        self.recent.forget(&(told.uid.clone(), told.notice.clone()));
    }
}

fn event(told: &Told, instance: &str) -> Event {
    let Told { service, uid, notice, at } = told;
    let text = |text: &Arc<str>| Some(text.to_string());
    let mut note = notice.note.clone();
    note.truncate((0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0));
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", service.name, at.as_nanosecond())),
            namespace: text(&service.namespace),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(*at)),
        type_: Some(if notice.kind.is_warning() { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(notice.kind.as_str().to_owned()),
        action: Some("Allocate".to_owned()),
        note: Some(note),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            name: text(&service.name),
            namespace: text(&service.namespace),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(format!("ferrolb.io/{OPERATOR_MANAGER}")),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_runtime::tasks::Tasks;
    use http::Method;
    use prometheus_client::registry::Registry;

    use super::super::tests::server::{Script, start};
    use super::*;
    use crate::notice::Kind;
    use crate::refusal::Reason;

    #[tokio::test(start_paused = true)]
    async fn warnings_go_first_and_what_is_told_again_is_counted() {
        let (client, mut seen) = start(Script::default());
        let tenure = Tenure::new(clock() + Duration::from_secs(3600));
        let metrics = Metrics::register(&mut Registry::default());
        let (events, sender) = channel(client, tenure, metrics);
        let warning = Notice { kind: Kind::AllocationFailed(Reason::PoolExhausted), note: "full".to_owned() };
        let web = ServiceKey::new("default", "web");
        events.tell(&web, "u", Notice::left());
        events.tell(&web, "u", warning.clone());
        events.tell(&web, "u", warning);
        let tasks = Tasks::default();
        let sending = tokio::spawn(sender.run(tasks.shutdown()));
        let mut found = Vec::new();
        for _ in 0..3 {
            let seen = seen.recv().await.expect("the server runs");
            let name = seen.path.rsplit('/').next().unwrap_or_default().to_owned();
            found.push((seen.method, name, seen.body));
        }
        drop(tasks);
        sending.await.expect("no panic");
        let [(first, _, full), (second, of, counted), (third, _, left)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((first, second, third), (&Method::POST, &Method::PATCH, &Method::POST));
        assert_eq!((&full["note"], &left["reason"]), (&json!("full"), &json!("Released")));
        assert_eq!((&json!(of), &counted["series"]["count"]), (&full["metadata"]["name"], &json!(2)));
        assert!(counted["series"]["lastObservedTime"].is_string());
    }
}
