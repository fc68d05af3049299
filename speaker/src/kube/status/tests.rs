//! The writer, against a scripted API server.

use std::collections::VecDeque;
use std::sync::Arc;

use ferrolb_crds::Role;
use ferrolb_runtime::events::{self, NoFence, Reporter};
use ferrolb_runtime::tasks::Tasks;
use http::{Method, StatusCode};
use k8s_openapi::jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::scripted::{Answer, Requests, Seen, server};

#[tokio::test(start_paused = true)]
async fn a_report_is_one_write() {
    let mut stage = Stage::start(vec![], []);
    stage.report(&[("web", "192.168.1.240")]);
    let write = stage.next().await;
    assert_eq!(write.method, Method::PATCH);
    assert!(write.query.contains("fieldManager=ferrolb-speaker"), "{}", write.query);
    assert_eq!(write.body["metadata"]["labels"]["ferrolb.io/node"], "node-1");
    assert_eq!(write.body["status"]["role"], "Owner");
    assert_eq!(write.body["status"]["ips"], json!(["192.168.1.240"]));
    assert_eq!(write.body["status"]["addresses"], "192.168.1.240");
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_there_is_to_tell_is_told_at_once() {
    let mut stage = Stage::start(vec![], []);
    for reason in ["TookOver", "HandedOver"] {
        stage.tell("web", reason);
        let event = stage.next().await;
        assert_eq!(event.path, "/apis/events.k8s.io/v1/namespaces/default/events");
        assert_eq!(event.body["reason"], reason);
        assert_eq!(event.body["regarding"]["name"], "web");
    }
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn events_wait_while_the_server_gives_no_answer_but_not_for_a_report_that_it_refuses() {
    let answers = [Answer::Silence, Answer::Refuse(StatusCode::FORBIDDEN)];
    let mut stage = Stage::start(vec![], answers);
    stage.report(&[("web", "192.168.1.240")]);
    assert_eq!(stage.next().await.method, Method::PATCH);
    stage.tell("web", "TookOver");
    assert_eq!(stage.next().await.method, Method::PATCH, "the report is tried again first");
    assert_eq!(stage.next().await.body["reason"], "TookOver");
    assert_eq!(stage.next().await.method, Method::PATCH);
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_wrote_is_taken_over_and_what_is_stale_deleted() {
    let mut stage = Stage::start(vec![written("web", "192.168.1.240"), written("old", "192.168.1.241")], []);
    stage.report(&[("web", "192.168.1.240")]);
    let delete = stage.next().await;
    assert_eq!(delete.method, Method::DELETE);
    assert!(delete.path.contains("/default.old.node-1-"), "{}", delete.path);
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn another_address_is_a_write() {
    let mut stage = Stage::start(vec![written("web", "192.168.1.240")], []);
    stage.report(&[("web", "192.168.1.241")]);
    assert_eq!(stage.next().await.body["status"]["ips"], json!(["192.168.1.241"]));
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_before_the_node_has_decided() {
    let stage = Stage::start(vec![written("web", "192.168.1.240")], []);
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_tried_again_later_and_later() {
    let failures = [
        Answer::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
        Answer::Refuse(StatusCode::FORBIDDEN),
        Answer::Silence,
    ];
    let mut stage = Stage::start(vec![], failures);
    stage.report(&[("web", "192.168.1.240")]);
    for _ in 0..4 {
        assert_eq!(stage.next().await.method, Method::PATCH);
    }
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_refused_holds_up_no_other_and_is_tried_again() {
    let refusals = [Answer::Refuse(StatusCode::FORBIDDEN)];
    let mut stage = Stage::start(vec![written("old", "192.168.1.240")], refusals);
    stage.report(&[("a", "192.168.1.241"), ("b", "192.168.1.242")]);
    for (method, path) in [
        (Method::PATCH, "/default.a.node-1-"),
        (Method::PATCH, "/default.b.node-1-"),
        (Method::DELETE, "/default.old.node-1-"),
        (Method::PATCH, "/default.a.node-1-"),
    ] {
        let seen = stage.next().await;
        assert!(seen.method == method && seen.path.contains(path), "{seen:?} is not {method} {path}");
    }
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_of_an_older_speaker_without_the_column_is_completed() {
    let mut old = written("web", "192.168.1.240");
    old["status"].as_object_mut().unwrap().remove("addresses");
    let mut stage = Stage::start(vec![old], []);
    stage.report(&[("web", "192.168.1.240")]);
    let write = stage.next().await;
    assert_eq!((write.method, &write.body["status"]["addresses"]), (Method::PATCH, &json!("192.168.1.240")));
    stage.ends_idle().await;
}

#[tokio::test(start_paused = true)]
async fn deleting_what_is_gone_already_is_no_failure() {
    let mut stage =
        Stage::start(vec![written("web", "192.168.1.240")], [Answer::Refuse(StatusCode::NOT_FOUND)]);
    stage.report(&[]);
    assert_eq!(stage.next().await.method, Method::DELETE);
    stage.ends_idle().await;
}

/// A writer and its server.
struct Stage {
    reports: watch::Sender<Reports>,
    news: mpsc::Sender<News>,
    requests: Requests,
    tasks: Tasks,
    writer: JoinHandle<Result<(), std::convert::Infallible>>,
}

impl Stage {
    /// The server has these objects, each on a page of its own, and gives these answers to the first writes.
    fn start(objects: Vec<Value>, answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers = VecDeque::from_iter(answers);
        let (client, requests) = server(move |seen| {
            if seen.method == Method::GET {
                let (_, page) = seen.query.split_once("&continue=").unwrap_or_default();
                let page: usize = page.parse().unwrap_or(0);
                let next = (page + 1 < objects.len()).then(|| (page + 1).to_string());
                let list = json!({
                    "apiVersion": "ferrolb.io/v1beta1", "kind": "ServiceL2StatusList",
                    "metadata": { "continue": next }, "items": objects.get(page..=page).unwrap_or_default(),
                });
                return Answer::Ok(Some(list));
            }
            if seen.method == Method::DELETE {
                let deleted = json!({ "apiVersion": "v1", "kind": "Status", "status": "Success" });
                return answers.pop_front().unwrap_or(Answer::Ok(Some(deleted)));
            }
            answers.pop_front().unwrap_or(Answer::Ok(None))
        });
        let (reports, receiver) = watch::channel(None);
        let tasks = Tasks::default();
        let reporter = Reporter { controller: names::SPEAKER_MANAGER, instance: "node-1".to_owned() };
        let (events, sender) = events::channel(client.clone(), reporter, NoFence, Counter::default());
        tokio::spawn(sender.run(tasks.shutdown()));
        let (sender, news) = mpsc::channel(8);
        let writer = StatusWriter::new(client, "node-1", "ferrolb-system");
        let writer = tokio::spawn(writer.run(receiver, Telling { news, events }, tasks.shutdown()));
        Self { reports, news: sender, requests, tasks, writer }
    }

    fn report(&self, services: &[(&str, &str)]) {
        let reported = |&(service, ip): &(&str, &str)| {
            let report = ServiceReport {
                role: Role::Owner,
                findings: BTreeMap::new(),
                ips: [ip.parse().unwrap()].into(),
                interfaces: ["eth0".into()].into(),
                reason: "Unclaimed",
                since: Timestamp::UNIX_EPOCH,
            };
            (name(service), Arc::new(report))
        };
        self.reports.send_replace(Some(Arc::new(services.iter().map(reported).collect())));
    }

    fn tell(&self, service: &str, reason: &'static str) {
        let news = News {
            namespace: "default".to_owned(),
            service: service.to_owned(),
            uid: None,
            reason,
            action: "Announce",
            note: "what happened".to_owned(),
            is_warning: false,
        };
        self.news.try_send(news).expect("there is room");
    }

    /// The next write.
    async fn next(&mut self) -> Seen {
        loop {
            let next = timeout(Duration::from_secs(120), self.requests.recv());
            let seen = next.await.expect("no request came").expect("the server ended");
            if seen.method != Method::GET {
                return seen;
            }
        }
    }

    /// Nothing more is written, and the writer stops when it is told.
    async fn ends_idle(mut self) {
        sleep(Duration::from_secs(300)).await;
        while let Ok(seen) = self.requests.try_recv() {
            assert_eq!(seen.method, Method::GET, "{seen:?}");
        }
        drop(self.tasks);
        self.writer.await.unwrap().unwrap();
    }
}

fn written(service: &str, ip: &str) -> Value {
    let report = ServiceReport {
        role: Role::Owner,
        findings: BTreeMap::new(),
        ips: [ip.parse().unwrap()].into(),
        interfaces: ["eth0".into()].into(),
        reason: "Resumed",
        since: Timestamp::from_second(1000).unwrap(),
    };
    serde_json::to_value(object("ferrolb-system", content("node-1", &name(service), &report))).unwrap()
}

fn name(service: &str) -> ServiceName {
    ServiceName::new("default", service)
}
