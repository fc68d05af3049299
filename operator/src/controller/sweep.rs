//! Reports that nobody is left to remove: those of nodes and about Services that are gone.
//!
//! Speakers remove their own reports. So the operator looks for such only at its start and some time after a node
//! or a Service has gone, and needs neither a watch nor a copy of them.

use std::time::{Duration, Instant};

use ferrolb_crds::service_l2_status::{ServiceL2Status, ServiceL2StatusStatus};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};
use tracing::{info, warn};

use super::watches::Stores;

/// How long speakers have to remove their own reports first.
const DELAY: Duration = Duration::from_secs(30);
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

/// Removes the stale reports. Returns whether that succeeded.
pub(super) async fn sweep(client: Client, namespace: String, stores: Stores) -> bool {
    let reports: Api<ServiceL2Status> = Api::namespaced(client, &namespace);
    let swept = remove_stale(&reports, &stores).await;
    if let Err(error) = &swept {
        warn!(event = "reportsNotSwept", %error);
    }
    swept.is_ok()
}

async fn remove_stale(reports: &Api<ServiceL2Status>, stores: &Stores) -> kube::Result<()> {
    let mut page = ListParams::default().limit(PAGE_SIZE);
    loop {
        let list = reports.list(&page).await?;
        for report in list.items {
            let stale = report.status.as_ref().is_some_and(|status| is_stale(status, stores));
            if let (true, Some(name)) = (stale, report.metadata.name) {
                let preconditions = Preconditions { uid: report.metadata.uid, ..Preconditions::default() };
                match reports.delete(&name, &DeleteParams::default().preconditions(preconditions)).await {
                    Ok(_) => info!(event = "reportRemoved", name, "its node or its Service is gone"),
                    Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = ListParams::default().limit(PAGE_SIZE).continue_token(&token),
            None => return Ok(()),
        }
    }
}

fn is_stale(report: &ServiceL2StatusStatus, stores: &Stores) -> bool {
    let node = ObjectRef::new(&report.node);
    let service = ObjectRef::new(&report.service_name).within(&report.service_namespace);
    stores.nodes.get(&node).is_none() || stores.services.get(&service).is_none()
}
