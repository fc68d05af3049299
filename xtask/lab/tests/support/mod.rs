//! Running tests on one cluster that they share, and what they all need.

// Each test target uses a part of it.
#![allow(dead_code)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ferrolb_lab::Lab;
use ferrolb_lab::probe::{Mac, ResolveProbe};
use libtest_mimic::{Arguments, Trial};

/// A test on the fixture `F`: its name, which is a sentence, and what it does.
pub(crate) type Test<F> = (&'static str, fn(&F) -> Result<()>);

/// How long anything may take: a multiple of every promise, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Names tests after their functions.
#[macro_export]
macro_rules! tests {
    ($($module:ident :: $test:ident),* $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($test)), $module::$test as fn(&_) -> _)),*]
    };
}

/// Runs tests one after the other on a fixture that the first of them starts, and removes it at the end.
pub(crate) fn run<F: Send + Sync + 'static>(start: fn() -> Result<F>, tests: &[Test<F>]) -> ExitCode {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let fixture: Arc<OnceLock<Result<F, String>>> = Arc::default();
    let trials = tests
        .iter()
        .map(|&(name, test)| {
            let fixture = fixture.clone();
            Trial::test(name, move || {
                let started = fixture.get_or_init(|| start().map_err(|error| format!("{error:#}")));
                let fixture =
                    started.as_ref().map_err(|error| format!("the fixture did not start: {error}"))?;
                test(fixture).map_err(|error| format!("{error:#}").into())
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(fixture);
    conclusion.exit_code()
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// A folder that the test command builds and names.
pub(crate) fn built(variable: &str) -> Result<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: run these tests by `cargo xtask test`"))
}

/// Tries again until it succeeds; the last error is told.
pub(crate) fn eventually<T>(attempt: impl FnMut() -> Result<T>) -> Result<T> {
    ferrolb_lab::eventually(PATIENCE, attempt)
}

/// Now: the cluster runs in real time.
#[expect(clippy::disallowed_methods, reason = "the cluster runs in real time")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}

/// One field of an object, as kubectl's jsonpath prints it.
pub(crate) fn field(lab: &Lab, object: &[&str], path: &str) -> Result<String> {
    let output = format!("--output=jsonpath={path}");
    lab.kubectl(["get"].iter().chain(object).copied().chain([output.as_str()]))
}

/// Waits until a field has a value.
pub(crate) fn await_field(lab: &Lab, object: &[&str], path: &str, expected: &str) -> Result<()> {
    eventually(|| {
        let value = field(lab, object, path)?;
        ensure!(value == expected, "{} {path} is {value:?}, not {expected:?}", object.join(" "));
        Ok(())
    })
}

/// What Events of this reason tell about a Service in the namespace default, once there is one.
pub(crate) fn await_event(lab: &Lab, service: &str, reason: &str) -> Result<String> {
    let selector = format!("--field-selector=involvedObject.name={service},reason={reason}");
    eventually(|| {
        let told = field(lab, &["events", &selector], "{.items[*].message}")?;
        ensure!(!told.is_empty(), "Service {service} has no Event {reason}");
        Ok(told)
    })
}

/// The addresses of a Service in the namespace default, once it has some.
pub(crate) fn await_addresses(lab: &Lab, service: &str) -> Result<Vec<IpAddr>> {
    eventually(|| {
        let addresses = addresses(lab, service)?;
        ensure!(!addresses.is_empty(), "Service {service} has no address");
        Ok(addresses)
    })
}

/// The addresses of a Service in the namespace default.
pub(crate) fn addresses(lab: &Lab, service: &str) -> Result<Vec<IpAddr>> {
    let texts = field(lab, &["service", service], "{.status.loadBalancer.ingress[*].ip}")?;
    texts.split_whitespace().map(|text| Ok(text.parse()?)).collect()
}

/// The hardware address that is answered for an address, once somebody answers.
pub(crate) fn await_answer(lab: &Lab, address: IpAddr) -> Result<Mac> {
    let probe = ResolveProbe::start(&lab.client()?, address)?;
    let answer =
        eventually(|| probe.answers().last().copied().with_context(|| format!("{address}: no answer")));
    probe.stop()?;
    Ok(answer?.mac)
}

/// Waits until a node and nobody else answers for an address: 25 questions in a row.
pub(crate) fn await_sole_answer(lab: &Lab, address: IpAddr, node: &str) -> Result<()> {
    eventually(|| {
        let probe = ResolveProbe::start(&lab.client()?, address)?;
        std::thread::sleep(Duration::from_millis(500));
        let mut nodes =
            probe.stop()?.answers.iter().map(|heard| lab.node_of(heard.mac)).collect::<Result<Vec<_>>>()?;
        nodes.dedup();
        ensure!(nodes == [node], "{address} is answered by {nodes:?}, not by {node} alone");
        Ok(())
    })
}

/// Waits until nobody answers for an address: 25 questions in a row go unanswered.
pub(crate) fn await_silence(lab: &Lab, address: IpAddr) -> Result<()> {
    eventually(|| {
        let probe = ResolveProbe::start(&lab.client()?, address)?;
        std::thread::sleep(Duration::from_millis(500));
        let heard = probe.stop()?.answers;
        ensure!(heard.is_empty(), "{address} is still answered, with {}", heard[0].mac);
        Ok(())
    })
}
