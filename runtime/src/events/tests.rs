//! Events as an API server sees them.

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::Value;
use tower_test::mock;

use super::*;
use crate::tasks::Tasks;

#[tokio::test(start_paused = true)]
async fn warnings_go_first_and_what_is_told_again_is_counted() {
    let mut stage = Stage::new();
    let warning = News { is_warning: true, ..news("web", "full") };
    stage.events.tell(news("web", "left"));
    stage.events.tell(warning.clone());
    stage.events.tell(warning);
    stage.start();
    let (first, _, full) = stage.next().await;
    let (second, path, counted) = stage.next().await;
    let (third, _, left) = stage.next().await;
    assert_eq!((first, second, third), (Method::POST, Method::PATCH, Method::POST));
    assert_eq!((&full["note"], &full["type"]), (&json!("full"), &json!("Warning")));
    assert_eq!((&left["note"], &left["type"]), (&json!("left"), &json!("Normal")));
    assert_eq!(path.rsplit('/').next(), full["metadata"]["name"].as_str());
    assert_eq!(counted["series"]["count"], 2);
    assert!(counted["series"]["lastObservedTime"].is_string());
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_events_a_burst_is_sent_and_the_others_slowly_or_not_at_all() {
    let mut stage = Stage::new();
    (0..10_000).for_each(|number| stage.events.tell(news(&number.to_string(), "announcing")));
    stage.start();
    let start = clock();
    let mut sent = Vec::new();
    for _ in 0..WAITING {
        stage.next().await;
        sent.push(clock() - start);
    }
    let within = |time: Duration| sent.iter().filter(|at| **at <= time).count();
    assert!((50..=51).contains(&within(Duration::ZERO)), "{}", within(Duration::ZERO));
    let more = within(Duration::from_secs(10)) - within(Duration::ZERO);
    assert!((48..=52).contains(&more), "five a second: {more} in ten seconds");
    assert_eq!(stage.dropped.get(), 10_000 - WAITING as u64);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_not_sent_is_told_anew_the_next_time() {
    let mut stage = Stage::new();
    stage.start();
    stage.events.tell(news("web", "announcing"));
    // The server does not answer in time.
    let (method, ..) = stage.receive(false).await;
    stage.events.tell(news("web", "announcing"));
    assert_eq!((method, stage.next().await.0), (Method::POST, Method::POST));
}

type Server = mock::Handle<Request<Body>, Response<Body>>;

/// A sender and its server.
struct Stage {
    events: Events,
    sender: Option<Sender<NoFence>>,
    dropped: Counter,
    server: Server,
    unanswered: Vec<mock::SendResponse<Response<Body>>>,
    tasks: Tasks,
}

impl Stage {
    fn new() -> Self {
        let (service, server) = mock::pair();
        let dropped = Counter::default();
        let reporter = Reporter { controller: "ferrolb-test", instance: "node-1".to_owned() };
        let client = Client::new(service, "default");
        let (events, sender) = channel(client, reporter, NoFence, dropped.clone());
        let tasks = Tasks::default();
        Self { events, sender: Some(sender), dropped, server, unanswered: Vec::new(), tasks }
    }

    fn start(&mut self) {
        let sender = self.sender.take().expect("it is started once");
        tokio::spawn(sender.run(self.tasks.shutdown()));
    }

    /// The next request, which is answered with what it sent.
    async fn next(&mut self) -> (Method, String, Value) {
        self.receive(true).await
    }

    async fn receive(&mut self, is_answered: bool) -> (Method, String, Value) {
        let (request, send) = self.server.next_request().await.expect("a client");
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await.expect("a body in memory");
        if is_answered {
            send.send_response(Response::new(Body::from(bytes.to_vec())));
        } else {
            self.unanswered.push(send);
        }
        (parts.method, parts.uri.path().to_owned(), serde_json::from_slice(&bytes).expect("JSON"))
    }
}

fn news(service: &str, note: &str) -> News {
    News {
        namespace: "default".to_owned(),
        service: service.to_owned(),
        uid: Some("u".to_owned()),
        reason: "Announcing",
        action: "Announce",
        note: note.to_owned(),
        is_warning: false,
    }
}
