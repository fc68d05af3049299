//! What Services that share an address have to agree on, and what they must not have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ferrolb_crds::names::ALLOW_SHARED_IP;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};

/// How a Service may share its address with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// The key of its annotation; without one it shares with nobody.
    pub key: Option<Arc<str>>,
    /// Its ports, in ascending order, each once.
    pub ports: Vec<Port>,
    /// Which nodes and pods its traffic is for.
    pub backend: Backend,
}

/// A port that is open at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port's number.
    pub number: u16,
}

/// A transport protocol of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, which is the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Which nodes and pods the traffic of an address is for: all that share it need the same, for one node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// externalTrafficPolicy Cluster: any node takes it to any pod.
    #[default]
    Cluster,
    /// externalTrafficPolicy Local: only nodes with a pod that this selects.
    Local(BTreeMap<String, String>),
}

/// Why two Services can't share an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharingBar {
    /// One of them has no sharing key.
    NoKey,
    /// Their sharing keys differ.
    OtherKey,
    /// Both open this port.
    SamePort(Port),
    /// Their traffic is for different nodes.
    OtherBackend,
    /// They are in different namespaces, and the operator was told to keep these apart.
    OtherNamespace,
}

impl Sharing {
    /// What a Service says of sharing.
    pub fn of(service: &Service) -> Self {
        let spec = service.spec.as_ref();
        let key = ALLOW_SHARED_IP.get(service.metadata.annotations.as_ref()).filter(|key| !key.is_empty());
        Self {
            key: key.map(Into::into),
            ports: spec.map(ports).unwrap_or_default(),
            backend: spec.map(Backend::of).unwrap_or_default(),
        }
    }

    /// What keeps the two from sharing an address; ports aside.
    pub fn bar(&self, other: &Self) -> Option<SharingBar> {
        match (&self.key, &other.key) {
            (Some(ours), Some(theirs)) if ours == theirs => {
                (self.backend != other.backend).then_some(SharingBar::OtherBackend)
            }
            (Some(_), Some(_)) => Some(SharingBar::OtherKey),
            (None, _) | (_, None) => Some(SharingBar::NoKey),
        }
    }
}

impl Backend {
    fn of(spec: &ServiceSpec) -> Self {
        match spec.external_traffic_policy.as_deref() {
            Some("Local") => Self::Local(spec.selector.clone().unwrap_or_default()),
            Some(_) | None => Self::Cluster,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        };
        write!(f, "{protocol} {}", self.number)
    }
}

impl fmt::Display for SharingBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = ALLOW_SHARED_IP.name;
        match self {
            Self::NoKey => write!(f, "both need the same annotation {key}"),
            Self::OtherKey => write!(f, "its annotation {key} is another"),
            Self::SamePort(port) => write!(f, "both open port {port}"),
            Self::OtherBackend => f.write_str(
                "both need externalTrafficPolicy Cluster, or both Local with the same selector of pods",
            ),
            Self::OtherNamespace => f.write_str(
                "it is in another namespace, and the operator was told not to share across namespaces",
            ),
        }
    }
}

fn ports(spec: &ServiceSpec) -> Vec<Port> {
    let mut ports: Vec<_> = spec
        .ports
        .iter()
        .flatten()
        .filter_map(|port| {
            let protocol = match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                Some(_) | None => Protocol::Tcp,
            };
            Some(Port { protocol, number: u16::try_from(port.port).ok()? })
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_shares_by_its_key_its_ports_and_its_backend() {
        for (annotations, spec, expected) in [
            ("", "ports: [{port: 80}]", "- TCP 80 Cluster"),
            ("ferrolb.io/allow-shared-ip: k", "ports: [{port: 80}]", "k TCP 80 Cluster"),
            ("ferrolb.io/allow-shared-ip: ''", "ports: []", "-  Cluster"),
            ("metallb.io/allow-shared-ip: k", "ports: [{port: 53, protocol: UDP}]", "k UDP 53 Cluster"),
            (
                "metallb.universe.tf/allow-shared-ip: k",
                "ports: [{port: 9, protocol: SCTP}]",
                "k SCTP 9 Cluster",
            ),
            (
                "",
                "ports: [{port: 443}, {port: 80}, {port: 80, protocol: UDP}, {port: 80}]",
                "- TCP 80,TCP 443,UDP 80 Cluster",
            ),
            ("", "externalTrafficPolicy: Cluster, selector: {a: b}", "-  Cluster"),
            ("", "externalTrafficPolicy: Local, selector: {a: b}", "-  Local{\"a\": \"b\"}"),
            ("", "externalTrafficPolicy: Local", "-  Local{}"),
        ] {
            let text = format!("{{metadata: {{annotations: {{{annotations}}}}}, spec: {{{spec}}}}}");
            let Sharing { key, ports, backend } = Sharing::of(&serde_saphyr::from_str(&text).unwrap());
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            let backend = match backend {
                Backend::Cluster => "Cluster".to_owned(),
                Backend::Local(selector) => format!("Local{selector:?}"),
            };
            let key = key.as_deref().unwrap_or("-");
            assert_eq!(format!("{key} {} {backend}", ports.join(",")), expected, "{text}");
        }
    }
}
