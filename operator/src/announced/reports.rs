//! What nodes report of the addresses of Services: conflicts, and reports that nobody is left to remove.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ferrolb_crds::service_l2_status::{Role, ServiceL2Status};

use crate::key::ServiceKey;

/// Condition of a report: another host answers for an address.
const ADDRESS_CONFLICT: &str = "AddressConflict";

/// What matters of a node's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The UID of the object.
    pub uid: Option<String>,
    service: ServiceKey,
    node: String,
    role: Role,
    /// When it was written, by the API server's count.
    version: u64,
    /// What is said of a conflict, if there is one.
    conflict: Option<String>,
}

/// All reports.
#[derive(Debug, Default)]
pub struct Reports {
    by_name: HashMap<String, Report>,
    by_service: BTreeMap<ServiceKey, BTreeSet<String>>,
}

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
        let before = self.by_name.remove(name);
        let told = |report: &Option<Report>| {
            report.as_ref().map(|it| (it.service.clone(), it.role, it.conflict.clone()))
        };
        let differs = told(&before) != told(&report);
        let affected =
            before.iter().chain(&report).map(|it| it.service.clone()).filter(|_| differs).collect();
        if let Some(before) = &before
            && let Some(names) = self.by_service.get_mut(&before.service)
        {
            names.remove(name);
            if names.is_empty() {
                self.by_service.remove(&before.service);
            }
        }
        if let Some(report) = report {
            self.by_service.entry(report.service.clone()).or_default().insert(name.to_owned());
            self.by_name.insert(name.to_owned(), report);
        }
        affected
    }

    /// What is said of a conflict about a Service's addresses, while nobody owns them.
    pub fn conflict(&self, service: &ServiceKey) -> Option<&str> {
        let mut about = self.about(service);
        if about.clone().any(|(_, report)| report.role == Role::Owner) {
            return None;
        }
        about.find_map(|(_, report)| report.conflict.as_deref())
    }

    /// The names and UIDs of the reports that nobody is left to remove: those of nodes and about Services that are
    /// gone, and those of owners after whom another node has reported that it is one.
    pub fn stale(
        &self,
        node_exists: impl Fn(&str) -> bool,
        service_exists: impl Fn(&ServiceKey) -> bool,
    ) -> Vec<(String, Option<String>)> {
        let stale = self.by_name.iter().filter(|(_, report)| {
            let followed = report.role == Role::Owner
                && self.about(&report.service).any(|(_, other)| {
                    other.role == Role::Owner && other.node != report.node && other.version > report.version
                });
            followed || !node_exists(&report.node) || !service_exists(&report.service)
        });
        let mut names: Vec<_> = stale.map(|(name, report)| (name.clone(), report.uid.clone())).collect();
        names.sort_unstable();
        names
    }

    fn about(&self, service: &ServiceKey) -> impl Iterator<Item = (&String, &Report)> + Clone {
        let names = self.by_service.get(service).into_iter().flatten();
        names.filter_map(|name| self.by_name.get_key_value(name))
    }
}
