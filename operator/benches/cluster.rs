//! Load for a real API server, and what a client sees of the operator's answer to it.
//!
//! ```text
//! cluster create FIRST COUNT             creates Services as fast as it can
//! cluster patch FIRST COUNT              writes to the status of each, as the operator would: the bare loop
//! cluster create-and-patch-others COUNT  both, of Services that are of another class
//! cluster pace FIRST COUNT PER_SECOND    creates at a rate, and waits for each address
//! ```
//!
//! Each prints a line of JSON: `seconds` from its first request to the last answer, and for `pace` the milliseconds
//! from each creation to its address. The cluster is that of KUBECONFIG.

use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;

/// Requests under way at once: as many as the operator has.
const CONCURRENCY: usize = 32;
/// How long the last address may take.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |index: usize| -> Result<usize> {
        words.get(index).context("too few words")?.parse().context("not a number")
    };
    let services: Api<Service> = Api::namespaced(Client::try_default().await?, "default");
    let start = clock();
    let mut milliseconds = Vec::new();
    match words.first().map(String::as_str) {
        Some("create") => {
            each(number(1)?, number(2)?, async |index| create(&services, &name(index), None).await).await?
        }
        Some("patch") => {
            each(number(1)?, number(2)?, async |index| patch(&services, &name(index)).await).await?
        }
        Some("create-and-patch-others") => {
            let both = async |index| {
                create(&services, &format!("other-{index}"), Some("example.org/lb")).await?;
                patch(&services, &format!("other-{index}")).await
            };
            each(0, number(1)?, both).await?;
        }
        Some("pace") => milliseconds = pace(&services, number(1)?, number(2)?, number(3)?).await?,
        _ => bail!("create, patch, create-and-patch-others or pace"),
    }
    print(&json!({ "seconds": start.elapsed().as_secs_f64(), "milliseconds": milliseconds }));
    Ok(())
}

async fn each(first: usize, count: usize, work: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    let indexes = stream::iter(first..first + count).map(Ok);
    indexes.try_for_each_concurrent(CONCURRENCY, |index| work(index)).await
}

async fn create(services: &Api<Service>, name: &str, class: Option<&str>) -> Result<()> {
    let service = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "type": "LoadBalancer", "ports": [{ "port": 80 }], "allocateLoadBalancerNodePorts": false,
            "ipFamilyPolicy": "SingleStack", "loadBalancerClass": class,
        },
    }))?;
    services.create(&PostParams::default(), &service).await?;
    Ok(())
}

/// A write of the size of the operator's, that gives no address.
async fn patch(services: &Api<Service>, name: &str) -> Result<()> {
    let body = json!({
        "metadata": { "annotations": { "example.org/ip-allocated-from-pool": "bench" } },
        "status": { "conditions": [
            {
                "type": "example.org/Allocated", "status": "True", "reason": "Allocated",
                "message": "10.64.0.1 from pool bench", "lastTransitionTime": "2026-01-01T00:00:00Z",
            },
            {
                "type": "example.org/Announced", "status": "True", "reason": "Announced",
                "message": "a node announces it", "lastTransitionTime": "2026-01-01T00:00:00Z",
            },
        ] },
    });
    services.patch_status(name, &PatchParams::default(), &Patch::Merge(&body)).await?;
    Ok(())
}

/// When each Service was first seen with an address, until there are so many.
async fn addresses(services: &Api<Service>, count: usize) -> Result<HashMap<String, Instant>> {
    let mut seen = HashMap::new();
    let mut events = pin!(watcher(services.clone(), watcher::Config::default()));
    while seen.len() < count {
        let event = events.try_next().await?.context("the watch ended")?;
        let (Event::Apply(service) | Event::InitApply(service)) = event else { continue };
        let balancer = service.status.and_then(|status| status.load_balancer);
        if balancer.is_some_and(|balancer| balancer.ingress.is_some_and(|points| !points.is_empty())) {
            seen.entry(service.metadata.name.unwrap_or_default()).or_insert_with(clock);
        }
    }
    Ok(seen)
}

async fn pace(services: &Api<Service>, first: usize, count: usize, per_second: usize) -> Result<Vec<f64>> {
    let watching = addresses(services, first + count);
    let creating = async {
        let mut created = HashMap::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(per_second)?);
        let mut requests = stream::FuturesUnordered::new();
        for index in first..first + count {
            ticks.tick().await;
            created.insert(name(index), clock());
            requests.push(async move { create(services, &name(index), None).await });
            while requests.len() > CONCURRENCY {
                requests.next().await.transpose()?;
            }
        }
        requests.try_collect::<()>().await?;
        anyhow::Ok(created)
    };
    let both = futures::future::try_join(watching, creating);
    let (seen, created) = tokio::time::timeout(PATIENCE, both).await??;
    ensure!(created.len() == count, "{} of {count} were created", created.len());
    let waits = created.iter().filter_map(|(name, created)| Some(seen.get(name)?.duration_since(*created)));
    Ok(waits.map(|wait| wait.as_secs_f64() * 1e3).collect())
}

fn name(index: usize) -> String {
    format!("bench-{index}")
}

#[expect(clippy::print_stdout, reason = "what the program was run for")]
fn print(found: &serde_json::Value) {
    println!("{found}");
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}
