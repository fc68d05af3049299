pub(super) mod server;

use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::Tasks;
use http::{Method, StatusCode};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use self::server::{Answer, Script, Seen, service};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_conflict_is_read_again_and_written_for_the_new_version() {
    let asked = json!({ "ferrolb.io/loadBalancerIPs": "10.0.0.7" });
    let mut stage = Stage::start(Script {
        services: vec![service("web", 5, json!({}))],
        reads: [service("web", 9, asked)].into(),
        answers: [Answer::Refuse(StatusCode::CONFLICT)].into(),
        ..Script::default()
    });
    assert_eq!(stage.write().await, "5: 10.0.0.1");
    assert_eq!(stage.next(|seen| seen.path.contains("/services/")).await.method, Method::GET);
    assert_eq!(stage.write().await, "9: 10.0.0.7");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_error_is_tried_again_after_a_while() {
    let errors = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS, StatusCode::FORBIDDEN];
    let answers = errors.map(Answer::Refuse).into();
    let services = vec![service("web", 5, json!({}))];
    let mut stage = Stage::start(Script { services, answers, ..Script::default() });
    let start = clock();
    for _ in 0..=errors.len() {
        assert_eq!(stage.write().await, "5: 10.0.0.1");
    }
    assert!(clock() - start >= Duration::from_millis(100 + 200 + 400));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_given_up_and_tried_again() {
    let services = vec![service("web", 5, json!({}))];
    let mut stage = Stage::start(Script { services, answers: [Answer::Silence].into(), ..Script::default() });
    let start = clock();
    for _ in 0..2 {
        assert_eq!(stage.write().await, "5: 10.0.0.1");
    }
    assert!(clock() - start >= Duration::from_secs(15));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_decoded_harms_no_other() {
    let mut broken = service("broken", 4, json!({}));
    broken["spec"] = json!("not an object");
    let services = vec![broken, service("web", 5, json!({}))];
    let mut stage = Stage::start(Script { services, ..Script::default() });
    assert_eq!(stage.write().await, "5: 10.0.0.1");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_taken_up_where_it_ended() {
    let added = json!({ "type": "ADDED", "object": service("web", 6, json!({})) });
    let mut stage = Stage::start(Script { watches: [vec![added]].into(), ..Script::default() });
    assert_eq!(stage.write().await, "6: 10.0.0.1");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_old_is_begun_anew_with_a_list() {
    let expired = json!({ "type": "ERROR", "object": {
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
        "message": "too old resource version",
    } });
    let asked = || json!({ "ferrolb.io/loadBalancerIPs": "10.0.0.1" });
    let mut stage = Stage::start(Script {
        services: vec![service("old", 7, asked())],
        services_later: Some(vec![service("web", 8, asked())]),
        watches: [vec![expired]].into(),
        ..Script::default()
    });
    let given = |seen: &Seen| {
        let ingress = &seen.body["status"]["loadBalancer"]["ingress"];
        seen.path.ends_with("/web/status") && ingress[0]["ip"] == "10.0.0.1"
    };
    stage.next(given).await;
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_allocation_is_one_write_and_one_event() {
    let services = vec![service("web", 5, json!({}))];
    let mut stage = Stage::start(Script { services, ..Script::default() });
    assert_eq!(stage.write().await, "5: 10.0.0.1");
    let event = stage.next(|seen| seen.path.contains("/events")).await;
    assert_eq!(event.path, "/apis/events.k8s.io/v1/namespaces/default/events");
    assert_eq!(event.body["reason"], "Allocated");
    assert_eq!(event.body["regarding"]["uid"], "web");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let more: Vec<_> = std::iter::from_fn(|| stage.seen.try_recv().ok()).collect();
    assert!(
        !more.iter().any(|seen| seen.path.contains("/services/") || seen.path.contains("/events")),
        "{more:?}"
    );
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_does_not_hold_up_the_end() {
    let services = vec![service("web", 5, json!({}))];
    let mut stage = Stage::start(Script { services, answers: [Answer::Silence].into(), ..Script::default() });
    assert_eq!(stage.write().await, "5: 10.0.0.1");
    let start = clock();
    stage.end().await;
    assert!(clock() - start <= Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_pool_says_that_it_is_ready_and_used() {
    let services = vec![service("web", 5, json!({}))];
    let mut stage = Stage::start(Script { services, ..Script::default() });
    let used =
        stage.next(|seen| seen.path.ends_with("/p/status") && seen.body["status"]["assignedIPv4"] == 1).await;
    assert_eq!(used.body["metadata"]["resourceVersion"], "1");
    assert_eq!(used.body["status"]["availableIPv4"], 8);
    stage.end().await;
}

/// A controller that runs against a scripted server.
struct Stage {
    seen: UnboundedReceiver<Seen>,
    tasks: Tasks,
    controller: JoinHandle<Result<Drained, WatchesEnded>>,
}

impl Stage {
    fn start(script: Script) -> Self {
        let (client, seen) = server::start(script);
        let tasks = Tasks::default();
        let scope = Scope { namespace: "ferrolb-system".to_owned(), settings: Settings::default() };
        let metrics = Metrics::register(&mut Registry::default());
        let gate = Readiness::default().gate("caches");
        let tenure = Tenure::new(clock() + Duration::from_secs(3600));
        let controller = tokio::spawn(run(client, scope, tenure, metrics, gate, tasks.shutdown()));
        Self { seen, tasks, controller }
    }

    async fn next(&mut self, which: impl Fn(&Seen) -> bool) -> Seen {
        let next = async {
            loop {
                let seen = self.seen.recv().await.expect("the server runs");
                if which(&seen) {
                    return seen;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), next).await.expect("the request comes")
    }

    /// The version and the address of the next write to a Service.
    async fn write(&mut self) -> String {
        let seen = self.next(|seen| seen.method == Method::PATCH && seen.path.contains("/services/")).await;
        assert_eq!(seen.path, "/api/v1/namespaces/default/services/web/status");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let address = text(&seen.body["status"]["loadBalancer"]["ingress"][0]["ip"]);
        format!("{}: {address}", text(&seen.body["metadata"]["resourceVersion"]))
    }

    async fn end(self) {
        drop(self.tasks);
        let ended = tokio::time::timeout(Duration::from_secs(60), self.controller).await;
        ended.expect("it stops in time").expect("it does not panic").expect("it ends well");
    }
}
