//! What is known of all objects of a kind, kept from the events of a watch.

use std::collections::{BTreeMap, BTreeSet};

use kube::runtime::watcher::Event;

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

impl<K: Ord + Clone, V: PartialEq> Collection<K, V> {
    /// Takes up an event. `read` gives an object's key, and its value if it counts. Says whether a value changed,
    /// or everything was listed for the first time.
    pub(crate) fn apply<O>(&mut self, event: &Event<O>, read: impl Fn(&O) -> (K, Option<V>)) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                false
            }
            Event::InitApply(object) => {
                let (key, value) = read(object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(key.clone());
                }
                self.set(key, value)
            }
            Event::InitDone => {
                let before = self.items.len();
                if let Some(listed) = self.listed.take() {
                    self.items.retain(|key, _| listed.contains(key));
                }
                let first = !std::mem::replace(&mut self.loaded, true);
                first || self.items.len() != before
            }
            Event::Apply(object) => {
                let (key, value) = read(object);
                self.set(key, value)
            }
            Event::Delete(object) => self.items.remove(&read(object).0).is_some(),
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
            (Event::InitApply(("a", 1)), true),
            (Event::InitDone, true),
            (Event::Apply(("a", 1)), false),
            (Event::Apply(("a", 2)), true),
            (Event::Apply(("ignored", -1)), false),
            (Event::Apply(("a", -1)), true),
            (Event::Apply(("a", 3)), true),
            (Event::Delete(("a", 3)), true),
            (Event::Delete(("a", 3)), false),
        ] {
            assert_eq!(collection.apply(&event, read), changed, "{event:?}");
        }
    }

    #[test]
    fn an_object_that_a_new_list_does_not_show_is_gone_at_its_end() {
        let mut collection = Collection::default();
        let events = [
            Event::Init,
            Event::InitApply(("a", 1)),
            Event::InitApply(("b", 1)),
            Event::InitDone,
            Event::Init,
            Event::InitApply(("b", 1)),
        ];
        for event in events {
            collection.apply(&event, read);
        }
        assert_eq!(collection.items().len(), 2, "nothing is forgotten before the list is complete");
        assert!(collection.apply(&Event::InitDone, read));
        assert_eq!(collection.items().keys().collect::<Vec<_>>(), [&"b"]);
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

    fn read(&(key, value): &(&'static str, i32)) -> (&'static str, Option<i32>) {
        (key, (value >= 0).then_some(value))
    }
}
