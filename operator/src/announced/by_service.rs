//! Objects about Services, by their own names and by the Services' names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use crate::key::ServiceKey;

/// Something that is about one Service.
pub(super) trait About {
    /// The Service.
    fn service(&self) -> &ServiceKey;
}

/// Objects, each with a key of its own.
#[derive(Debug)]
pub(super) struct ByService<K, V> {
    objects: HashMap<K, V>,
    keys: BTreeMap<ServiceKey, BTreeSet<K>>,
}

impl<K, V> Default for ByService<K, V> {
    fn default() -> Self {
        Self { objects: HashMap::new(), keys: BTreeMap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord, V: About> ByService<K, V> {
    /// Puts an object in, or takes it out. Returns what was there before.
    pub(super) fn set(&mut self, key: K, object: Option<V>) -> Option<V> {
        let before = self.objects.remove(&key);
        if let Some(before) = &before
            && let Some(keys) = self.keys.get_mut(before.service())
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.keys.remove(before.service());
            }
        }
        if let Some(object) = object {
            self.keys.entry(object.service().clone()).or_default().insert(key.clone());
            self.objects.insert(key, object);
        }
        before
    }

    /// What is about a Service, by key.
    pub(super) fn about(&self, service: &ServiceKey) -> impl Iterator<Item = &V> + Clone {
        let keys = self.keys.get(service).into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.objects.iter()
    }
}
