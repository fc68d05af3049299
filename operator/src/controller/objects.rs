//! The status of pools and advertisements: written when it changes, at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::names::OPERATOR_MANAGER;
use ferrolb_placement::{PoolFacts, selects_pool};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::warn;

use super::watches::{Stores, sorted};
use crate::engine::Engine;
use crate::leader::Tenure;
use crate::leader::fence::fenced;
use crate::object_status::{advertisement_status, pool_status};

/// The shortest time from one round of writes to the next.
const PACE: Duration = Duration::from_secs(1);
/// How long a write may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Writes that are under way at once.
const CONCURRENCY: usize = 4;

/// When the next round of writes is due.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Rounds {
    /// Notes that something changed that a status may depend on.
    pub(super) fn request(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| now.max(last + PACE));
        self.due.get_or_insert(earliest);
    }

    /// Whether a round is to be made now; if so, it counts as made.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            (self.due, self.last) = (None, Some(now));
        }
        due
    }

    /// When a round is to be made.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

/// A status that is to be written.
#[derive(Debug)]
pub(super) struct StatusWrite {
    resource: ApiResource,
    name: String,
    body: Value,
}

/// What there is to write: every status that differs from the one shown.
pub(super) fn outdated(stores: &Stores, engine: &Engine, now: Timestamp) -> Vec<StatusWrite> {
    let pools = sorted(&stores.pools);
    let advertisements = sorted(&stores.advertisements);
    let pool_facts: Vec<_> = pools.iter().map(|pool| PoolFacts::from(&**pool)).collect();
    let of_pools = pools.iter().zip(&pool_facts).filter_map(|(pool, facts)| {
        let standing = engine.standings().iter().find(|standing| *standing.definition.name == facts.name)?;
        let advertised = advertisements.iter().any(|advertisement| selects_pool(&advertisement.spec, facts));
        let usage = engine.usage(&facts.name);
        let node = engine.node_in(&standing.definition.ranges.addresses);
        let status = pool_status(pool, standing.fault.as_ref(), usage, advertised, node, now);
        (pool.status.as_ref() != Some(&status)).then(|| StatusWrite::new(pool, &status))
    });
    let nodes = engine.surroundings().nodes();
    let of_advertisements = advertisements.iter().filter_map(|advertisement| {
        let status = advertisement_status(advertisement, &pool_facts, nodes.clone(), now);
        let outdated = advertisement.status.as_ref() != Some(&status);
        outdated.then(|| StatusWrite::new(advertisement, &status))
    });
    of_pools.chain(of_advertisements).collect()
}

impl StatusWrite {
    fn new<K: Resource<DynamicType = ()>>(object: &Arc<K>, status: &impl Serialize) -> Self {
        let metadata = object.meta();
        let body = json!({
            "metadata": { "resourceVersion": metadata.resource_version },
            "status": status,
        });
        let name = metadata.name.clone().unwrap_or_default();
        Self { resource: ApiResource::erase::<K>(&()), name, body }
    }

    async fn send(self, client: Client, namespace: &str, tenure: &Tenure) -> bool {
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &self.resource);
        let params =
            PatchParams { field_manager: Some(OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(&self.body);
        let sent = fenced(tenure, TIMEOUT, api.patch_status(&self.name, &params, &patch)).await;
        let failure = match sent {
            Ok(Ok(_)) => return true,
            // It changed or went meanwhile: the watch tells, and the next round is about what it is then.
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_not_found() => {
                return false;
            }
            Ok(Err(error)) => error.to_string(),
            Err(fenced) => fenced.to_string(),
        };
        warn!(event = "statusNotWritten", kind = self.resource.kind, name = self.name, error = failure);
        false
    }
}

/// Makes all writes, and returns whether all were made.
pub(super) fn write_all(
    writes: Vec<StatusWrite>,
    client: Client,
    namespace: String,
    tenure: Tenure,
) -> BoxFuture<'static, bool> {
    async move {
        stream::iter(writes)
            .map(|write| write.send(client.clone(), &namespace, &tenure))
            .buffer_unordered(CONCURRENCY)
            .fold(true, |all, made| std::future::ready(all && made))
            .await
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn rounds_are_at_once_and_then_a_second_apart() {
        let start = Instant::now();
        let mut rounds = Rounds::default();
        assert!(!rounds.begin(start), "nobody asked");
        rounds.request(start);
        assert!(rounds.begin(start) && !rounds.begin(start));
        rounds.request(start + PACE / 2);
        rounds.request(start + PACE * 3);
        assert_eq!(rounds.poll_timeout(), Some(start + PACE));
        assert!(!rounds.begin(start + PACE / 2) && rounds.begin(start + PACE));
        rounds.request(start + PACE * 5);
        assert_eq!(rounds.poll_timeout(), Some(start + PACE * 5));
    }
}
