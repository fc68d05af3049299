//! Watches that survive what they can't decode and an API server that goes away, with a store or without one.

use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef, Store, store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::guard::Guarded;

/// Objects a page of the initial list: small pages bound the memory that decoding takes.
pub const PAGE_SIZE: u32 = 200;

/// How long a watch lasts before it is taken up anew: an API server that hangs is noticed then. All watches of a
/// speaker together send a request every thirty seconds for it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(180);

/// The longest delay before a watch is taken up again: a server that comes back is noticed soon.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The configuration of our watches: everything, in small pages, and taken up anew from time to time.
pub fn config() -> watcher::Config {
    let seconds = u32::try_from(TIMEOUT.as_secs()).unwrap_or(u32::MAX);
    watcher::Config::default().page_size(PAGE_SIZE).timeout(seconds)
}

/// An object that can't be decoded: what can be told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Its namespace, if it is in one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What a watch shows: of an object that can't be decoded, which one it is.
pub type Shown<K> = Event<Result<K, Undecodable>>;

/// A store of all objects of a kind, and the stream of events that fills it while it is polled.
///
/// As [`events`], but an object that can't be decoded is left out, or stays as it was.
pub fn reflect<K>(
    api: Api<Guarded<K>>,
    config: watcher::Config,
    strip: fn(&mut K),
) -> (Store<K>, impl Stream<Item = watcher::Result<Event<K>>> + Send)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = store();
    let known = reader.clone();
    let decoded = events(api, config, strip)
        .filter_map(move |event| std::future::ready(event.map(|event| or_known(event, &known)).transpose()));
    (reader, reflector::reflector(writer, decoded))
}

/// The events of all objects of a kind.
///
/// `strip` removes from an object what nobody reads. An object that can't be decoded is logged and told as such: it
/// never ends the watch. An error in the stream means that the watch is down; it is taken up again with a growing
/// delay, and the next event means that it is up: also that a list begins is told only once the list is answered.
pub fn events<K>(
    api: Api<Guarded<K>>,
    config: watcher::Config,
    strip: fn(&mut K),
) -> impl Stream<Item = watcher::Result<Shown<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let delays = Delays(DefaultBackoff::default());
    let answered = once_answered(watcher(api, config));
    answered.backoff(delays).map(move |event| event.map(|event| decode(event, strip)))
}

/// Holds the beginning of a list back until the list is answered: the watcher tells it before each attempt, and so
/// an API server that is down would seem to be up again and again.
fn once_answered<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let mut begins = false;
    let answered = events.map(move |event| {
        let begun = std::mem::replace(&mut begins, matches!(event, Ok(Event::Init)));
        let beginning = (begun && event.is_ok()).then_some(Ok(Event::Init));
        let event = (!begins).then_some(event);
        stream::iter(beginning.into_iter().chain(event))
    });
    answered.flatten()
}

fn decode<K>(event: Event<Guarded<K>>, strip: fn(&mut K)) -> Shown<K>
where
    K: Resource<DynamicType = ()>,
{
    let read = |guard: Guarded<K>| match guard.0 {
        Ok(mut object) => {
            strip(&mut object);
            Ok(object)
        }
        Err(invalid) => {
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name.unwrap_or_default());
            warn!(
                event = "objectSkipped",
                kind = %K::kind(&()),
                namespace,
                name,
                error = %invalid.error,
                "an object can't be decoded: it is left as it was, or out"
            );
            Err(Undecodable { namespace, name })
        }
    };
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(guard) => Event::InitApply(read(guard)),
        Event::Apply(guard) => Event::Apply(read(guard)),
        Event::Delete(guard) => Event::Delete(read(guard)),
    }
}

/// Puts the object that is known in the place of one that can't be decoded.
fn or_known<K>(event: Shown<K>, known: &Store<K>) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let accept = |read: Result<K, Undecodable>| match read {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Some(object)
        }
        Err(Undecodable { namespace, name }) => {
            let mut reference = ObjectRef::new(&name);
            reference.namespace = namespace;
            known.get(&reference).map(|object| K::clone(&object))
        }
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(read) => Event::InitApply(accept(read)?),
        Event::Apply(read) => Event::Apply(accept(read)?),
        Event::Delete(read) => Event::Delete(accept(read)?),
    })
}

/// Delays that grow up to [`LONGEST_DELAY`], with jitter.
struct Delays(DefaultBackoff);

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(shortened)
    }
}

