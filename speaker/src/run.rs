//! Puts the parts together and runs them.

use std::convert::Infallible;
use std::thread;
use std::time::Duration;

use ferrolb_crds::names::SPEAKER_MANAGER;
use ferrolb_runtime::admin::Admin;
use ferrolb_runtime::client;
use ferrolb_runtime::events::{self, NoFence, Reporter};
use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::{Shutdown, Tasks, termination};
use kube::Api;
use prometheus_client::registry::Registry;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

use crate::config::Config;
use crate::control::{self, Control};
use crate::driver::{self, Driver};
use crate::jitter;
use crate::kube::hints;
use crate::kube::index::Index;
use crate::kube::status::{StatusWriter, Telling};
use crate::kube::watch::changes;
use crate::lease::renew::{Renewer, Surroundings};
use crate::link::Links;
use crate::metrics::{Metrics, register_owned};
use crate::net::exclusion::Patterns;
use crate::net::{LinkError, LinkWatch};
use crate::strict_arp::watch::{KernelWatch, PERIOD};

/// How long tasks may take to stop. Handing over, and then the last renewal of the Lease, are the longest of them.
const GRACE: Duration = Duration::from_secs(10);

/// Why the speaker can't go on.
#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("the thread for the links can't be started: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Links(#[from] LinkError),
    #[error(transparent)]
    Driver(#[from] driver::DriverError),
    #[error("the thread for the links panicked")]
    Panicked,
}

/// Runs the speaker until a signal tells it to stop.
///
/// # Errors
/// When it can't start, or a part of it ended that must not.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let Config {
        scope,
        namespace,
        patterns,
        promiscuous,
        metrics_bind_address,
        health_socket,
        timing,
        client: client_args,
    } = config;
    let node = scope.node.clone();
    info!(
        event = "starting",
        version = env!("CARGO_PKG_VERSION"),
        node,
        namespace,
        class = scope.class,
        "ferrolb-speaker"
    );
    let stop = termination()?;
    let client = client::connect(&client_args).await?;

    let readiness = Readiness::default();
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut tasks = Tasks::default();

    let (links_sender, links) = watch::channel(None);
    let (cluster_sender, cluster) = watch::channel(None);
    let (stopped_sender, stopped) = watch::channel(None);
    let (notices_sender, notices) = mpsc::unbounded_channel();
    let (held_sender, held) = watch::channel(false);
    let (surroundings_sender, surroundings) = watch::channel(Surroundings::default());
    let (reports_sender, reports) = watch::channel(None);
    let (news_sender, news) = mpsc::channel(events::WAITING);
    register_owned(&mut registry, &node, reports.clone());

    let kernel = KernelWatch {
        period: PERIOD,
        links: links.clone(),
        cluster: cluster.clone(),
        reports: reports.clone(),
        notices: notices_sender.clone(),
    };
    tasks.spawn("kernel-answers", kernel.run(tasks.shutdown()));

    let driver = driver::Wiring {
        links: links.clone(),
        promiscuous,
        cluster,
        stopped: stopped_sender,
        notices: notices_sender,
        gate: readiness.gate("sockets"),
        metrics: metrics.clone(),
    };
    let driver = Driver::new(jitter::seed(&node), timing, driver)?;
    tasks.spawn("wire", on_thread(driver, patterns, links_sender, tasks.shutdown()));

    let control = control::Wiring {
        links: links.clone(),
        held,
        notices,
        cluster: cluster_sender,
        surroundings: surroundings_sender,
        metrics: metrics.clone(),
        reports: reports_sender,
        news: news_sender,
        gate: readiness.gate("caches"),
    };
    let reports_api = Api::namespaced(client.clone(), &namespace);
    let control = Control::new(&node, Index::new(scope), control);
    tasks.spawn(
        "control",
        control.run(changes(&client, &namespace), hints::read(reports_api), tasks.shutdown()),
    );

    let renewer = Renewer {
        leases: Api::namespaced(client.clone(), &namespace),
        node: node.clone(),
        namespace: namespace.clone(),
        links,
        stopped,
        surroundings,
        held: held_sender,
        gate: readiness.gate("lease"),
        metrics: metrics.renewals(),
    };
    tasks.spawn("lease", renewer.run(tasks.shutdown()));

    let reporter = Reporter { controller: SPEAKER_MANAGER, instance: node.clone() };
    let (events, sender) = events::channel(client.clone(), reporter, NoFence, metrics.dropped_events());
    let telling = sender.run(tasks.shutdown());
    tasks.spawn("events", async move {
        telling.await;
        Ok::<_, Infallible>(())
    });

    let writer = StatusWriter::new(client, &node, &namespace);
    tasks.spawn("status", writer.run(reports, Telling { news, events }, tasks.shutdown()));

    let admin = Admin::new(readiness, registry);
    if let Some(address) = metrics_bind_address {
        tasks.spawn("metrics", admin.clone().serve_tcp(address, tasks.shutdown()));
    }
    if let Some(path) = health_socket {
        let shutdown = tasks.shutdown();
        tasks.spawn("health", async move { admin.serve_unix(&path, shutdown).await });
    }
    tasks.run(stop, GRACE).await?;
    info!(event = "stopped", "ferrolb-speaker");
    Ok(())
}

/// Runs what follows the links, and passes on to the driver what it has to know, on a thread and runtime of its own, so
/// that no work for the API delays it; resolves when it ends.
async fn on_thread(
    driver: Driver,
    patterns: Patterns,
    links: watch::Sender<Option<Links>>,
    shutdown: Shutdown,
) -> Result<(), WireError> {
    let (sender, ended) = oneshot::channel();
    let work = move || {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(WireError::Thread);
        let result = runtime.and_then(|runtime| {
            runtime.block_on(async {
                tokio::select! {
                    result = driver.run(shutdown) => result.map_err(WireError::from),
                    result = follow(patterns, links) => result.map_err(WireError::from),
                }
            })
        });
        // An error means that nobody waits any more, as the process ends.
        _ = sender.send(result);
    };
    thread::Builder::new().name("links".to_owned()).spawn(work).map_err(WireError::Thread)?;
    ended.await.map_err(|_| WireError::Panicked)?
}

/// Passes the links on, as they change.
async fn follow(patterns: Patterns, sender: watch::Sender<Option<Links>>) -> Result<(), LinkError> {
    let mut watch = LinkWatch::open(patterns)?;
    loop {
        sender.send_replace(Some(watch.changed().await?));
    }
}
