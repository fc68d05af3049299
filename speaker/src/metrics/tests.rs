//! The metrics as they are served.

use std::sync::Arc;
use std::time::Duration;

use ferrolb_crds::Role;
use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::text::encode;

use super::*;
use crate::finding::Finding;
use crate::ownership::{GainCause, ServiceName};
use crate::report::ServiceReport;
use crate::wire::Mac;

#[test]
fn metrics_have_names_units_and_help() {
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let report = ServiceReport {
        ips: ["192.168.1.240".parse().unwrap()].into(),
        interfaces: ["eth0".into()].into(),
        role: Role::Owner,
        reason: "Unclaimed",
        since: Timestamp::UNIX_EPOCH,
        findings: std::collections::BTreeMap::new(),
    };
    let web = ServiceName::new("default", "web");
    let (reports, receiver) = watch::channel(Some(Arc::new([(web, Arc::new(report))].into())));
    register_owned(&mut registry, "node-1", receiver);
    let port = metrics.port("eth0", Protocol::Arp);
    port.answers.inc();
    port.throttled.inc();
    port.missed.inc_by(3);
    port.announcements(Kind::Refresh).inc();
    metrics.set_waiting([("eth0", 7)].into_iter());
    metrics.count_malformed("truncated");
    metrics.renewals().count(true);
    metrics.dropped_events().inc();
    let took = |silence| Change::Announcing {
        mac: Mac([2, 0, 0, 0, 0, 1]),
        cause: GainCause::NodeSilent("node-2".into()),
        silence,
    };
    metrics.count_change(&took(Some(Duration::from_millis(370))));
    metrics.count_change(&took(None));
    metrics.count_change(&Change::Found(Finding::ProxyArp { mac: Mac([2, 0, 0, 0, 0, 9]) }));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        r#"ferrolb_speaker_owner{service="default/web",ip="192.168.1.240",node="node-1"} 1"#,
        r#"ferrolb_speaker_requests_answered_total{interface="eth0",protocol="arp"} 1"#,
        r#"ferrolb_speaker_questions_missed_total{interface="eth0",protocol="arp"} 3"#,
        r#"ferrolb_speaker_requests_throttled_total{interface="eth0",protocol="arp"} 1"#,
        r#"ferrolb_speaker_announcements_sent_total{interface="eth0",protocol="arp",kind="refresh"} 1"#,
        r#"ferrolb_speaker_announcements_sent_total{interface="eth0",protocol="arp",kind="first"} 0"#,
        r#"ferrolb_speaker_announcements_waiting{interface="eth0"} 7"#,
        r#"ferrolb_speaker_frames_malformed_total{reason="truncated"} 1"#,
        r#"ferrolb_speaker_lease_renewals_total{result="success"} 1"#,
        r#"ferrolb_speaker_findings_total{condition="ProxyARP"} 1"#,
        "ferrolb_speaker_events_dropped_total 1",
        r#"ferrolb_speaker_moves_total{direction="gained",cause="NodeSilent"} 2"#,
        r#"ferrolb_speaker_takeover_seconds_bucket{le="0.3"} 0"#,
        r#"ferrolb_speaker_takeover_seconds_bucket{le="0.4"} 1"#,
        "ferrolb_speaker_takeover_seconds_count 1",
        "# HELP ferrolb_speaker_owner 1 for each address",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    reports.send_replace(Some(Arc::default()));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(!text.contains("ferrolb_speaker_owner{"), "{text}");
}
