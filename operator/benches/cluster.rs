//! Load for a real API server, and what a client sees of the operator's answer to it.
//!
//! ```text
//! cluster create FIRST COUNT             creates Services as fast as it can
//! cluster patch-others FIRST COUNT       writes to the status of Services of another class: the bare loop
//! cluster both-others FIRST COUNT        creates and writes
//! cluster pace FIRST COUNT PER_SECOND    creates at a rate, and waits for each address
//! cluster pace-others FIRST COUNT PER_SECOND  creates at a rate, and waits until a watch shows each
//! cluster obey                           creates or deletes a Service for each line that it is given
//! ```
//!
//! Each prints a line of JSON: `seconds` from its first request to the last answer, and at a pace the milliseconds from
//! each creation to what was awaited. The cluster is that of KUBECONFIG. With `obey`, lines are `create NAME ADDRESS` or
//! `delete NAME`, and each is answered by a line when it is done.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
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
    if words == ["obey"] {
        return obey(&services).await;
    }
    let start = clock();
    let mut milliseconds = Vec::new();
    let (word, first, count) = (words.first().map(String::as_str), number(1)?, number(2)?);
    match word {
        Some("create") => each(first, count, async |index| OURS.create(&services, index).await).await?,
        Some("patch-others") => {
            each(first, count, async |index| patch(&services, &OTHERS.name(index)).await).await?;
        }
        Some("both-others") => {
            let both = async |index| {
                OTHERS.create(&services, index).await?;
                patch(&services, &OTHERS.name(index)).await
            };
            each(first, count, both).await?;
        }
        Some("pace") => milliseconds = pace(&services, OURS, first..first + count, number(3)?).await?,
        Some("pace-others") => {
            milliseconds = pace(&services, OTHERS, first..first + count, number(3)?).await?;
        }
        _ => bail!("what to do? The first lines of this program's text tell."),
    }
    print(&json!({ "seconds": start.elapsed().as_secs_f64(), "milliseconds": milliseconds }));
    Ok(())
}

/// Does what its input says, one line after the other.
async fn obey(services: &Api<Service>) -> Result<()> {
    for line in std::io::stdin().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["create", name, address] => {
                let mut service = OURS.service(name)?;
                let asked = ("ferrolb.io/loadBalancerIPs".to_owned(), address.to_owned());
                service.metadata.annotations = Some([asked].into());
                services.create(&PostParams::default(), &service).await.map(drop)?;
            }
            ["delete", name] => services.delete(name, &DeleteParams::default()).await.map(drop)?,
            _ => bail!("{line:?}: create NAME ADDRESS, or delete NAME"),
        }
        print(&json!(line));
    }
    Ok(())
}

async fn each(first: usize, count: usize, work: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    let indexes = stream::iter(first..first + count).map(Ok);
    indexes.try_for_each_concurrent(CONCURRENCY, |index| work(index)).await
}

/// Services whose names begin alike.
#[derive(Clone, Copy)]
struct Kind {
    prefix: &'static str,
    class: Option<&'static str>,
}

const OURS: Kind = Kind { prefix: "bench", class: None };
const OTHERS: Kind = Kind { prefix: "other", class: Some("example.org/lb") };

impl Kind {
    fn name(self, index: usize) -> String {
        format!("{}-{index}", self.prefix)
    }

    async fn create(self, services: &Api<Service>, index: usize) -> Result<()> {
        let service = self.service(&self.name(index))?;
        services.create(&PostParams::default(), &service).await?;
        Ok(())
    }

    fn service(self, name: &str) -> Result<Service> {
        Ok(serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "type": "LoadBalancer", "ports": [{ "port": 80 }], "allocateLoadBalancerNodePorts": false,
                "ipFamilyPolicy": "SingleStack", "loadBalancerClass": self.class,
            },
        }))?)
    }

    /// Whether a Service shows what is awaited: an address if it is ours.
    fn is_served(self, service: &Service) -> bool {
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let points = balancer.and_then(|balancer| balancer.ingress.as_ref());
        self.class.is_some() || points.is_some_and(|points| !points.is_empty())
    }
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

/// When each of these Services was first seen to be served, until all were.
async fn served(
    services: &Api<Service>,
    kind: Kind,
    mut names: HashSet<String>,
) -> Result<HashMap<String, Instant>> {
    let mut seen = HashMap::new();
    let mut events = pin!(watcher(services.clone(), watcher::Config::default()));
    while !names.is_empty() {
        let event = events.try_next().await?.context("the watch ended")?;
        let (Event::Apply(service) | Event::InitApply(service)) = event else { continue };
        let name = service.metadata.name.as_deref().unwrap_or_default();
        if kind.is_served(&service)
            && let Some(name) = names.take(name)
        {
            seen.insert(name, clock());
        }
    }
    Ok(seen)
}

async fn pace(
    services: &Api<Service>,
    kind: Kind,
    indexes: Range<usize>,
    per_second: usize,
) -> Result<Vec<f64>> {
    let watching = served(services, kind, indexes.clone().map(|index| kind.name(index)).collect());
    let creating = async {
        let mut created = HashMap::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(per_second)?);
        let mut requests = stream::FuturesUnordered::new();
        for index in indexes {
            ticks.tick().await;
            created.insert(kind.name(index), clock());
            requests.push(kind.create(services, index));
            while requests.len() > CONCURRENCY {
                requests.next().await.transpose()?;
            }
        }
        requests.try_collect::<()>().await?;
        anyhow::Ok(created)
    };
    let both = futures::future::try_join(watching, creating);
    let (seen, created) = tokio::time::timeout(PATIENCE, both).await??;
    let waits = created.iter().filter_map(|(name, created)| Some(seen.get(name)?.duration_since(*created)));
    Ok(waits.map(|wait| wait.as_secs_f64() * 1e3).collect())
}

#[expect(clippy::print_stdout, reason = "what the program was run for")]
fn print(found: &serde_json::Value) {
    println!("{found}");
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}
