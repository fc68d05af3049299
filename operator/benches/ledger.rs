//! What a grant, a refusal and a release cost in the ledger, however many addresses are in use.
//!
//! Prints a line of JSON for each distribution: its name, and nanoseconds per call, each sample the mean of a batch.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ferrolb_crds::pool::IPAddressPoolSpec;
use ferrolb_operator::ledger::{Ledger, Policy, PoolDefinition};
use ferrolb_operator::request::Request;
use k8s_openapi::api::core::v1::Service;

/// Calls of one sample, and samples of one distribution.
const BATCH: usize = 50;
const SAMPLES: usize = 200;

#[expect(clippy::print_stdout, reason = "what the program was run for")]
fn main() {
    for family in ["IPv4", "IPv6"] {
        for in_use in [100, 10_000, 100_000] {
            for (call, samples) in measure(family, in_use) {
                let name = format!("{family} {call} with {in_use} in use");
                println!("{}", serde_json::json!({ "name": name, "nanoseconds": samples }));
            }
        }
    }
}

fn measure(family: &str, in_use: usize) -> [(&'static str, Vec<f64>); 3] {
    let start = clock();
    let mut ledger = Ledger::new(Policy { hold: Duration::ZERO, ..Policy::default() }, start);
    ledger.set_pools(pools(family), start);
    for number in 0..in_use {
        ledger.decide(&request(family, number, ""));
    }
    let newcomers: Vec<_> = (0..BATCH).map(|number| request(family, in_use + number, "")).collect();
    let taken = if family == "IPv4" { "10.0.0.7" } else { "fd00::7" };
    let refused: Vec<_> = (0..BATCH).map(|number| request(family, in_use + number, taken)).collect();
    let mut samples = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..SAMPLES {
        samples[0].push(time(|| newcomers.iter().for_each(|request| drop(ledger.decide(request)))));
        // What a controller does after each write, and not part of the promise.
        newcomers.iter().for_each(|request| ledger.settle(&request.service));
        samples[2].push(time(|| newcomers.iter().for_each(|request| ledger.release(&request.service))));
        ledger.take_freed();
        samples[1].push(time(|| refused.iter().for_each(|request| drop(ledger.decide(request)))));
    }
    let [grant, refuse, release] = samples;
    [("grant", grant), ("refuse", refuse), ("release", release)]
}

/// Nanoseconds of one of a batch of calls.
fn time(batch: impl FnOnce()) -> f64 {
    let start = clock();
    batch();
    let took = clock().saturating_duration_since(start);
    took.as_secs_f64() * 1e9 / BATCH as f64
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

fn pools(family: &str) -> Vec<PoolDefinition> {
    let range = if family == "IPv4" { "10.0.0.0/8" } else { "fd00::/64" };
    let spec: IPAddressPoolSpec =
        serde_json::from_value(serde_json::json!({ "addresses": [range] })).expect("a pool");
    let ranges = spec.ranges().expect("ranges");
    vec![PoolDefinition { name: "bench".into(), spec, ranges, ready: true }]
}

fn request(family: &str, number: usize, asks_for: &str) -> Request {
    let cluster_ip = if family == "IPv4" { "10.96.0.1" } else { "fd96::1" };
    let service: Service = serde_json::from_value(serde_json::json!({
        "metadata": {
            "namespace": "default", "name": format!("service-{number}"),
            "annotations": { "ferrolb.io/loadBalancerIPs": asks_for },
        },
        "spec": { "type": "LoadBalancer", "clusterIPs": [cluster_ip], "ports": [{ "port": 80 }] },
    }))
    .expect("a Service");
    let request = Request::parse(&service);
    assert!(request.wish.is_ok() && asks_for.parse::<IpAddr>().is_ok() != asks_for.is_empty());
    request
}
