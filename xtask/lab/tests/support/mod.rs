//! Running tests on one cluster that they share.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use libtest_mimic::{Arguments, Conclusion, Trial};

/// A test on the fixture `F`: its name, which is a sentence, and what it does.
pub(crate) type Test<F> = (&'static str, fn(&F) -> Result<()>);

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
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    drop(fixture);
    conclusion.exit_code()
}
