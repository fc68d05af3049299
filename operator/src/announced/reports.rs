//! What nodes report of the addresses of Services: conflicts, and reports that nobody is left to remove.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ferrolb_crds::service_l2_status::{ADDRESS_CONFLICT, Role, ServiceL2Status};

use super::by_service::{About, ByService};
use crate::key::ServiceKey;

/// What matters of a node's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The UID of the object.
    pub uid: Option<String>,
    service: ServiceKey,
    node: String,
    role: Role,
    ips: BTreeSet<IpAddr>,
    /// When it was written, by the API server's count.
    version: u64,
    /// What is said of a conflict, if there is one, and about which addresses.
    conflict: Option<String>,
    conflicting: BTreeSet<IpAddr>,
}

/// All reports.
#[derive(Debug, Default)]
pub struct Reports(ByService<String, Report>);

impl Report {
    /// Reads a report; `None` if it says nothing.
    pub fn of(object: &ServiceL2Status) -> Option<Self> {
        let status = object.status.as_ref()?;
        let conflict =
            status.conditions.iter().find(|it| it.type_ == ADDRESS_CONFLICT && it.status == "True");
        Some(Self {
            uid: object.metadata.uid.clone(),
            service: ServiceKey::new(&status.service_namespace, &status.service_name),
            node: status.node.clone(),
            role: status.role,
            ips: parse(&status.ips),
            conflicting: parse(&status.conflicting_ips),
            version: object
                .metadata
                .resource_version
                .as_deref()
                .and_then(|it| it.parse().ok())
                .unwrap_or_default(),
            conflict: conflict.map(|condition| condition.message.clone()),
        })
    }
}

impl Reports {
    /// Takes in a report, or that it is gone. Returns the Services whose condition may differ.
    pub(super) fn set(&mut self, name: &str, report: Option<Report>) -> Vec<ServiceKey> {
        let after = report.clone();
        let before = self.0.set(name.to_owned(), report);
        let told = |report: &Option<Report>| {
            report.as_ref().map(|it| {
                (it.service.clone(), it.role, it.ips.clone(), it.conflict.clone(), it.conflicting.clone())
            })
        };
        let differs = told(&before) != told(&after);
        before.into_iter().chain(after).map(|it| it.service).filter(|_| differs).collect()
    }

    /// What is said of a conflict about an address of a Service that nobody owns.
    pub fn conflict(&self, service: &ServiceKey) -> Option<&str> {
        let mut about = self.0.about(service);
        let owners = about.clone().filter(|report| report.role == Role::Owner);
        let owned: BTreeSet<IpAddr> = owners.flat_map(|owner| owner.ips.iter().copied()).collect();
        let blocked = about.find(|report| !report.conflicting.is_subset(&owned))?;
        blocked.conflict.as_deref()
    }

    /// The names and UIDs of the reports that nobody is left to remove: those of nodes and about Services that are
    /// gone, and those of owners after whom another node has reported that it owns the same addresses.
    pub fn stale(
        &self,
        node_exists: impl Fn(&str) -> bool,
        service_exists: impl Fn(&ServiceKey) -> bool,
    ) -> Vec<(String, Option<String>)> {
        let stale = self.0.iter().filter(|(_, report)| {
            let followed = report.role == Role::Owner
                && self.0.about(&report.service).any(|other| {
                    other.role == Role::Owner
                        && other.node != report.node
                        && other.version > report.version
                        && other.ips.is_superset(&report.ips)
                });
            followed || !node_exists(&report.node) || !service_exists(&report.service)
        });
        let mut names: Vec<_> = stale.map(|(name, report)| (name.clone(), report.uid.clone())).collect();
        names.sort_unstable();
        names
    }
}

fn parse(ips: &[String]) -> BTreeSet<IpAddr> {
    ips.iter().filter_map(|ip| ip.parse().ok()).collect()
}

impl About for Report {
    fn service(&self) -> &ServiceKey {
        &self.service
    }
}
