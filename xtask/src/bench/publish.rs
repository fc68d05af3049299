//! From `kubectl create` of a Service to the first answer for its address on the wire, on two bare nodes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ferrolb_lab::probe::ResolveProbe;
use ferrolb_lab::{Ferrolb, Lab, LabBuilder};

use super::report::{Bounds, Report};
use crate::cargo::{release_binaries, workspace};
use crate::spinner::Spinner;

/// How long an answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pool's first address; each Service gets the next one.
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 150);

const POOL: &str = "
apiVersion: ferrolb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: ferrolb-system}
spec: {addresses: [192.168.1.150-192.168.1.254]}
---
apiVersion: ferrolb.io/v1beta1
kind: L2Advertisement
metadata: {name: bench, namespace: ferrolb-system}
spec: {}
";

pub(super) fn run(services: u8) -> Result<Report> {
    let binaries = release_binaries()?;
    let spinner = Arc::new(Spinner::default());
    let lab = LabBuilder::new().bare_nodes(2).progress(spinner.clone()).start()?;
    let ferrolb = Ferrolb::new(&lab, binaries);
    ferrolb.install(&workspace().join("deploy/install.yaml"))?;
    ferrolb.start()?;
    lab.kubectl_stdin(["apply", "--filename=-"], POOL)?;
    // The first Service shows that everything is up, and isn't counted.
    create_and_wait(&lab, 0)?;
    let samples = spinner.step("create Services", || {
        (1..=services).map(|number| create_and_wait(&lab, number)).collect::<Result<Vec<_>>>()
    })?;
    let mut report = Report::new("publish")?;
    let millis = samples.iter().map(|took| took.as_secs_f64() * 1e3).collect();
    report.distribution(
        "Service created to answered",
        "ms",
        millis,
        Bounds { p50: Some(80.0), p99: Some(200.0) },
    );
    Ok(report)
}

/// Creates a Service, and returns the time from kubectl's start to the first answer.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn create_and_wait(lab: &Lab, number: u8) -> Result<Duration> {
    let address = IpAddr::V4(Ipv4Addr::from_bits(FIRST.to_bits() + u32::from(number)));
    let probe = ResolveProbe::start(&lab.client()?, address)?;
    let service = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: bench-{number}}}, \
         spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}}}"
    );
    let created = Instant::now();
    lab.kubectl_stdin(["create", "--filename=-"], &service)?;
    while created.elapsed() < PATIENCE {
        if let Some(answer) = probe.answers().first() {
            let took = answer.at.saturating_duration_since(created);
            probe.stop().context("stop asking")?;
            return Ok(took);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("nobody answered for {address} within {PATIENCE:?}")
}
