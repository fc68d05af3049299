//! What a Lease says of its holder, and the name of the Lease that operators of a class share.

use std::time::Duration;

use ferrolb_crds::names::{OPERATOR_MANAGER, operator_lease};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// What a Lease says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The holder's identity; empty if it was released.
    pub holder: String,
    /// For how long it lasts after a change; `None` if it does not say.
    pub duration: Option<Duration>,
    /// Since when the holder has had it, by the wall clock of the holder. Only told, never compared.
    pub acquired: Option<Timestamp>,
    /// How often the holder has changed.
    pub transitions: i32,
}

/// A record, and the version of the Lease that it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The Lease's `resourceVersion`.
    pub version: String,
    /// What it says.
    pub record: Record,
}

impl From<&Lease> for Versioned {
    fn from(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let record = Record {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: seconds.map(Duration::from_secs),
            acquired: spec.acquire_time.map(|MicroTime(time)| time),
            transitions: spec.lease_transitions.unwrap_or(0),
        };
        Self { version: lease.metadata.resource_version.clone().unwrap_or_default(), record }
    }
}

/// A Lease as it is written, in place of one version or, without one, as a new one.
pub fn lease(name: &str, version: Option<String>, record: Record, now: Timestamp) -> Lease {
    let label = |name: &str, value: &str| (format!("app.kubernetes.io/{name}"), value.to_owned());
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: version,
            labels: Some([label("name", "ferrolb"), label("component", "operator")].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(record.holder),
            lease_duration_seconds: record.duration.and_then(|duration| duration.as_secs().try_into().ok()),
            acquire_time: Some(MicroTime(record.acquired.unwrap_or(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(record.transitions),
            ..LeaseSpec::default()
        }),
    }
}

/// The name of the Lease that operators of a class share: each class has a leader of its own.
pub fn lease_name(class: Option<&str>) -> String {
    class.map_or_else(|| OPERATOR_MANAGER.to_owned(), operator_lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_was_written() {
        let record = Record {
            holder: "pod_1".to_owned(),
            duration: Some(Duration::from_secs(15)),
            acquired: None,
            transitions: 3,
        };
        let now = Timestamp::UNIX_EPOCH;
        let written = lease("ferrolb-operator", Some("7".to_owned()), record.clone(), now);
        let expected = Record { acquired: Some(now), ..record };
        assert_eq!(Versioned::from(&written), Versioned { version: "7".to_owned(), record: expected });
        assert_eq!(written.spec.unwrap().renew_time, Some(MicroTime(now)));
    }

    #[test]
    fn an_empty_lease_has_no_holder() {
        let read = Versioned::from(&Lease::default()).record;
        assert_eq!(read, Record { holder: String::new(), duration: None, acquired: None, transitions: 0 });
    }
}
