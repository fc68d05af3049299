//! What a client of the segment sees, by three eyes: they tell different stories of one fault.
//!
//! [`ResolveProbe`] asks who has an address, with an empty cache, and so sees who answers. [`ConnectProbe`] opens
//! connections, through the kernel's neighbour cache: it sees when traffic flows again. [`EstablishedProbe`] keeps one
//! connection: it sees what a move breaks. Beside them, [`ListenProbe`] hears every frame, byte for byte, and [`census()`] asks once for each of
//! many addresses.

mod census;
mod connect;
mod established;
mod frames;
mod listen;
mod resolve;
mod suppression;
mod tap;
mod timeline;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use census::census;
pub use connect::{ConnectProbe, Connection, Connections};
pub use established::{EstablishedProbe, Exchange, Exchanges};
pub use frames::Mac;
pub use listen::{Heard, ListenProbe};
pub use resolve::{Answer, Resolutions, ResolveProbe};
pub(crate) use suppression::{Manner, Memory, Suppression};
pub use timeline::{Gap, longest_gap};

use crate::clock;
use crate::host::Host;

/// How often the probes ask, connect or send.
pub const PERIOD: Duration = Duration::from_millis(20);

/// A probe at work, on a thread in the network of its host; dropping it stops it.
#[derive(Debug)]
struct Worker<S> {
    samples: Arc<Mutex<Vec<S>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    started: Instant,
}

/// What the thread of a probe records to, and stops by.
struct Recorder<S> {
    samples: Arc<Mutex<Vec<S>>>,
    stop: Arc<AtomicBool>,
}

impl<S> Recorder<S> {
    fn record(&self, sample: S) {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<S: Clone + Send + 'static> Worker<S> {
    /// Runs `setup` and then what it returns inside the host's network; returns once `setup` has succeeded.
    fn start<W>(
        host: &Host,
        setup: impl FnOnce() -> Result<W> + Send + 'static,
        work: impl FnOnce(W, Recorder<S>) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let recorder = Recorder { samples: samples.clone(), stop: stop.clone() };
        let host = host.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("probe".into()).spawn(move || {
            host.run(|| {
                let what = match setup() {
                    Ok(what) => what,
                    Err(error) => {
                        // The receiver is there until it has heard.
                        let _ = ready.send(Err(error));
                        return Ok(());
                    }
                };
                let _ = ready.send(Ok(()));
                work(what, recorder)
            })?
        })?;
        is_ready.recv().context("the probe's host is gone")??;
        Ok(Self { samples, stop, thread: Some(thread), started: clock::now() })
    }

    /// The samples so far.
    fn samples(&self) -> Vec<S> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread, and returns all samples and the span that they cover.
    fn stop(mut self) -> Result<(Vec<S>, std::ops::Range<Instant>)> {
        let span = self.started..clock::now();
        self.join()?;
        Ok((self.samples(), span))
    }

    fn join(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