impl Backoff for Delays {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// A delay within the limit. What it has below a second is random and stays, so that not all come back at once.
fn shortened(delay: Duration) -> Duration {
    if delay < LONGEST_DELAY {
        delay
    } else {
        LONGEST_DELAY - Duration::from_secs(1) + Duration::from_nanos(delay.subsec_nanos().into())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::future::join;
    use http::{Request, Response, StatusCode};
    use k8s_openapi::api::core::v1::Service;
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::time::Instant;
    use tower_test::mock;

    use super::*;

    type Server = mock::Handle<Request<Body>, Response<Body>>;

    #[test]
    fn a_decodable_object_is_stripped() {
        let Event::Apply(Ok(service)) = decode(Event::Apply(guarded(good())), strip) else {
            panic!("the object was left out");
        };
        assert!(service.metadata.labels.is_none());
    }

    #[test]
    fn a_store_keeps_nothing_of_who_wrote_what() {
        let (known, _writer) = store();
        let Some(Event::Apply(service)) = or_known(decode(Event::Apply(guarded(good())), strip), &known)
        else {
            panic!("the object was left out");
        };
        assert!(service.metadata.managed_fields.is_none_or(|fields| fields.is_empty()));
    }

    #[test]
    fn an_undecodable_object_is_left_out_or_stays_as_it_was() {
        let (known, mut writer) = store();
        assert!(or_known(decode(Event::Apply(guarded(bad())), strip), &known).is_none());

        writer.apply_watcher_event(&Event::Apply(serde_json::from_value::<Service>(good()).unwrap()));
        for event in [Event::InitApply, Event::Apply, Event::Delete] {
            let kept = or_known(decode(event(guarded(bad())), strip), &known).unwrap();
            let (Event::InitApply(service) | Event::Apply(service) | Event::Delete(service)) = kept else {
                panic!("{kept}");
            };
            assert_eq!(service.spec.unwrap().type_.as_deref(), Some("LoadBalancer"));
        }
    }

    #[test]
    fn an_undecodable_object_is_told_by_its_name() {
        let Event::Delete(Err(undecodable)) = decode(Event::Delete(guarded(bad())), strip) else {
            panic!("the object was decoded");
        };
        assert_eq!((undecodable.namespace.as_deref(), &*undecodable.name), (Some("default"), "web"));
    }

    #[test]
    fn a_watch_is_taken_up_again_within_five_seconds() {
        let delays: Vec<_> = Delays(DefaultBackoff::default()).take(20).collect();
        assert!(delays.iter().all(|delay| *delay <= LONGEST_DELAY), "{delays:?}");
        assert!(
            delays[10..].iter().all(|delay| *delay >= LONGEST_DELAY - Duration::from_secs(1)),
            "{delays:?}"
        );
        let distinct: std::collections::BTreeSet<_> = delays[10..].iter().collect();
        assert!(distinct.len() > 1, "{delays:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_lists_fail_the_watch_is_down_and_is_tried_less_and_less_often() {
        let (service, mut server) = mock::pair();
        let api = Api::all(Client::new(service, "default"));
        let mut events = pin!(events::<Service>(api, config(), strip));
        let mut failures = Vec::new();
        for _ in 0..8 {
            let (event, ()) =
                join(events.next(), answer(&mut server, StatusCode::FORBIDDEN, json!({}))).await;
            assert!(matches!(event, Some(Err(_))), "{event:?}");
            failures.push(now());
        }
        let delays: Vec<_> = failures.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            delays[5..].iter().all(|delay| *delay >= LONGEST_DELAY - Duration::from_secs(1)),
            "{delays:?}"
        );

        let list = json!({
            "apiVersion": "v1", "kind": "ServiceList", "metadata": { "resourceVersion": "1" }, "items": []
        });
        let (event, ()) = join(events.next(), answer(&mut server, StatusCode::OK, list)).await;
        assert!(matches!(event, Some(Ok(Event::Init))), "{event:?}");
        let event = events.next().await;
        assert!(matches!(event, Some(Ok(Event::InitDone))), "{event:?}");
    }

    async fn answer(server: &mut Server, code: StatusCode, body: Value) {
        let (_, send) = server.next_request().await.unwrap();
        let body = Body::from(body.to_string().into_bytes());
        send.send_response(Response::builder().status(code).body(body).unwrap());
    }

    #[expect(clippy::disallowed_methods, reason = "the time is paused")]
    fn now() -> Instant {
        Instant::now()
    }

    fn guarded(object: Value) -> Guarded<Service> {
        serde_json::from_value(object).unwrap()
    }

    fn good() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "default", "labels": { "a": "b" },
                "managedFields": [{ "manager": "kubectl" }]
            },
            "spec": { "type": "LoadBalancer" }
        })
    }

    fn bad() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "default" },
            "spec": "not an object"
        })
    }

    fn strip(service: &mut Service) {
        service.metadata.labels = None;
    }
}
