//! Events on Services: told beside the work, in order, at a bounded rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::names::OPERATOR_MANAGER;
use ferrolb_runtime::tasks::Shutdown;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tracing::warn;

use super::clock;
use crate::key::ServiceKey;
use crate::leader::Tenure;
use crate::leader::fence::fenced;
use crate::metrics::Metrics;
use crate::notice::Notice;

/// Events that may wait; more are dropped and counted.
const WAITING: usize = 16_384;
/// Events that are sent at once; from there on one at a time, at a pace: they take from the API server what the
/// addresses of others need.
const BURST: u32 = 50;
/// The time from one Event to the next, when many wait.
const PACE: Duration = Duration::from_millis(200);
/// How long the API server may take for an Event.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Where notices are handed in.
#[derive(Clone)]
pub(super) struct Events {
    queue: mpsc::Sender<Told>,
    metrics: Metrics,
}

/// How many Events may be sent now.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// Up to when time has been counted.
    counted: Instant,
}

/// A notice about a Service.
struct Told {
    service: ServiceKey,
    uid: String,
    notice: Notice,
}

/// Sends the Events that are handed in.
pub(super) struct Sender {
    client: Client,
    tenure: Tenure,
    queue: mpsc::Receiver<Told>,
    instance: String,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: BURST, counted: now }
    }

    /// Takes one, and returns how long to wait for it.
    fn take(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.counted).as_millis() / PACE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(BURST);
        self.counted += PACE.saturating_mul(earned);
        self.left = self.left.saturating_add(earned).min(BURST);
        match self.left.checked_sub(1) {
            Some(rest) => self.left = rest,
            None => self.counted += PACE,
        }
        self.counted.saturating_duration_since(now)
    }
}

/// A place to hand notices in, and what sends them.
pub(super) fn channel(client: Client, tenure: Tenure, metrics: Metrics) -> (Events, Sender) {
    let (sender, queue) = mpsc::channel(WAITING);
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| OPERATOR_MANAGER.to_owned());
    (Events { queue: sender, metrics }, Sender { client, tenure, queue, instance })
}

impl Events {
    /// Hands a notice in, without waiting.
    pub(super) fn tell(&self, service: &ServiceKey, uid: &str, notice: Notice) {
        let told = Told { service: service.clone(), uid: uid.to_owned(), notice };
        if self.queue.try_send(told).is_err() {
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
                told = self.queue.recv() => told,
                () = &mut stop => None,
            };
            let Some(told) = told else { return };
            tokio::time::sleep(allowance.take(clock())).await;
            self.send(&told).await;
        }
    }

    async fn send(&self, told: &Told) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &told.service.namespace);
        #[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
        let event = event(told, &self.instance, Timestamp::now());
        let sent = fenced(&self.tenure, TIMEOUT, events.create(&PostParams::default(), &event)).await;
        let failure = match sent {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(fenced) => fenced.to_string(),
        };
        warn!(event = "eventNotSent", service = %told.service, reason = told.notice.kind.as_str(), error = failure);
    }
}

fn event(told: &Told, instance: &str, now: Timestamp) -> Event {
    let Told { service, uid, notice } = told;
    let text = |text: &Arc<str>| Some(text.to_string());
    let mut note = notice.note.clone();
    note.truncate((0..=LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0));
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", service.name, now.as_nanosecond())),
            namespace: text(&service.namespace),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
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
    use super::*;

    #[test]
    fn many_events_are_sent_at_once_and_then_five_a_second() {
        let start = clock();
        let mut allowance = Allowance::new(start);
        assert!((0..BURST).all(|_| allowance.take(start).is_zero()));
        assert_eq!(allowance.take(start), PACE);
        assert_eq!(allowance.take(start + PACE), PACE);
        assert!(allowance.take(start + PACE * 3).is_zero());
        let later = start + PACE * 10 * BURST;
        assert!((0..BURST).all(|_| allowance.take(later).is_zero()), "a rest earns no more than a burst");
        assert_eq!(allowance.take(later), PACE);
    }
}
