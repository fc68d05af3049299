//! Renewals, against a scripted API server.

use std::collections::VecDeque;

use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::Tasks;
use http::StatusCode;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::link::{Link, LinkId};
use crate::metrics::Metrics;
use crate::scripted::{Answer, Requests, Seen, server};
use crate::wire::Mac;

#[tokio::test(start_paused = true)]
async fn the_first_renewal_makes_the_node_take_part() {
    let mut stage = Stage::start([]);
    assert_eq!(stage.readiness.closed(), ["lease"]);
    let renewal = stage.next().await;
    assert_eq!(
        renewal.path,
        "/apis/coordination.k8s.io/v1/namespaces/ferrolb-system/leases/ferrolb-speaker-node-1"
    );
    assert!(renewal.query.contains("fieldManager=ferrolb-speaker"), "{}", renewal.query);
    assert_eq!(renewal.body["spec"]["leaseDurationSeconds"], 18);
    assert_eq!(renewal.body["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    stage.held.wait_for(|held| *held).await.unwrap();
    assert!(stage.readiness.closed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn renewals_come_a_period_apart_give_or_take_a_tenth() {
    let mut stage = Stage::start([]);
    stage.next().await;
    let mut before = clock();
    let mut delays = Vec::new();
    for _ in 0..50 {
        stage.next().await;
        delays.push((clock() - before).as_millis());
        before = clock();
    }
    assert!(delays.iter().all(|delay| (5400..=6700).contains(delay)), "{delays:?}");
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 25, "they are jittered: {delays:?}");
}

#[tokio::test(start_paused = true)]
async fn many_speakers_renew_less_often_for_longer() {
    let mut stage = Stage::start([]);
    stage.surroundings.send_modify(|surroundings| surroundings.speakers = 200);
    stage.next().await;
    let before = clock();
    assert_eq!(stage.next().await.body["spec"]["leaseDurationSeconds"], 30);
    assert!(clock() - before >= Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_unanswered_renewal_is_tried_again_at_once() {
    let failure = Answer::Refuse(StatusCode::FORBIDDEN);
    let mut stage = Stage::start([failure, Answer::Silence]);
    let start = clock();
    for _ in 0..3 {
        stage.next().await;
    }
    assert!(clock() - start <= RETRY * 2 + TIMEOUT + Duration::from_millis(10));
    stage.held.wait_for(|held| *held).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_link_that_goes_down_is_told_at_once() {
    let mut stage = Stage::start([]);
    assert!(
        stage.next().await.body["metadata"]["annotations"]["ferrolb.io/links"]
            .as_str()
            .unwrap()
            .contains("eth0")
    );
    let before = clock();
    stage.links.send_replace(Some([(LinkId(2), link(false))].into()));
    assert_eq!(stage.next().await.body["metadata"]["annotations"]["ferrolb.io/links"], "[]");
    assert!(clock() - before < Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn the_last_renewal_waits_for_the_nodes_next_speaker() {
    let mut stage = Stage::start([]);
    stage.next().await;
    stage.held.wait_for(|held| *held).await.unwrap();
    drop(stage.tasks.take());
    stage.stopped.send_replace(Some(Stop::Restart));
    let last = stage.next().await;
    assert_eq!(last.body["spec"]["leaseDurationSeconds"], 60);
    assert_eq!(last.body["spec"]["holderIdentity"], "node-1", "it is kept, not released");
    stage.renewer.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_going_releases_its_lease_once_it_has_handed_over() {
    let mut stage = Stage::start([]);
    stage.next().await;
    stage.held.wait_for(|held| *held).await.unwrap();
    drop(stage.tasks.take());
    assert!(timeout(Duration::from_secs(60), stage.requests.recv()).await.is_err(), "it still hands over");
    stage.stopped.send_replace(Some(Stop::Leave));
    assert_eq!(stage.next().await.body["spec"]["holderIdentity"], "");
    stage.renewer.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_node_nothing_is_renewed() {
    let mut stage = Stage::start([]);
    stage.next().await;
    stage.surroundings.send_replace(Surroundings::default());
    while let Ok(Some(_)) = timeout(Duration::from_secs(60), stage.requests.recv()).await {}
    stage.surroundings.send_replace(Surroundings { node_uid: Some("uid-2".into()), speakers: 1, owned: 0 });
    let renewal = stage.next().await;
    assert_eq!(renewal.body["metadata"]["ownerReferences"][0]["uid"], "uid-2");
}

/// A renewer and its server.
struct Stage {
    links: watch::Sender<Option<Links>>,
    surroundings: watch::Sender<Surroundings>,
    stopped: watch::Sender<Option<Stop>>,
    held: watch::Receiver<bool>,
    readiness: Readiness,
    requests: Requests,
    tasks: Option<Tasks>,
    renewer: JoinHandle<Result<(), std::convert::Infallible>>,
}

impl Stage {
    /// The server gives these answers to the first renewals.
    fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers = VecDeque::from_iter(answers);
        let (client, requests) = server(move |_| answers.pop_front().unwrap_or(Answer::Ok(None)));
        let (links, links_receiver) = watch::channel(Some([(LinkId(2), link(true))].into()));
        let surroundings = Surroundings { node_uid: Some("uid-1".into()), speakers: 3, owned: 0 };
        let (surroundings, surroundings_receiver) = watch::channel(surroundings);
        let (stopped, stopped_receiver) = watch::channel(None);
        let (held_sender, held) = watch::channel(false);
        let (readiness, tasks) = (Readiness::default(), Tasks::default());
        let renewer = Renewer {
            leases: Api::namespaced(client, "ferrolb-system"),
            node: "node-1".into(),
            namespace: "ferrolb-system".into(),
            links: links_receiver,
            stopped: stopped_receiver,
            surroundings: surroundings_receiver,
            held: held_sender,
            gate: readiness.gate("lease"),
            metrics: Metrics::default().renewals(),
        };
        let renewer = tokio::spawn(renewer.run(tasks.shutdown()));
        Self { links, surroundings, stopped, held, readiness, requests, tasks: Some(tasks), renewer }
    }

    async fn next(&mut self) -> Seen {
        let next = timeout(Duration::from_secs(120), self.requests.recv());
        next.await.expect("no renewal came").expect("the server ended")
    }
}

fn link(up: bool) -> Link {
    Link {
        name: "eth0".into(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        port_macs: vec![],
        up,
        router: false,
        addresses: vec![],
        gateways: vec![],
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock is simulated")]
fn clock() -> Instant {
    Instant::now()
}
