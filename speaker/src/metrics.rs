//! What the speaker counts.

use std::fmt;

use ferrolb_crds::Role;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use crate::announcer::Kind;
use crate::net::Protocol;
use crate::ownership::Change;
use crate::report::Reports;

/// What the names of all metrics begin with.
const PREFIX: &str = "ferrolb_speaker";
/// Durations of take-overs that are told apart, in seconds: fine where they are promised to be, half a second and one.
const TAKEOVERS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0];

/// All metrics of the speaker but for what it owns. Clones count the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    questions: Family<PortLabels, Counter>,
    answers: Family<PortLabels, Counter>,
    throttled: Family<PortLabels, Counter>,
    announcements: Family<AnnouncementLabels, Counter>,
    waiting: Family<InterfaceLabels, Gauge>,
    watching: Family<PortLabels, Counter>,
    missed: Family<PortLabels, Counter>,
    probes: Family<PortLabels, Counter>,
    offers: Family<PortLabels, Counter>,
    moves: Family<MoveLabels, Counter>,
    takeovers: Histogram,
    findings: Family<ConditionLabels, Counter>,
    send_errors: Family<PortLabels, Counter>,
    kernel_drops: Family<PortLabels, Counter>,
    malformed: Family<ReasonLabels, Counter>,
    renewals: RenewalMetrics,
    events_dropped: Counter,
}

/// The gauge of what the node owns, made of the reports whenever it is asked for.
#[derive(Debug)]
struct Owners {
    node: String,
    reports: watch::Receiver<Reports>,
}

/// Counts renewals of the node's Lease.
#[derive(Clone, Debug, Default)]
pub struct RenewalMetrics(Family<ResultLabels, Counter>);

