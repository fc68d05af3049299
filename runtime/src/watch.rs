//! Watches that keep a store up to date and survive what they can't decode.

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::warn;

/// Objects a page of the initial list: small pages bound the memory that decoding takes.
const PAGE_SIZE: u32 = 200;

/// The configuration of our watches: everything, in small pages.
pub fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE_SIZE)
}

/// A store of all objects of a kind, and the stream of events that fills it while it is polled.
///
/// `strip` removes from an object what nobody reads before it is stored. An object that can't be decoded is logged
/// and left out, or stays as it was: it never ends the watch. An error in the stream means that the watch is down;
/// it is taken up again with a growing delay, and the next event means that it is up.
pub fn reflect<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    strip: fn(&mut K),
) -> (Store<K>, impl Stream<Item = watcher::Result<Event<K>>> + Send)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = store();
    let known = reader.clone();
    let decoded = watcher(api, config).default_backoff().filter_map(move |event| {
        std::future::ready(event.map(|event| decode(event, &known, strip)).transpose())
    });
    (reader, reflector::reflector(writer, decoded))
}

fn decode<K>(event: Event<DeserializeGuard<K>>, known: &Store<K>, strip: fn(&mut K)) -> Option<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let accept = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            strip(&mut object);
            Some(object)
        }
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            warn!(
                event = "objectSkipped",
                kind = %K::kind(&()),
                namespace = invalid.metadata.namespace,
                name,
                error = %invalid.error,
                "an object can't be decoded: it is left as it was, or out"
            );
            let mut reference = ObjectRef::new(&name);
            reference.namespace = invalid.metadata.namespace;
            known.get(&reference).map(|object| K::clone(&object))
        }
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(guard) => Event::InitApply(accept(guard)?),
        Event::Apply(guard) => Event::Apply(accept(guard)?),
        Event::Delete(guard) => Event::Delete(accept(guard)?),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_decodable_object_is_stripped() {
        let (known, _writer) = store();
        let Some(Event::Apply(service)) = decode(Event::Apply(guarded(good())), &known, strip) else {
            panic!("the object was left out");
        };
        assert!(service.metadata.managed_fields.is_none_or(|fields| fields.is_empty()));
        assert!(service.metadata.labels.is_none());
    }

    #[test]
    fn an_undecodable_object_is_left_out_or_stays_as_it_was() {
        let (known, mut writer) = store();
        assert!(decode(Event::Apply(guarded(bad())), &known, strip).is_none());

        writer.apply_watcher_event(&Event::Apply(serde_json::from_value::<Service>(good()).unwrap()));
        for event in [Event::InitApply, Event::Apply, Event::Delete] {
            let kept = decode(event(guarded(bad())), &known, strip).unwrap();
            let (Event::InitApply(service) | Event::Apply(service) | Event::Delete(service)) = kept else {
                panic!("{kept}");
            };
            assert_eq!(service.spec.unwrap().type_.as_deref(), Some("LoadBalancer"));
        }
    }

    fn guarded(object: Value) -> DeserializeGuard<Service> {
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
