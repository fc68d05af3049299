//! The operator's metrics.

use std::time::Duration;

use ferrolb_crds::range::Family as AddressFamily;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::ledger::Usage;
use crate::notice::{Kind, Notice};

/// The operator's metrics. Clones count the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    assigned: Family<PoolLabels, Gauge>,
    available: Family<PoolLabels, Gauge>,
    allocations: Counter,
    refusals: Family<ReasonLabels, Counter>,
    releases: Counter,
    writes: Family<ResultLabels, Counter>,
    allocation_duration: Histogram,
    watch_errors: Family<KindLabels, Counter>,
    events_dropped: Counter,
    leader: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: String,
    family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

impl Metrics {
    /// Metrics that a registry tells of; their names begin with `ferrolb_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            assigned: Family::default(),
            available: Family::default(),
            allocations: Counter::default(),
            refusals: Family::default(),
            releases: Counter::default(),
            writes: Family::default(),
            allocation_duration: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            watch_errors: Family::default(),
            events_dropped: Counter::default(),
            leader: Gauge::default(),
        };
        let all = registry.sub_registry_with_prefix("ferrolb");
        all.register(
            "pool_addresses_assigned",
            "Addresses of a pool that Services have",
            metrics.assigned.clone(),
        );
        all.register(
            "pool_addresses_available",
            "Addresses of a pool that are free",
            metrics.available.clone(),
        );
        let own = all.sub_registry_with_prefix("operator");
        own.register("allocations", "Services that were given an address", metrics.allocations.clone());
        own.register("refusals", "Services that began to be refused, by reason", metrics.refusals.clone());
        own.register("releases", "Addresses that Services gave up", metrics.releases.clone());
        own.register("writes", "Writes to the status of Services, by result", metrics.writes.clone());
        own.register_with_unit(
            "allocation_duration",
            "Time from the first sight of a Service to the address in its status",
            Unit::Seconds,
            metrics.allocation_duration.clone(),
        );
        own.register("watch_errors", "Errors of watches, by kind of object", metrics.watch_errors.clone());
        own.register(
            "events_dropped",
            "Events that were not sent, as too many waited",
            metrics.events_dropped.clone(),
        );
        own.register(
            "leader",
            "1 in the operator that leads and so writes, 0 in one that stands by",
            metrics.leader.clone(),
        );
        metrics
    }

    /// Replaces what is told of all pools.
    pub fn set_pools<'a>(&self, pools: impl Iterator<Item = (&'a str, Usage)>) {
        self.assigned.clear();
        self.available.clear();
        for (pool, usage) in pools {
            for (family, assigned, available) in [
                (AddressFamily::V4, usage.assigned_v4, usage.available_v4),
                (AddressFamily::V6, usage.assigned_v6, usage.available_v6),
            ] {
                let family = match family {
                    AddressFamily::V4 => "ipv4",
                    AddressFamily::V6 => "ipv6",
                };
                let labels = PoolLabels { pool: pool.to_owned(), family };
                self.assigned.get_or_create(&labels).set(assigned);
                self.available.get_or_create(&labels).set(available);
            }
        }
    }

    /// Notes whether this operator leads; one that does not knows nothing of pools.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(leads.into());
        if !leads {
            self.set_pools(std::iter::empty());
        }
    }

    /// Counts a transition.
    pub fn count(&self, notice: &Notice) {
        match notice.kind {
            Kind::Allocated => self.allocations.inc(),
            Kind::AllocationFailed(reason) => {
                self.refusals.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc()
            }
            Kind::Released => self.releases.inc(),
        };
    }

    /// Counts a write to a Service's status: `applied`, `conflict`, `gone` or `error`.
    pub fn count_write(&self, result: &'static str) {
        self.writes.get_or_create(&ResultLabels { result }).inc();
    }

    /// Notes how long a Service waited for its address.
    pub fn observe_allocation(&self, waited: Duration) {
        self.allocation_duration.observe(waited.as_secs_f64());
    }

    /// Counts an error of a watch.
    pub fn count_watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts Events that were dropped.
    pub fn dropped_events(&self) -> Counter {
        self.events_dropped.clone()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::refusal::Reason;

    #[test]
    fn metrics_have_their_names_units_and_labels() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.set_pools([("a", Usage { assigned_v4: 3, ..Usage::default() })].into_iter());
        metrics.set_pools([("b", Usage { available_v6: 4, ..Usage::default() })].into_iter());
        metrics.count(&Notice::refused(Reason::PoolExhausted, ""));
        metrics.count(&Notice::allocated(""));
        metrics.count(&Notice::left());
        metrics.count_write("applied");
        metrics.count_watch_error("Service");
        metrics.dropped_events().inc();
        metrics.set_leader(true);
        metrics.observe_allocation(Duration::from_millis(3));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "ferrolb_pool_addresses_available{pool=\"b\",family=\"ipv6\"} 4",
            "ferrolb_operator_refusals_total{reason=\"PoolExhausted\"} 1",
            "ferrolb_operator_allocations_total 1",
            "ferrolb_operator_releases_total 1",
            "ferrolb_operator_writes_total{result=\"applied\"} 1",
            "ferrolb_operator_watch_errors_total{kind=\"Service\"} 1",
            "ferrolb_operator_events_dropped_total 1",
            "ferrolb_operator_leader 1",
            "ferrolb_operator_allocation_duration_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("pool=\"a\""), "a pool that is gone is not told of");
        metrics.set_leader(false);
        text.clear();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("ferrolb_operator_leader 0") && !text.contains("pool=\"b\""), "{text}");
    }
}
