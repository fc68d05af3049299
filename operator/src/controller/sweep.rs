//! Reports that nobody is left to remove: those of nodes and about Services that are gone.
//!
//! Speakers remove their own reports. So the operator looks for such only at its start and some time after a node
//! or a Service has gone, and needs neither a watch nor a copy of them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ferrolb_crds::service_l2_status::{ServiceL2Status, ServiceL2StatusStatus};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Client};
use tracing::{info, warn};

use crate::key::ServiceKey;
use crate::leader::Tenure;
use crate::leader::fence::{Fenced, fenced};

/// How long speakers have to remove their own reports first.
const DELAY: Duration = Duration::from_secs(30);
/// How long a removal may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Reports a page of the list.
const PAGE_SIZE: u32 = 200;

/// When the next sweep is due.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    due: Option<Instant>,
}

impl Sweeps {
    /// Notes that a node or a Service has gone.
    pub(super) fn request(&mut self, now: Instant) {
        self.due.get_or_insert(now + DELAY);
    }

    /// Whether a sweep is to be made now; if so, it counts as made.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// When a sweep is to be made.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

/// What there is in the cluster.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) nodes: HashSet<String>,
    pub(super) services: HashSet<ServiceKey>,
}

/// Why reports were left.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Fenced(#[from] Fenced),
}

/// Removes the stale reports. Returns whether that succeeded.
pub(super) async fn sweep(client: Client, namespace: String, existing: Existing, tenure: Tenure) -> bool {
    let reports: Api<ServiceL2Status> = Api::namespaced(client, &namespace);
    let swept = remove_stale(&reports, &existing, &tenure).await;
    if let Err(error) = &swept {
        warn!(event = "reportsNotSwept", %error);
    }
    swept.is_ok()
}

async fn remove_stale(
    reports: &Api<ServiceL2Status>,
    existing: &Existing,
    tenure: &Tenure,
) -> Result<(), SweepError> {
    let mut page = ListParams::default().limit(PAGE_SIZE);
    loop {
        let list = reports.list(&page).await?;
        for report in list.items {
            let stale = report.status.as_ref().is_some_and(|status| existing.lacks(status));
            if let (true, Some(name)) = (stale, report.metadata.name) {
                let preconditions = Preconditions { uid: report.metadata.uid, ..Preconditions::default() };
                let params = DeleteParams::default().preconditions(preconditions);
                match fenced(tenure, TIMEOUT, reports.delete(&name, &params)).await? {
                    Ok(_) => info!(event = "reportRemoved", name, "its node or its Service is gone"),
                    Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = ListParams::default().limit(PAGE_SIZE).continue_token(&token),
            None => return Ok(()),
        }
    }
}

impl Existing {
    /// Whether the node or the Service of a report is gone.
    fn lacks(&self, report: &ServiceL2StatusStatus) -> bool {
        let service = ServiceKey::new(&report.service_namespace, &report.service_name);
        !self.nodes.contains(&report.node) || !self.services.contains(&service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_stale_without_its_node_or_its_service() {
        let existing = Existing {
            nodes: HashSet::from(["n".to_owned()]),
            services: HashSet::from([ServiceKey::new("default", "web")]),
        };
        for (node, namespace, service, stale) in [
            ("n", "default", "web", false),
            ("gone", "default", "web", true),
            ("n", "default", "gone", true),
            ("n", "other", "web", true),
        ] {
            let report = serde_saphyr::from_str(&format!(
                "{{node: {node}, serviceName: {service}, serviceNamespace: {namespace}, role: Owner, ips: [], \
                 interfaces: [], reason: R, since: '2026-01-01T00:00:00Z'}}"
            ));
            assert_eq!(existing.lacks(&report.unwrap()), stale, "{node} {namespace}/{service}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn speakers_have_time_to_remove_their_own_reports() {
        let start = Instant::now();
        let mut sweeps = Sweeps::default();
        sweeps.request(start);
        sweeps.request(start + DELAY / 2);
        assert_eq!(sweeps.poll_timeout(), Some(start + DELAY));
        assert!(
            !sweeps.begin(start + DELAY / 2) && sweeps.begin(start + DELAY) && !sweeps.begin(start + DELAY)
        );
    }
}