/// The counters of one interface and protocol, looked up once and then incremented without a look-up.
#[derive(Clone, Debug)]
pub struct PortMetrics {
    /// Questions for addresses that this node owns.
    pub questions: Counter,
    /// Answers sent.
    pub answers: Counter,
    /// Questions that were not answered, as there were too many.
    pub throttled: Counter,
    /// Announcements sent, in the order of [`Kind`].
    announcements: [Counter; 3],
    /// Questions to peers.
    pub watching: Counter,
    /// Those to watched owners that were not answered before the next.
    pub missed: Counter,
    /// Probes: questions to everybody whether an address is answered for.
    pub probes: Counter,
    /// Offers of addresses to successors.
    pub offers: Counter,
    /// Frames that could not be sent.
    pub send_errors: Counter,
    /// Frames that the kernel dropped.
    pub kernel_drops: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    interface: String,
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnnouncementLabels {
    interface: String,
    protocol: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InterfaceLabels {
    interface: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MoveLabels {
    direction: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    condition: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            questions: Family::default(),
            answers: Family::default(),
            throttled: Family::default(),
            announcements: Family::default(),
            waiting: Family::default(),
            watching: Family::default(),
            missed: Family::default(),
            probes: Family::default(),
            offers: Family::default(),
            moves: Family::default(),
            takeovers: Histogram::new(TAKEOVERS),
            findings: Family::default(),
            send_errors: Family::default(),
            kernel_drops: Family::default(),
            malformed: Family::default(),
            renewals: RenewalMetrics::default(),
            events_dropped: Counter::default(),
        }
    }
}

impl Metrics {
    /// Adds the metrics to a registry, under `ferrolb_speaker_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "requests_received",
            "ARP requests and neighbour solicitations received for addresses that this node owns",
            self.questions.clone(),
        );
        registry.register(
            "requests_answered",
            "ARP replies and neighbour advertisements sent in answer to a request",
            self.answers.clone(),
        );
        registry.register(
            "requests_throttled",
            "ARP requests and neighbour solicitations for addresses that this node owns which were not answered, as their sender, or all together, asked too much",
            self.throttled.clone(),
        );
        registry.register(
            "announcements_sent",
            "Gratuitous ARP packets and unsolicited neighbour advertisements sent, by what for: the first frame after a take-over, its repetitions, or a refresh",
            self.announcements.clone(),
        );
        registry.register(
            "announcements_waiting",
            "Addresses whose next announcement waits for those before it",
            self.waiting.clone(),
        );
        registry.register(
            "questions_sent",
            "ARP requests and neighbour solicitations sent to peers, to see whether they answer",
            self.watching.clone(),
        );
        registry.register(
            "questions_missed",
            "Questions to owners that this node watches which were not answered before the next",
            self.missed.clone(),
        );
        registry.register(
            "probes_sent",
            "Questions sent to everybody, to see whether an address is answered for",
            self.probes.clone(),
        );
        registry.register("offers_sent", "Offers of an address to a successor", self.offers.clone());
        registry.register(
            "moves",
            "Addresses that this node began or ceased to announce on an interface, by direction (gained or lost) and cause",
            self.moves.clone(),
        );
        registry.register_with_unit(
            "takeover",
            "Time from the first question of this node that a node found dead left unanswered, to when this node announces an address of it",
            Unit::Seconds,
            self.takeovers.clone(),
        );
        registry.register(
            "findings",
            "Times that something was found to be wrong with who answers for an address, by condition",
            self.findings.clone(),
        );
        registry.register("send_errors", "Frames that could not be sent", self.send_errors.clone());
        registry.register(
            "kernel_drops",
            "Received frames that the kernel dropped because the speaker was too slow",
            self.kernel_drops.clone(),
        );
        registry.register(
            "frames_malformed",
            "Received frames that were cut off, lied about their lengths or broke the protocol",
            self.malformed.clone(),
        );
        registry.register(
            "lease_renewals",
            "Renewals of the node's Lease, by result (success or failure)",
            self.renewals.0.clone(),
        );
        registry.register(
            "events_dropped",
            "Events that were not sent, as too many waited",
            self.events_dropped.clone(),
        );
    }

    /// The counters of an interface and protocol.
    pub fn port(&self, interface: &str, protocol: Protocol) -> PortMetrics {
        let labels = PortLabels { interface: interface.to_owned(), protocol: protocol.name() };
        let announcements = |kind: Kind| {
            let (interface, protocol) = (labels.interface.clone(), labels.protocol);
            self.announcements.get_or_create_owned(&AnnouncementLabels {
                interface,
                protocol,
                kind: kind.name(),
            })
        };
        PortMetrics {
            questions: self.questions.get_or_create_owned(&labels),
            answers: self.answers.get_or_create_owned(&labels),
            throttled: self.throttled.get_or_create_owned(&labels),
            announcements: [Kind::First, Kind::Repeat, Kind::Refresh].map(announcements),
            watching: self.watching.get_or_create_owned(&labels),
            missed: self.missed.get_or_create_owned(&labels),
            probes: self.probes.get_or_create_owned(&labels),
            offers: self.offers.get_or_create_owned(&labels),
            send_errors: self.send_errors.get_or_create_owned(&labels),
            kernel_drops: self.kernel_drops.get_or_create_owned(&labels),
        }
    }

    /// Sets how many addresses wait to be announced, by interface.
    pub fn set_waiting<'a>(&self, waiting: impl Iterator<Item = (&'a str, usize)>) {
        self.waiting.clear();
        for (interface, count) in waiting {
            let labels = InterfaceLabels { interface: interface.to_owned() };
            self.waiting.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a change of what the node does for an address.
    pub fn count_change(&self, change: &Change) {
        let (direction, cause) = match change {
            Change::Announcing { cause, silence, .. } => {
                if let Some(silence) = silence {
                    self.takeovers.observe(silence.as_secs_f64());
                }
                ("gained", cause.reason())
            }
            Change::Withdrawn(cause) => ("lost", cause.reason()),
            Change::Found(finding) => {
                let labels = ConditionLabels { condition: finding.condition() };
                self.findings.get_or_create(&labels).inc();
                return;
            }
            Change::Covering { .. } | Change::Uncovered | Change::Over(_) => return,
        };
        self.moves.get_or_create(&MoveLabels { direction, cause }).inc();
    }

    /// Counts a frame that can't be used.
    pub fn count_malformed(&self, reason: &'static str) {
        self.malformed.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts Events that were dropped.
    pub fn dropped_events(&self) -> Counter {
        self.events_dropped.clone()
    }

    /// The counter of renewals.
    pub fn renewals(&self) -> RenewalMetrics {
        self.renewals.clone()
    }
}

/// Adds what a node owns to a registry.
pub fn register_owned(registry: &mut Registry, node: &str, reports: watch::Receiver<Reports>) {
    let owners = Owners { node: node.to_owned(), reports };
    registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(owners));
}

impl Collector for Owners {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let reports = self.reports.borrow().clone();
        let one = ConstGauge::new(1_i64);
        let help = "1 for each address of a Service that this node owns";
        let mut family = encoder.encode_descriptor("owner", help, None, one.metric_type())?;
        let reports = reports.iter().flat_map(|reports| reports.iter());
        for (service, report) in reports.filter(|(_, report)| report.role == Role::Owner) {
            let service = service.to_string();
            for ip in report.ips.iter().map(ToString::to_string) {
                let labels = [("service", service.as_str()), ("ip", &ip), ("node", &self.node)];
                one.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl PortMetrics {
    /// Announcements sent of a kind.
    pub fn announcements(&self, kind: Kind) -> &Counter {
        let [first, repeat, refresh] = &self.announcements;
        match kind {
            Kind::First => first,
            Kind::Repeat => repeat,
            Kind::Refresh => refresh,
        }
    }
}

impl RenewalMetrics {
    /// Counts a renewal.
    pub fn count(&self, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.0.get_or_create(&ResultLabels { result }).inc();
    }
}

#[cfg(test)]
mod tests;
