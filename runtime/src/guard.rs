//! Objects of which some can't be decoded.

use std::borrow::Cow;

use kube::Resource;
use kube::core::{ObjectMeta, PartialObjectMeta};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object, or why it can't be decoded and its metadata: one bad object harms no other of its list.
///
/// As kube's `DeserializeGuard`, which copies every object twice.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub(crate) Result<K, Invalid>);

/// An object that can't be decoded.
#[derive(Clone, Debug)]
pub(crate) struct Invalid {
    pub(crate) error: String,
    pub(crate) metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let invalid = |error: serde_json::Error| {
            let PartialObjectMeta { metadata, .. } =
                PartialObjectMeta::<K>::deserialize(&value).map_err(D::Error::custom)?;
            Ok(Err(Invalid { error: error.to_string(), metadata }))
        };
        K::deserialize(&value).map(Ok).or_else(invalid).map(Self)
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|invalid| &mut invalid.metadata, K::meta_mut)
    }
}
