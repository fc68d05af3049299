//! A thousand Services that all get their addresses at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};

use crate::Fixture;
use crate::support::eventually;

/// How many Services there are.
const SERVICES: usize = 1_000;
/// How many kubectl create them at once.
const HANDS: usize = 4;
/// How many of them have an address when something happens.
const MIDDLE: usize = 150;

/// Services in a namespace of their own, which ask for a pool of its name.
pub(crate) struct Load<'a> {
    fixture: &'a Fixture,
    name: &'static str,
    range: &'static str,
}

/// The version and the addresses of every Service, by name.
pub(crate) type State = BTreeMap<String, (String, Vec<IpAddr>)>;

impl<'a> Load<'a> {
    /// Creates the Services, and awaits that all have been refused, as there is no such pool yet.
    pub(crate) fn prepare(fixture: &'a Fixture, name: &'static str, range: &'static str) -> Result<Self> {
        let load = Self { fixture, name, range };
        fixture.lab.kubectl(["create", "namespace", name])?;
        let manifests: Vec<String> = (0..HANDS)
            .map(|hand| {
                let services = (hand..SERVICES).step_by(HANDS);
                services.map(|number| load.service(&format!("web-{number}"))).collect()
            })
            .collect();
        std::thread::scope(|scope| {
            let create = |manifest| {
                let words = ["create", "--validate=false", "--filename=-"];
                fixture.lab.kubectl_stdin(words, manifest)
            };
            let hands: Vec<_> =
                manifests.iter().map(|manifest| scope.spawn(move || create(manifest))).collect();
            hands.into_iter().try_for_each(|hand| {
                hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(drop)
            })
        })?;
        eventually(|| {
            let namespace = format!("--namespace={name}");
            let reasons = "--output=jsonpath={.items[*].status.conditions[*].reason}";
            let reasons = fixture.lab.kubectl(["get", "services", &namespace, reasons])?;
            let refused = reasons.split_whitespace().count();
            ensure!(refused == SERVICES, "{refused} were refused");
            Ok(())
        })?;
        Ok(load)
    }

    /// Makes the pool, and returns in the middle of what the leader has to do then.
    pub(crate) fn begin(&self, leader: u16) -> Result<()> {
        let process = self.fixture.operator(leader)?;
        self.fixture.apply(&format!(
            "{{apiVersion: ferrolb.io/v1beta1, kind: IPAddressPool, \
             metadata: {{name: {}, namespace: ferrolb-system}}, spec: {{addresses: [{}]}}}}",
            self.name, self.range,
        ))?;
        let of_ours = format!("{}/", self.name);
        eventually(|| {
            let log = process.log()?;
            let given =
                log.lines().filter(|line| line.contains("addressAllocated") && line.contains(&of_ours));
            ensure!(given.count() >= MIDDLE, "the leader gives no addresses");
            Ok(())
        })
    }

    /// That the work was interrupted: some Services have an address, and some have none.
    pub(crate) fn ensure_half_done(&self) -> Result<()> {
        let state = self.state()?;
        let given = state.values().filter(|(_, addresses)| !addresses.is_empty()).count();
        ensure!(given > 0 && given < SERVICES, "{given} of {SERVICES} had their address: that is no middle");
        Ok(())
    }

    /// Waits until all have one address, and makes sure that none is given twice.
    pub(crate) fn await_done(&self) -> Result<State> {
        let state = eventually(|| {
            let state = self.state()?;
            let given = state.values().filter(|(_, addresses)| addresses.len() == 1).count();
            ensure!(given == SERVICES, "{given} of {SERVICES} have one address");
            Ok(state)
        })?;
        let distinct: BTreeSet<_> = state.values().flat_map(|(_, addresses)| addresses).collect();
        ensure!(distinct.len() == SERVICES, "{SERVICES} Services have {} addresses", distinct.len());
        Ok(state)
    }

    /// That nothing has changed since, and nothing does when the other operator begins to lead: a Service that is
    /// created then gets an address, so it has seen everything.
    pub(crate) fn ensure_final(&self, before: &State) -> Result<()> {
        self.fixture.hand_over()?;
        self.fixture.apply(&self.service("last"))?;
        let mut after = eventually(|| {
            let state = self.state()?;
            ensure!(state.get("last").is_some_and(|(_, addresses)| addresses.len() == 1), "no address");
            Ok(state)
        })?;
        let (_, last) = after.remove("last").context("it was there")?;
        ensure!(!before.values().any(|(_, addresses)| *addresses == last), "{last:?} is given twice");
        let changed: Vec<_> =
            after.iter().filter(|(name, state)| before.get(*name) != Some(*state)).collect();
        ensure!(changed.is_empty() && after.len() == before.len(), "changed: {changed:?}");
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let namespace = format!("--namespace={}", self.name);
        let fields = "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion} \
                      {.status.loadBalancer.ingress[*].ip}{\"\\n\"}{end}";
        let lines = self.fixture.lab.kubectl(["get", "services", &namespace, fields])?;
        lines
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace();
                let name = words.next().context("no name")?.to_owned();
                let version = words.next().context("no version")?.to_owned();
                let addresses = words.map(str::parse).collect::<Result<_, _>>()?;
                Ok((name, (version, addresses)))
            })
            .collect()
    }

    fn service(&self, name: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {pool}, \
             annotations: {{ferrolb.io/address-pool: {pool}}}}}, \
             spec: {{type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{{port: 80}}]}}}}\n---\n",
            pool = self.name,
        )
    }
}
