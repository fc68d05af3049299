//! A small language for scenarios, one step a line or between semicolons:
//!
//! ```text
//! pool NAME RANGE... [!EXCLUDED...] [manual] [drain] [buggy] [unready] [prio=N] [ns=A,B] [nssel=K:V] [svcsel=K:V]
//! no pool NAME
//! ns NAME [K:V]
//! NAME [v4|v6|prefer|require] [ips=A,B] [pool=P] [ns=N] [K:V] [age=N] [has=A,B] [from=P,Q]
//!      [key=K] [ports=80,53/UDP] [local=POD] -> OUTCOME
//! delete NAME
//! claim NAME [A,B]                      (externalIPs of a Service)
//! class NAME age=N [A,B]                (addresses of a Service of another class)
//! wait SECONDS
//! restart
//! policy [hold=SECONDS] [apart]         (before all else)
//! status NAME A,B
//! usage POOL A4 F4 A6 F6
//! ```
//!
//! OUTCOME is what the Service has, in status order, then the reason of a refusal, then the addresses that it gave
//! up as `-ADDRESS`; `nothing` if all that is empty. A Service keeps what it was told from line to line: its status
//! is written at once, `has=` and `status` overwrite it. `_` for an outcome asks for none.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ferrolb_crds::pool::{IPAddressPoolSpec, PoolRanges, ServiceAllocation};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::key::ServiceKey;
use crate::ledger::{Claimant, Decision, Ledger, Party, Policy, PoolDefinition};
use crate::request::Request;

/// Runs a scenario, and panics with its step when an outcome differs.
pub(crate) fn check(scenario: &str) {
    let mut stage = Stage::new();
    for step in scenario.split([';', '\n']).map(str::trim).filter(|step| !step.is_empty()) {
        stage.step(step).unwrap_or_else(|found| panic!("{step}\n  but: {found}\n  in: {scenario}"));
    }
}

