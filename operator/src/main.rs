//! The operator's process: flags, logs, endpoints, and the controller under supervision.

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ferrolb_operator::args::{Args, Config};
use ferrolb_operator::controller::{self, Scope};
use ferrolb_operator::metrics::Metrics;
use ferrolb_runtime::admin::Admin;
use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::{Tasks, termination};
use ferrolb_runtime::{client, logs};
use prometheus_client::registry::Registry;
use tracing::info;

/// How long tasks may take to stop: less than a pod is given.
const GRACE: Duration = Duration::from_secs(8);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Config { namespace, settings, metrics_bind_address, client, logs } = Args::parse().into();
    logs::init(&logs)?;
    let stop = termination().context("can't listen for SIGTERM")?;
    let client = client::connect(&client).await?;
    let readiness = Readiness::default();
    let caches = readiness.gate("caches");
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let version = env!("CARGO_PKG_VERSION");
    let class = settings.class.as_deref();
    info!(event = "started", version, namespace, class, %metrics_bind_address);

    let mut tasks = Tasks::default();
    let admin = Admin::new(readiness, registry);
    tasks.spawn("admin", admin.serve_tcp(metrics_bind_address, tasks.shutdown()));
    let scope = Scope { namespace, settings };
    tasks.spawn("controller", controller::run(client, scope, metrics, caches, tasks.shutdown()));
    tasks.run(stop, GRACE).await?;
    info!(event = "stopped");
    Ok(())
}
