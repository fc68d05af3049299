//! What is known of all objects of a kind, kept from the events of a watch.

use std::collections::{BTreeMap, BTreeSet};

use ferrolb_runtime::watch::Undecodable;
use kube::runtime::watcher::Event;

use super::watch::Shown;
use crate::ownership::ServiceName;

/// What tells the objects of a kind apart.
pub(crate) trait Key: Ord + Clone {
    /// The key of an object that can't be decoded.
    fn of(undecodable: &Undecodable) -> Self;
}

/// The object's name, where all are in one namespace or in none.
impl Key for String {
    fn of(undecodable: &Undecodable) -> Self {
        undecodable.name.clone()
    }
}

impl Key for ServiceName {
    fn of(Undecodable { namespace, name }: &Undecodable) -> Self {
        Self { namespace: namespace.clone().unwrap_or_default(), name: name.clone() }
    }
}

/// A value for each object that counts, by key.
#[derive(Debug)]
pub(crate) struct Collection<K, V> {
    items: BTreeMap<K, V>,
    /// The keys seen since a list began, while it lasts; what was not seen when it ends is gone.
    listed: Option<BTreeSet<K>>,
    loaded: bool,
}

impl<K, V> Default for Collection<K, V> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), listed: None, loaded: false }
    }
}

impl<K: Key, V: PartialEq> Collection<K, V> {
    /// Takes up an event. `read` gives an object's key, and its value if it counts; an object that can't be decoded
    /// stays as it was. Says whether a value changed, or everything was listed for the first time.
    pub(crate) fn apply<O>(&mut self, event: &Shown<O>, read: impl Fn(&O) -> (K, Option<V>)) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                false
            }
            Event::InitApply(Ok(object)) => {
                let (key, value) = read(object);
                self.note(key.clone());
                self.set(key, value)
            }
            Event::InitApply(Err(undecodable)) => {
                self.note(K::of(undecodable));
                false
            }
            Event::InitDone => {
                let before = self.items.len();
                if let Some(listed) = self.listed.take() {
                    self.items.retain(|key, _| listed.contains(key));
                }
                let first = !std::mem::replace(&mut self.loaded, true);
                first || self.items.len() != before
            }
            Event::Apply(Ok(object)) => {
                let (key, value) = read(object);
                self.set(key, value)
            }
            Event::Apply(Err(_)) => false,
            Event::Delete(Ok(object)) => self.items.remove(&read(object).0).is_some(),
            Event::Delete(Err(undecodable)) => self.items.remove(&K::of(undecodable)).is_some(),
        }
    }

    /// What is known.
    pub(crate) fn items(&self) -> &BTreeMap<K, V> {
        &self.items
    }

    /// Whether everything was listed once.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    fn note(&mut self, key: K) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key);
        }
    }

    fn set(&mut self, key: K, value: Option<V>) -> bool {
        match value {
            Some(value) if self.items.get(&key) == Some(&value) => false,
            Some(value) => {
                self.items.insert(key, value);
                true
            }
            None => self.items.remove(&key).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_say_whether_something_changed() {
        let mut collection = Collection::default();
        for (event, changed) in [
            (Event::Init, false),
            (Event::InitApply(Ok(("a", 1))), true),
            (Event::InitDone, true),
            (Event::Apply(Ok(("a", 1))), false),
            (Event::Apply(Ok(("a", 2))), true),
            (Event::Apply(Ok(("ignored", -1))), false),
            (Event::Apply(Ok(("a", -1))), true),
            (Event::Apply(Ok(("a", 3))), true),
            (Event::Delete(Ok(("a", 3))), true),
            (Event::Delete(Ok(("a", 3))), false),
        ] {
            assert_eq!(collection.apply(&event, read), changed, "{event:?}");
        }
    }

    #[test]
    fn an_object_that_a_new_list_does_not_show_is_gone_at_its_end() {
        let mut collection = Collection::default();
        let events = [
            Event::Init,
            Event::InitApply(Ok(("a", 1))),
            Event::InitApply(Ok(("b", 1))),
            Event::InitDone,
            Event::Init,
            Event::InitApply(Ok(("b", 1))),
        ];
        for event in events {
            collection.apply(&event, read);
        }
        assert_eq!(collection.items().len(), 2, "nothing is forgotten before the list is complete");
        assert!(collection.apply(&Event::InitDone, read));
        assert_eq!(collection.items().keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_collection_is_loaded_after_its_first_list() {
        let mut collection = Collection::default();
        collection.apply(&Event::Init, read);
        assert!(!collection.is_loaded());
        assert!(collection.apply(&Event::InitDone, read), "the first list counts even if it is empty");
        assert!(collection.is_loaded());
        collection.apply(&Event::Init, read);
        assert!(!collection.apply(&Event::InitDone, read) && collection.is_loaded());
    }

    #[test]
    fn an_object_that_cannot_be_decoded_stays_as_it_was_until_it_is_gone() {
        let mut collection = Collection::default();
        let undecodable = |name: &str| Err(Undecodable { namespace: None, name: name.to_owned() });
        for (event, changed) in [
            (Event::Apply(Ok(("a", 1))), true),
            (Event::Apply(undecodable("a")), false),
            (Event::Apply(undecodable("b")), false),
            (Event::Init, false),
            (Event::InitApply(undecodable("a")), false),
            (Event::InitApply(undecodable("b")), false),
            (Event::InitDone, true),
        ] {
            assert_eq!(collection.apply(&event, read), changed, "{event:?}");
            assert_eq!(collection.items(), &BTreeMap::from([("a".to_owned(), 1)]), "{event:?}");
        }
        assert!(collection.apply(&Event::Delete(undecodable("a")), read));
        assert!(collection.items().is_empty());
    }

    fn read(&(key, value): &(&str, i32)) -> (String, Option<i32>) {
        (key.to_owned(), (value >= 0).then_some(value))
    }
}
