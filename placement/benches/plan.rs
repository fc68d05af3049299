//! What it costs to place all addresses, and those that one change touches.
//!
//! Prints a line of JSON for each distribution: its name, and milliseconds per call.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ferrolb_crds::L2AdvertisementSpec;
use ferrolb_placement::{NodeFacts, Planner, PoolFacts, ServiceFacts, Slice, Speaker, Touched};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

const ADDRESSES: u32 = 10_000;
const NODES: u32 = 50;
const SAMPLES: u32 = 20;

#[expect(clippy::print_stdout, reason = "what the program was run for")]
fn main() {
    for policy in ["Cluster", "Local"] {
        let mut planner = cluster(policy == "Local");
        let all: Vec<f64> = (0..SAMPLES).map(|n| place(&mut planner, |it| node(it, 0, n % 2 == 1))).collect();
        println!(
            "{}",
            serde_json::json!({ "name": format!("{policy}: a node changes"), "milliseconds": all })
        );
        let one = (0..SAMPLES).map(|n| {
            let facts = service(n, policy == "Local", Some("node-1"));
            place(&mut planner, |it| it.set_service(&n, Some(facts)))
        });
        let one: Vec<f64> = one.collect();
        println!(
            "{}",
            serde_json::json!({ "name": format!("{policy}: a Service changes"), "milliseconds": one })
        );
    }
}

/// Makes a change, and places what it touches. Returns how long both took.
fn place(planner: &mut Planner<u32>, change: impl FnOnce(&mut Planner<u32>) -> Touched) -> f64 {
    let start = clock();
    let addresses = match change(planner) {
        Touched::Addresses(addresses) => addresses,
        Touched::All => planner.addresses().collect(),
    };
    for address in addresses {
        std::hint::black_box(planner.place(address)).ok();
    }
    (clock() - start).as_secs_f64() * 1000.0
}

fn cluster(local: bool) -> Planner<u32> {
    let mut planner = Planner::default();
    let mut told = Vec::new();
    for n in 0..NODES {
        told.push(node(&mut planner, n, true));
    }
    let ranges = vec!["10.0.0.0/16".parse().expect("a range")];
    let pool = PoolFacts { name: "pool".to_owned(), ranges, ..PoolFacts::default() };
    told.push(planner.set_pool("pool", Some(pool), clock()));
    let spec = L2AdvertisementSpec { interfaces: vec!["eth*".to_owned()], ..L2AdvertisementSpec::default() };
    told.push(planner.set_advertisement("all", Some(spec)));
    for n in 0..ADDRESSES {
        told.push(planner.set_service(&n, Some(service(n, local, None))));
        told.push(planner.set_slice(n, Slice::read(&slice(n)).map(|slice| (n, slice))));
    }
    assert!(told.iter().any(|touched| !touched.is_empty()));
    planner
}

fn node(planner: &mut Planner<u32>, number: u32, ready: bool) -> Touched {
    let name = format!("node-{number}");
    let speaker = Speaker::Live { interfaces: vec!["eth0".to_owned()] };
    planner.set_node(&name, Some(NodeFacts { name: name.clone(), ready, speaker, ..NodeFacts::default() }))
}

fn service(number: u32, local: bool, preferred: Option<&str>) -> ServiceFacts {
    let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number));
    let preferred_node = preferred.map(Box::from);
    ServiceFacts { addresses: [address].into(), local, preferred_node, ..ServiceFacts::default() }
}

fn slice(number: u32) -> EndpointSlice {
    let endpoint =
        |n: u32| Endpoint { node_name: Some(format!("node-{}", n % NODES)), ..Endpoint::default() };
    let endpoints = (number..number + 3).map(endpoint).collect();
    EndpointSlice { address_type: "IPv4".to_owned(), endpoints, ..EndpointSlice::default() }
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn clock() -> Instant {
    Instant::now()
}
