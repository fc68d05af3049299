//! The driver's thread, and who wakes it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ferrolb_runtime::tasks::Shutdown;
use futures::FutureExt;
use tokio::sync::oneshot;

use super::{Driver, SourceEnded};
use crate::net::Bell;

/// Why the driver can't go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Nobody tells it anything any more.
    #[error(transparent)]
    Source(#[from] SourceEnded),
    /// It has no thread.
    #[error("the thread for the wire can't be started: {0}")]
    Thread(io::Error),
    /// It does not learn of frames.
    #[error("can't wait for frames: {0}")]
    Wait(io::Error),
    /// A bug.
    #[error("the thread for the wire panicked")]
    Panicked,
}

/// Ends the thread, also when nobody waits for its end any more.
struct StopOnDrop {
    stopped: Arc<AtomicBool>,
    bell: Bell,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl Driver {
    /// Answers and announces until shutdown, on a thread of its own that waits for nothing but frames, deadlines and the
    /// bell: what a runtime does for each frame takes longer than the answer.
    ///
    /// # Errors
    /// When there is nobody to tell it about links or wishes any more, or the kernel can't be asked.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), DriverError> {
        let (mut links, mut desired) = (self.wiring.links.clone(), self.wiring.desired.clone());
        let stop = StopOnDrop { stopped: Arc::default(), bell: self.sockets.bell() };
        let (stopped, bell) = (Arc::clone(&stop.stopped), self.sockets.bell());
        let (sender, mut ended) = oneshot::channel();
        // An error means that nobody waits any more.
        let turns = move || _ = sender.send(self.take_turns(&stopped));
        thread::Builder::new().name("wire".to_owned()).spawn(turns).map_err(DriverError::Thread)?;
        let mut requested = pin!(shutdown.clone().requested());
        let result = loop {
            let changed = tokio::select! {
                result = &mut ended => break result,
                () = &mut requested => {
                    drop(stop);
                    break ended.await;
                }
                changed = links.changed() => changed,
                changed = desired.changed() => changed,
            };
            bell.ring();
            if changed.is_err() {
                // The thread ends for the same reason.
                break ended.await;
            }
        };
        match result.map_err(|_| DriverError::Panicked)? {
            // What ended because of the shutdown is no error.
            Err(DriverError::Source(_)) if shutdown.requested().now_or_never().is_some() => Ok(()),
            result => result,
        }
    }
}
