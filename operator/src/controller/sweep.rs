//! Reports that nobody is left to remove: those of nodes and about Services that are gone, and those of owners that
//! another one has followed.
//!
//! Speakers remove their own reports. So the operator looks for such only some time after something has gone or was
//! reported.

use std::time::{Duration, Instant};

use ferrolb_crds::service_l2_status::ServiceL2Status;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use tracing::{info, warn};

use crate::leader::Tenure;
use crate::leader::fence::fenced;

/// How long speakers have to remove their own reports first.
const DELAY: Duration = Duration::from_secs(30);
/// How long the removal of one may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// When the next sweep is due.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    due: Option<Instant>,
}

impl Sweeps {
    /// Notes that something has gone or was reported.
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

/// Removes reports, given by name and UID. Returns whether that succeeded.
pub(super) async fn remove(
    client: Client,
    namespace: String,
    stale: Vec<(String, Option<String>)>,
    tenure: Tenure,
) -> bool {
    let reports: Api<ServiceL2Status> = Api::namespaced(client, &namespace);
    let mut all = true;
    for (name, uid) in stale {
        let preconditions = Preconditions { uid, ..Preconditions::default() };
        let params = DeleteParams::default().preconditions(preconditions);
        let failure = match fenced(&tenure, TIMEOUT, reports.delete(&name, &params)).await {
            Ok(Ok(_)) => {
                info!(
                    event = "reportRemoved",
                    name, "its node or its Service is gone, or another node owns it"
                );
                continue;
            }
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => continue,
            Ok(Err(error)) => error.to_string(),
            Err(fenced) => fenced.to_string(),
        };
        warn!(event = "reportNotRemoved", name, error = failure);
        all = false;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

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
