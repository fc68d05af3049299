//! The driver's thread, and who wakes it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ferrolb_runtime::tasks::Shutdown;
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

/// What the thread is told beside links and wishes.
#[derive(Debug, Default)]
pub(super) struct Orders {
    stopping: AtomicBool,
    abandoned: AtomicBool,
}

impl Orders {
    /// It is to stop once others have taken up what is theirs then.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Nobody waits for its end any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

/// Gives orders; ends the thread when dropped.
struct Commander {
    orders: Arc<Orders>,
    bell: Bell,
}

impl Commander {
    fn stop(&self) {
        self.orders.stopping.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl Drop for Commander {
    fn drop(&mut self) {
        self.orders.abandoned.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl Driver {
    /// Answers and announces until shutdown, and until others have taken up what is theirs then, on a thread of its own
    /// that waits for nothing but frames, deadlines and the bell: what a runtime does for each frame takes longer than
    /// the answer.
    ///
    /// # Errors
    /// When there is nobody to tell it about links or wishes any more, or the kernel can't be asked.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), DriverError> {
        let (mut links, mut cluster) = (self.wiring.links.clone(), self.wiring.cluster.clone());
        let commander = Commander { orders: Arc::default(), bell: self.sockets.bell() };
        let orders = Arc::clone(&commander.orders);
        let (sender, mut ended) = oneshot::channel();
        // An error means that nobody waits any more.
        let turns = move || _ = sender.send(self.take_turns(&orders));
        thread::Builder::new().name("wire".to_owned()).spawn(turns).map_err(DriverError::Thread)?;
        let mut requested = pin!(shutdown.requested());
        let result = loop {
            // In this order: what ended because of the shutdown is no error.
            tokio::select! {
                biased;
                result = &mut ended => break result,
                () = &mut requested => {
                    commander.stop();
                    break ended.await;
                }
                changed = links.changed() => changed.map_err(|_| SourceEnded("the watch of links"))?,
                changed = cluster.changed() => changed.map_err(|_| SourceEnded("the control loop"))?,
            }
            commander.bell.ring();
        };
        result.map_err(|_| DriverError::Panicked)?
    }
}