/// A ledger, and all that it was told.
pub(super) struct Stage {
    pub(super) ledger: Ledger,
    pub(super) pools: BTreeMap<String, PoolDefinition>,
    pub(super) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) requests: BTreeMap<String, Request>,
    pub(super) claims: BTreeMap<String, Vec<(IpAddr, Claimant)>>,
    /// The latest decision, with the request that it was made for.
    pub(super) latest: Option<(Request, Decision)>,
    policy: Policy,
    now: Instant,
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let (pools, namespaces, requests, claims) = Default::default();
        let policy = Policy::default();
        let ledger = Ledger::new(policy, now);
        Self { ledger, pools, namespaces, requests, claims, latest: None, policy, now }
    }

    pub(super) fn step(&mut self, step: &str) -> Result<(), String> {
        let words: Vec<&str> = step.split_whitespace().collect();
        self.latest = None;
        match words[..] {
            ["pool", name, ..] => {
                self.pools.insert(name.to_owned(), definition(name, &words[2..]));
                self.set_pools();
            }
            ["no", "pool", name] => {
                self.pools.remove(name).expect("the pool exists");
                self.set_pools();
            }
            ["ns", name, ..] => {
                self.namespaces.insert(name.to_owned(), labels(&words[2..]));
                self.ledger.set_namespace(name, Some(labels(&words[2..])));
            }
            ["delete", name] => {
                let request = self.requests.remove(name).expect("the Service exists");
                self.ledger.delete(&request.service, self.now);
            }
            ["claim", name, ref addresses @ ..] => {
                let claimant = Claimant::ExternalIps(ServiceKey::new("default", name));
                self.claim(name, addresses, &claimant);
            }
            ["class", name, age, ref addresses @ ..] => {
                let age = age.strip_prefix("age=").and_then(|age| age.parse().ok()).expect("an age");
                let claimant = Claimant::OtherClass(ServiceKey::new("default", name), created(age));
                self.claim(name, addresses, &claimant);
            }
            ["policy", ref words @ ..] => {
                for word in words {
                    match word.strip_prefix("hold=") {
                        Some(hold) => self.policy.hold = Duration::from_secs(hold.parse().expect("seconds")),
                        None => self.policy.share_across_namespaces = *word != "apart",
                    }
                }
                self.restart();
            }
            ["wait", seconds] => {
                self.now += Duration::from_secs(seconds.parse().expect("seconds"));
                self.ledger.handle_timeout(self.now);
            }
            ["restart"] => self.restart(),
            ["status", name, addresses] => {
                self.requests.get_mut(name).expect("the Service exists").held = parsed(addresses);
            }
            ["usage", pool, ref expected @ ..] => {
                let usage = self.ledger.usage(pool).expect("the pool exists");
                let numbers = [usage.assigned_v4, usage.available_v4, usage.assigned_v6, usage.available_v6];
                let found: Vec<_> = numbers.iter().map(ToString::to_string).collect();
                return if found == expected { Ok(()) } else { Err(found.join(" ")) };
            }
            [name, ref rest @ ..] => {
                let arrow = rest.iter().position(|word| *word == "->").expect("a known step");
                let found = self.ask(name, &rest[..arrow]);
                let expected = rest[arrow + 1..].join(" ");
                return if expected == "_" || found == expected { Ok(()) } else { Err(found) };
            }
            [] => {}
        }
        Ok(())
    }

    fn set_pools(&mut self) {
        self.ledger.set_pools(self.pools.values().cloned().collect(), self.now);
    }

    fn restart(&mut self) {
        self.ledger = Ledger::new(self.policy, self.now);
        self.set_pools();
        for (name, claims) in &self.claims {
            self.ledger.set_claims(&Party::Service(ServiceKey::new("default", name)), claims.clone());
        }
        for (name, labels) in &self.namespaces {
            self.ledger.set_namespace(name, Some(labels.clone()));
        }
        let mut requests: Vec<_> = self.requests.values().collect();
        requests.sort_by_key(|request| request.rank());
        requests.into_iter().for_each(|request| self.ledger.adopt(request));
    }

    fn claim(&mut self, name: &str, addresses: &[&str], claimant: &Claimant) {
        let addresses = addresses.iter().flat_map(|addresses| parsed(addresses));
        let claims: Vec<_> = addresses.map(|address| (address, claimant.clone())).collect();
        self.ledger.set_claims(&Party::Service(ServiceKey::new("default", name)), claims.clone());
        self.claims.insert(name.to_owned(), claims);
    }

    fn ask(&mut self, name: &str, words: &[&str]) -> String {
        let before = self.requests.get(name);
        let mut request = match before {
            Some(before) if words.is_empty() => before.clone(),
            _ => request(name, words),
        };
        if let Some(before) = before.filter(|_| !words.iter().any(|word| word.starts_with("has="))) {
            (request.held, request.held_from) = (before.held.clone(), before.held_from.clone());
        }
        let decision = self.ledger.decide(&request);
        let text = outcome(&decision);
        self.latest = Some((request.clone(), decision.clone()));
        let places = || decision.assignment.iter();
        request.held = places().map(|place| place.address).collect();
        request.held_from = places().map(|place| place.pool.to_string()).collect();
        self.ledger.settle(&request.service);
        self.requests.insert(name.to_owned(), request);
        text
    }
}

