//! Progress of long steps, on standard error.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use ferrolb_lab::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Shows a spinner a step on a terminal, and a line with its duration once it is done.
#[derive(Default)]
pub(crate) struct Spinner {
    bars: MultiProgress,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Spinner {
    /// Runs `work` as a step.
    #[expect(clippy::disallowed_methods, reason = "a person is told how long a step took")]
    pub(crate) fn step<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        self.started(name);
        let done = work();
        match &done {
            Ok(_) => self.finished(name, start.elapsed()),
            Err(_) => self.failed(name),
        }
        done
    }

    fn remove(&self, step: &str) {
        let bar = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(step);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        if std::io::stderr().is_terminal() {
            // A terminal that is gone takes no lines, and the work goes on.
            let _ = self.bars.println(line);
        } else {
            eprintln!("{line}");
        }
    }
}

impl Progress for Spinner {
    fn started(&self, step: &str) {
        let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}");
        let bar = ProgressBar::new_spinner().with_message(step.to_owned());
        let bar = self.bars.add(style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style)));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(step.to_owned(), bar);
    }

    fn finished(&self, step: &str, took: Duration) {
        self.remove(step);
        self.say(&format!("  {step}: {:.1} s", took.as_secs_f64()));
    }

    fn failed(&self, step: &str) {
        self.remove(step);
    }

    fn note(&self, text: &str) {
        self.say(&format!("  {text}"));
    }
}
