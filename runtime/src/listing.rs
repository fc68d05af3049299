//! What the events of a watch say of the objects of a kind: which there are, which are gone.

use std::collections::BTreeSet;

use kube::runtime::watcher::Event;

use crate::watch::{Shown, Undecodable};

/// What tells the objects of a kind apart.
pub trait Key: Ord + Clone {
    /// The key of an object that can't be decoded.
    fn of(undecodable: &Undecodable) -> Self;
}

/// The object's name, where all are in one namespace or in none.
impl Key for String {
    fn of(undecodable: &Undecodable) -> Self {
        undecodable.name.clone()
    }
}

/// What the lists of a kind have named: what a later one does not name is gone.
#[derive(Debug)]
pub struct Listing<K> {
    /// The keys seen since a list began, while it lasts.
    listed: Option<BTreeSet<K>>,
    loaded: bool,
}

/// What an event says of objects: each one's key, and its value, if it is there and counts.
pub type Updates<K, V> = Vec<(K, Option<V>)>;

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { listed: None, loaded: false }
    }
}

impl<K: Key> Listing<K> {
    /// What an event says. `read` gives an object's key, and its value if it counts; an object that can't be decoded
    /// stays as it was. `known` are the objects of which something is known.
    pub fn take_in<'a, O, V, I: IntoIterator<Item = K>>(
        &mut self,
        event: &'a Shown<O>,
        read: impl Fn(&'a O) -> (K, Option<V>),
        known: impl FnOnce() -> I,
    ) -> Updates<K, V> {
        match event {
            Event::Init => self.listed = Some(BTreeSet::new()),
            Event::InitApply(Ok(object)) => {
                let (key, value) = read(object);
                self.note(key.clone());
                return vec![(key, value)];
            }
            Event::InitApply(Err(undecodable)) => self.note(K::of(undecodable)),
            Event::InitDone => {
                self.loaded = true;
                if let Some(listed) = self.listed.take() {
                    let gone = known().into_iter().filter(|key| !listed.contains(key));
                    return gone.map(|key| (key, None)).collect();
                }
            }
            Event::Apply(Ok(object)) => return vec![read(object)],
            Event::Apply(Err(_)) => {}
            Event::Delete(Ok(object)) => return vec![(read(object).0, None)],
            Event::Delete(Err(undecodable)) => return vec![(K::of(undecodable), None)],
        }
        Vec::new()
    }

    /// Whether everything was listed once.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    fn note(&mut self, key: K) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key);
        }
    }
}

/// The keys of all objects of a kind, also of those that can't be decoded.
#[derive(Debug)]
pub struct Inventory<K> {
    listing: Listing<K>,
    keys: BTreeSet<K>,
}

impl<K> Default for Inventory<K> {
    fn default() -> Self {
        Self { listing: Listing::default(), keys: BTreeSet::new() }
    }
}

impl<K: Key> Inventory<K> {
    /// What an event says: each key with its object, or with nothing if that is gone. An object that can't be decoded
    /// is there, and stays as it was.
    pub fn take_in<'a, O>(&mut self, event: &'a Shown<O>, key: impl Fn(&O) -> K) -> Updates<K, &'a O> {
        let Self { listing, keys } = self;
        if let Event::InitApply(Err(undecodable)) | Event::Apply(Err(undecodable)) = event {
            keys.insert(K::of(undecodable));
        }
        let updates = listing.take_in(event, |object| (key(object), Some(object)), || keys.iter().cloned());
        for (key, object) in &updates {
            match object {
                Some(_) => drop(keys.insert(key.clone())),
                None => drop(keys.remove(key)),
            }
        }
        updates
    }

    /// What there is.
    pub fn known(&self) -> &BTreeSet<K> {
        &self.keys
    }

    /// Whether everything was listed once.
    pub fn is_loaded(&self) -> bool {
        self.listing.is_loaded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_says_is_told() {
        let mut listing = Listing::default();
        for (event, expected) in [
            (Event::Init, ""),
            (Event::InitApply(Ok(("a", 1))), "a=1"),
            (Event::InitDone, ""),
            (Event::Apply(Ok(("a", 2))), "a=2"),
            (Event::Apply(Ok(("ignored", -1))), "ignored gone"),
            (Event::Delete(Ok(("a", 2))), "a gone"),
        ] {
            assert_eq!(told(&mut listing, &event, &["a"]), expected, "{event:?}");
        }
    }

    #[test]
    fn an_object_that_a_new_list_does_not_name_is_gone_at_its_end() {
        let mut listing = Listing::default();
        for event in [Event::Init, Event::InitApply(Ok(("b", 1)))] {
            assert!(!told(&mut listing, &event, &["a", "b"]).contains("gone"), "the list is not complete");
        }
        assert_eq!(told(&mut listing, &Event::InitDone, &["a", "b", "c"]), "a gone, c gone");
        assert_eq!(told(&mut listing, &Event::InitDone, &["a"]), "", "there was no list");
    }

    #[test]
    fn a_listing_is_loaded_after_its_first_list() {
        let mut listing = Listing::default();
        for (event, loaded) in [(Event::Init, false), (Event::InitDone, true), (Event::Init, true)] {
            told(&mut listing, &event, &[]);
            assert_eq!(listing.is_loaded(), loaded, "{event:?}");
        }
    }

    #[test]
    fn an_object_that_cannot_be_decoded_stays_as_it_was_until_it_is_gone() {
        let mut listing = Listing::default();
        let undecodable = |name: &str| Err(Undecodable { namespace: None, name: name.to_owned() });
        for (event, expected) in [
            (Event::Apply(undecodable("a")), ""),
            (Event::Init, ""),
            (Event::InitApply(undecodable("a")), ""),
            (Event::InitDone, "b gone"),
            (Event::Delete(undecodable("a")), "a gone"),
        ] {
            assert_eq!(told(&mut listing, &event, &["a", "b"]), expected, "{event:?}");
        }
    }

    #[test]
    fn an_inventory_has_what_the_last_list_named_and_what_cannot_be_decoded() {
        let mut inventory = Inventory::<String>::default();
        let unreadable = |name: &str| Err(Undecodable { namespace: None, name: name.to_owned() });
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
            (Event::InitApply(unreadable("c")), vec![]),
            (Event::InitApply(unreadable("e")), vec![]),
            (Event::InitDone, vec![("a", false)]),
            (Event::Apply(unreadable("f")), vec![]),
        ] {
            let told = inventory.take_in(&event, |name: &&str| (*name).to_owned());
            let told: Vec<_> = told.iter().map(|(key, object)| (key.as_str(), object.is_some())).collect();
            assert_eq!(told, expected);
        }
        assert!(inventory.is_loaded() && inventory.known().iter().eq(["b", "c", "e", "f"]));
    }

    fn told(listing: &mut Listing<String>, event: &Shown<(&str, i32)>, known: &[&str]) -> String {
        let read = |&(key, value): &(&str, i32)| (key.to_owned(), (value >= 0).then_some(value));
        let known = || known.iter().map(|key| key.to_string());
        let updates = listing.take_in(event, read, known).into_iter();
        let texts =
            updates.map(|(key, value)| value.map_or(format!("{key} gone"), |value| format!("{key}={value}")));
        texts.collect::<Vec<_>>().join(", ")
    }
}
