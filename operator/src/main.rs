//! The operator's process: flags, logs, endpoints, and the controller under supervision, while this operator leads.

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ferrolb_operator::args::{Args, Config};
use ferrolb_operator::controller::{self, Scope};
use ferrolb_operator::leader::record::lease_name;
use ferrolb_operator::leader::{self, Candidate, Timing};
use ferrolb_operator::metrics::Metrics;
use ferrolb_runtime::admin::Admin;
use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::{Tasks, termination};
use ferrolb_runtime::{client, logs};
use kube::Api;
use prometheus_client::registry::Registry;
use tracing::info;

/// Our name where there is no pod's.
const PROGRAM: &str = "ferrolb-operator";

/// How long tasks may take to stop: less than a pod is given.
const GRACE: Duration = Duration::from_secs(8);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Config { namespace, settings, metrics_bind_address, client, logs } = Args::parse().into();
    logs::init(&logs)?;
    let stop = termination().context("can't listen for SIGTERM")?;
    let client = client::connect(&client).await?;
    let readiness = Readiness::default();
    let (known, caches) = (readiness.gate("leader"), readiness.gate("caches"));
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let version = env!("CARGO_PKG_VERSION");
    let class = settings.class.as_deref();
    let identity = leader::identity(&std::env::var("HOSTNAME").unwrap_or_else(|_| PROGRAM.to_owned()));
    info!(event = "started", version, namespace, class, identity, %metrics_bind_address);

    let mut tasks = Tasks::default();
    let admin = Admin::new(readiness, registry);
    tasks.spawn("admin", admin.serve_tcp(metrics_bind_address, tasks.shutdown()));
    let candidate = Candidate {
        leases: Api::namespaced(client.clone(), &namespace),
        name: lease_name(class),
        identity,
        timing: Timing::default(),
        known,
        caches: caches.clone(),
        metrics: metrics.clone(),
    };
    let scope = Scope { namespace, settings };
    let shutdown = tasks.shutdown();
    let lead = move |tenure| {
        let (client, scope, metrics) = (client.clone(), scope.clone(), metrics.clone());
        controller::run(client, scope, tenure, metrics, caches.clone(), shutdown.clone())
    };
    tasks.spawn("controller", leader::run(candidate, lead, tasks.shutdown()));
    tasks.run(stop, GRACE).await?;
    info!(event = "stopped");
    Ok(())
}
