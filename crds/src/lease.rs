//! The Lease of a node's speaker: what it says, and how.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{self, LINKS_ANNOTATION, OWNED_ANNOTATION};

/// The shortest time between two renewals.
pub const MIN_PERIOD: Duration = Duration::from_secs(6);
/// The time between two renewals grows by this with every node, so that all speakers together renew at most
/// twenty times a second.
pub const PERIOD_PER_NODE: Duration = Duration::from_millis(50);
/// A Lease lasts for this many periods.
pub const PERIODS: u32 = 3;
/// How long the Lease of a speaker lasts that was stopped, for its successor to start in.
pub const HANDOVER_DURATION: Duration = Duration::from_secs(60);

/// A link in a Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseLink {
    /// The interface's name.
    pub name: String,
    /// Every hardware address that it may send from.
    pub macs: Vec<String>,
    /// Its own IPv4 addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Ipv6Addr>,
}

/// How often a speaker renews, with this many speakers in the cluster.
pub fn period(speakers: usize) -> Duration {
    let speakers = u32::try_from(speakers).unwrap_or(u32::MAX);
    MIN_PERIOD.max(PERIOD_PER_NODE.saturating_mul(speakers))
}

/// Whose Lease it is.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The UID of the node's object.
    pub uid: &'a str,
    /// The namespace that the Lease is in.
    pub namespace: &'a str,
}

/// A Lease as its speaker writes it; released, where it is to last no longer. The Node owns it, so that it goes away with the Node.
pub fn write(
    holder: Holder<'_>,
    links: &[LeaseLink],
    owned: u32,
    duration: Duration,
    acquired: Timestamp,
    now: Timestamp,
) -> Lease {
    let name = holder.node.to_owned();
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: name.clone(),
        uid: holder.uid.to_owned(),
        ..Default::default()
    };
    let links = serde_json::json!(links).to_string();
    Lease {
        metadata: ObjectMeta {
            name: Some(format!("{}{name}", names::LEASE_PREFIX)),
            namespace: Some(holder.namespace.to_owned()),
            labels: Some([(names::LEASE_LABEL.to_owned(), names::label_value(&name))].into()),
            annotations: Some(
                [(LINKS_ANNOTATION.to_owned(), links), (OWNED_ANNOTATION.to_owned(), owned.to_string())]
                    .into(),
            ),
            owner_references: Some(vec![owner]),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            // The API takes no duration of zero.
            holder_identity: Some(if duration.is_zero() { String::new() } else { name }),
            lease_duration_seconds: i32::try_from(duration.as_secs().max(1)).ok(),
            acquire_time: Some(MicroTime(acquired)),
            renew_time: Some(MicroTime(now)),
            ..Default::default()
        }),
    }
}

/// What a peer learns from a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The node whose Lease it is.
    pub node: String,
    /// For how long it lasts after a change; zero when it was released.
    pub duration: Duration,
    /// When its holder renewed it, by the holder's clock: only ever compared with itself, for a change.
    pub renewed: Option<Timestamp>,
    /// The links that are up.
    pub links: Vec<LeaseLink>,
    /// How many addresses its node owns.
    pub owned: Option<u32>,
}

impl Observed {
    /// Names of the links that are up.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.name.as_str())
    }
}

/// Reads a Lease; `None` if its name is not that of a speaker's Lease. An annotation that can't be read counts as
/// no links.
pub fn read(lease: &Lease) -> Option<Observed> {
    let node = lease.metadata.name.as_deref()?.strip_prefix(names::LEASE_PREFIX)?;
    Some(observe(lease, node))
}

/// Reads any Lease, whose holder is then called `node`.
pub fn observe(lease: &Lease, node: &str) -> Observed {
    let spec = lease.spec.clone().unwrap_or_default();
    let held = spec.holder_identity.is_some_and(|holder| !holder.is_empty());
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let annotation = |name: &str| lease.metadata.annotations.as_ref()?.get(name);
    let links = annotation(LINKS_ANNOTATION).and_then(|text| serde_json::from_str(text).ok());
    let owned = annotation(OWNED_ANNOTATION).and_then(|text| text.parse().ok());
    Observed {
        node: node.to_owned(),
        duration: if held { Duration::from_secs(seconds.unwrap_or(0)) } else { Duration::ZERO },
        renewed: spec.renew_time.map(|MicroTime(time)| time),
        links: links.unwrap_or_default(),
        owned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_reads_what_a_speaker_writes() {
        let lease = written(&[link()]);
        assert_eq!(lease.metadata.name.as_deref(), Some("ferrolb-speaker-node-1"));
        assert_eq!(lease.metadata.owner_references.as_ref().unwrap()[0].uid, "uid-1");
        assert_eq!(
            read(&lease),
            Some(Observed {
                node: "node-1".into(),
                duration: Duration::from_secs(18),
                renewed: Some(Timestamp::UNIX_EPOCH),
                links: vec![link()],
                owned: Some(7),
            })
        );
    }

    #[test]
    fn links_are_told_with_their_addresses() {
        let lease = written(&[link()]);
        let annotation = &lease.metadata.annotations.unwrap()[LINKS_ANNOTATION];
        assert_eq!(
            annotation,
            r#"[{"ipv4":["192.168.1.11"],"linkLocal":"fe80::1","macs":["02:00:00:00:00:01"],"name":"eth0"}]"#
        );
    }

    #[test]
    fn a_released_lease_lasts_no_longer() {
        let mut lease = written(&[]);
        lease.spec.as_mut().unwrap().holder_identity = Some(String::new());
        assert_eq!(read(&lease).unwrap().duration, Duration::ZERO);
    }

    #[test]
    fn a_lease_of_others_and_broken_annotations_are_survived() {
        let mut lease = written(&[]);
        for text in ["", "{}", "[{}]", "[[[", r#"[{"name":1}]"#] {
            lease.metadata.annotations = Some([(LINKS_ANNOTATION.to_owned(), text.to_owned())].into());
            assert!(read(&lease).unwrap().links.is_empty(), "{text}");
        }
        lease.spec = None;
        assert_eq!(read(&lease).unwrap().duration, Duration::ZERO);
        lease.metadata.name = Some("ferrolb-operator".into());
        assert_eq!(read(&lease), None);
    }

    #[test]
    fn many_nodes_renew_less_often() {
        for (nodes, seconds) in [(1, 6), (120, 6), (200, 10), (1000, 50)] {
            assert_eq!(period(nodes).as_secs(), seconds, "{nodes} nodes");
        }
    }

    fn written(links: &[LeaseLink]) -> Lease {
        let holder = Holder { node: "node-1", uid: "uid-1", namespace: "ferrolb-system" };
        let duration = period(3) * PERIODS;
        write(holder, links, 7, duration, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
    }

    fn link() -> LeaseLink {
        LeaseLink {
            name: "eth0".into(),
            macs: vec!["02:00:00:00:00:01".into()],
            ipv4: vec![Ipv4Addr::new(192, 168, 1, 11)],
            link_local: Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        }
    }
}
