//! What the lab tells its caller while it works.

use std::time::Duration;

use crate::clock;

/// Hears which steps begin and end; steps of different threads overlap.
pub trait Progress: Send + Sync {
    /// A step began.
    fn started(&self, step: &str);
    /// A step ended well, after `took`.
    fn finished(&self, step: &str, took: Duration);
    /// A step ended with an error, which the caller gets.
    fn failed(&self, _step: &str) {}
    /// Something that the user should know, such as a package about to be installed.
    fn note(&self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn started(&self, _step: &str) {}
    fn finished(&self, _step: &str, _took: Duration) {}
    fn note(&self, _text: &str) {}
}

/// Runs `work` as a step.
pub(crate) fn step<T>(
    progress: &dyn Progress,
    name: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = clock::now();
    progress.started(name);
    let done = work();
    match &done {
        Ok(_) => progress.finished(name, clock::now() - start),
        Err(_) => progress.failed(name),
    }
    done
}
