//! What a new list of objects does not name any more.

use std::collections::HashSet;
use std::hash::Hash;

use ferrolb_runtime::watch::Undecodable;
use kube::runtime::watcher::Event;

/// The keys of all objects of a kind, over lists and watches.
#[derive(Debug)]
pub(super) struct Listing<K> {
    known: HashSet<K>,
    /// What a list has named that is being read.
    listed: Option<HashSet<K>>,
    complete: bool,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { known: HashSet::new(), listed: None, complete: false }
    }
}

impl<K: Clone + Eq + Hash> Listing<K> {
    /// Whether a list was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What there is.
    pub(super) fn known(&self) -> &HashSet<K> {
        &self.known
    }

    /// What an event says: each key with its object, or with nothing if that is gone. An object that can't be decoded
    /// is there, and stays as it was.
    pub(super) fn take_in<T>(
        &mut self,
        event: Event<Result<T, Undecodable>>,
        key: impl Fn(&T) -> K,
        undecodable: impl Fn(&Undecodable) -> K,
    ) -> Vec<(K, Option<T>)> {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(Ok(object)) | Event::Apply(Ok(object)) => {
                let key = key(&object);
                self.add(key.clone());
                vec![(key, Some(object))]
            }
            Event::InitApply(Err(unreadable)) | Event::Apply(Err(unreadable)) => {
                self.add(undecodable(&unreadable));
                Vec::new()
            }
            Event::Delete(object) => {
                let key = object.as_ref().map_or_else(undecodable, key);
                self.known.remove(&key);
                vec![(key, None)]
            }
            Event::InitDone => {
                self.complete = true;
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<_> = self.known.difference(&listed).cloned().collect();
                self.known = listed;
                gone.into_iter().map(|key| (key, None)).collect()
            }
        }
    }

    fn add(&mut self, key: K) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        self.known.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_list_does_not_name_is_gone_and_what_cannot_be_decoded_is_not() {
        let mut listing = Listing::default();
        let unreadable = || Err(Undecodable { namespace: None, name: "c".to_owned() });
        for (event, expected) in [
            (Event::Init, vec![]),
            (Event::InitApply(Ok("a")), vec![("a", true)]),
            (Event::InitApply(Ok("b")), vec![("b", true)]),
            (Event::InitApply(Ok("c")), vec![("c", true)]),
            (Event::InitDone, vec![]),
            (Event::Apply(Ok("d")), vec![("d", true)]),
            (Event::Delete(Ok("d")), vec![("d", false)]),
            (Event::Init, vec![]),
            (Event::InitApply(Ok("b")), vec![("b", true)]),
            (Event::InitApply(unreadable()), vec![]),
            (Event::InitDone, vec![("a", false)]),
        ] {
            let told = listing.take_in(event, |name| (*name).to_owned(), |it| it.name.clone());
            let told: Vec<_> = told.iter().map(|(key, object)| (key.as_str(), object.is_some())).collect();
            assert_eq!(told, expected);
        }
        assert!(listing.is_complete() && listing.known().len() == 2);
    }
}