fn outcome(decision: &Decision) -> String {
    let has = decision.assignment.iter().map(|place| place.address.to_string());
    let refusal = decision.refusal.iter().map(|refusal| refusal.reason().as_str().to_owned());
    let given_up = decision.given_up.iter().map(|given_up| format!("-{}", given_up.address));
    let words: Vec<_> = has.chain(refusal).chain(given_up).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

fn definition(name: &str, words: &[&str]) -> PoolDefinition {
    let mut spec = IPAddressPoolSpec { auto_assign: true, ..IPAddressPoolSpec::default() };
    let (mut ranges, mut ready) = (PoolRanges::default(), true);
    let mut allocation = ServiceAllocation::default();
    for word in words {
        match word.split_once('=') {
            Some(("prio", priority)) => allocation.priority = priority.parse().expect("a priority"),
            Some(("ns", names)) => allocation.namespaces = names.split(',').map(str::to_owned).collect(),
            Some(("nssel", label)) => allocation.namespace_selectors.push(selector(label)),
            Some(("svcsel", label)) => allocation.service_selectors.push(selector(label)),
            Some(_) => panic!("{word}?"),
            None => match *word {
                "manual" => spec.auto_assign = false,
                "drain" => spec.drain = true,
                "buggy" => spec.avoid_buggy_ips = true,
                "unready" => ready = false,
                range => match range.strip_prefix('!') {
                    Some(excluded) => ranges.excluded.push(excluded.parse().expect("a range")),
                    None => ranges.addresses.push(range.parse().expect("a range")),
                },
            },
        }
    }
    spec.service_allocation = Some(allocation);
    PoolDefinition { name: name.into(), spec, ranges, ready }
}

fn request(name: &str, words: &[&str]) -> Request {
    let (mut annotations, mut service_labels) = (String::new(), Vec::new());
    let (mut families, mut age, mut namespace) = ("clusterIPs: [10.96.0.1]", 0, "default");
    let (mut has, mut from) = ("", "");
    let (mut ports, mut traffic) = (String::from("{port: 80}"), String::new());
    for word in words {
        match word.split_once('=') {
            Some(("ips", ips)) => annotations.push_str(&format!("ferrolb.io/loadBalancerIPs: '{ips}', ")),
            Some(("pool", pool)) => annotations.push_str(&format!("ferrolb.io/address-pool: '{pool}', ")),
            Some(("key", key)) => annotations.push_str(&format!("ferrolb.io/allow-shared-ip: '{key}', ")),
            Some(("ports", list)) => ports = listed(list).map(port).collect::<Vec<_>>().join(", "),
            Some(("local", pod)) => {
                traffic = format!(", externalTrafficPolicy: Local, selector: {{app: '{pod}'}}");
            }
            Some(("ns", name)) => namespace = name,
            Some(("age", seconds)) => age = seconds.parse().expect("seconds"),
            Some(("has", addresses)) => has = addresses,
            Some(("from", pools)) => from = pools,
            Some(_) => panic!("{word}?"),
            None => match *word {
                "v4" => families = "clusterIPs: [10.96.0.1]",
                "v6" => families = "clusterIPs: ['fd96::1']",
                "prefer" => families = "clusterIPs: [10.96.0.1, 'fd96::1'], ipFamilyPolicy: PreferDualStack",
                "require" => {
                    families = "clusterIPs: [10.96.0.1, 'fd96::1'], ipFamilyPolicy: RequireDualStack"
                }
                label => service_labels.push(label),
            },
        }
    }
    let service: Service = serde_saphyr::from_str(&format!(
        "{{metadata: {{annotations: {{{annotations}}}}}, spec: {{{families}, ports: [{ports}]{traffic}}}}}"
    ))
    .expect("a Service");
    let mut request = Request::parse(&service);
    request.service = ServiceKey::new(namespace, name);
    request.labels = labels(&service_labels);
    request.created = created(age);
    request.held = parsed(has);
    request.held_from = listed(from).map(str::to_owned).collect();
    request
}

fn created(age: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 - age).expect("a time")
}

fn port(text: &str) -> String {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    format!("{{port: {number}, protocol: {protocol}}}")
}

fn parsed(addresses: &str) -> Vec<IpAddr> {
    listed(addresses).map(|address| address.parse().expect("an address")).collect()
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

fn selector(label: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(&[label])), ..LabelSelector::default() }
}

fn labels(words: &[&str]) -> BTreeMap<String, String> {
    let pairs = words.iter().map(|word| word.split_once(':').unwrap_or_else(|| panic!("{word}?")));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
