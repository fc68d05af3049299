//! Supervision: if a long-lived task ends, the process ends, non-zero, naming the task.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A set of tasks that run as long as the process does.
pub struct Tasks {
    running: JoinSet<Result<(), Failure>>,
    names: HashMap<Id, &'static str>,
    stop: watch::Sender<bool>,
}

/// Tells a task that the process is to stop. Clones tell the same.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Why the process has to end with an error.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task returned although nobody asked it to.
    #[error("task {0} ended on its own")]
    Ended(&'static str),
    /// A task returned an error.
    #[error("task {name} failed: {source}")]
    Failed {
        /// The task.
        name: &'static str,
        /// What it returned.
        source: Failure,
    },
    /// A task panicked.
    #[error("task {name} panicked: {source}")]
    Panicked {
        /// The task.
        name: &'static str,
        /// Its panic.
        source: JoinError,
    },
    /// Tasks went on after they were told to stop.
    #[error("tasks did not stop in {grace:?}: {names:?}")]
    Stuck {
        /// The time that they had.
        grace: Duration,
        /// The tasks.
        names: Vec<&'static str>,
    },
}

impl Default for Tasks {
    fn default() -> Self {
        Self { running: JoinSet::new(), names: HashMap::new(), stop: watch::Sender::new(false) }
    }
}

impl Tasks {
    /// A handle by which tasks learn that they are to stop.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown(self.stop.subscribe())
    }

    /// Starts a task; it must not return before the [`Shutdown`] says so.
    pub fn spawn<E: Into<Failure>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.running.spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name);
    }

    /// Runs until `stop` resolves, then tells the tasks and waits for them, at most `grace`.
    ///
    /// # Errors
    /// When a task ends before it was told to, fails, panics, or does not stop in time.
    pub async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) -> Result<(), TaskError> {
        tokio::select! {
            ended = self.running.join_next_with_id() => {
                return Err(match ended {
                    Some(ended) => match self.outcome(ended) {
                        Ok(name) => TaskError::Ended(name),
                        Err(error) => error,
                    },
                    None => TaskError::Ended("none was started"),
                });
            }
            () = stop => {}
        }
        self.stop.send_replace(true);
        let deadline = tokio::time::sleep(grace);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                ended = self.running.join_next_with_id() => match ended {
                    Some(ended) => _ = self.outcome(ended)?,
                    None => return Ok(()),
                },
                () = &mut deadline => {
                    let mut names: Vec<_> = self.names.into_values().collect();
                    names.sort_unstable();
                    return Err(TaskError::Stuck { grace, names });
                }
            }
        }
    }

    fn outcome(
        &mut self,
        ended: Result<(Id, Result<(), Failure>), JoinError>,
    ) -> Result<&'static str, TaskError> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id).unwrap_or("unnamed");
        match ended {
            Ok((_, Ok(()))) => Ok(name),
            Ok((_, Err(source))) => Err(TaskError::Failed { name, source }),
            Err(source) => Err(TaskError::Panicked { name, source }),
        }
    }
}

impl Shutdown {
    /// Resolves when the process is to stop.
    pub async fn requested(mut self) {
        // An error means that the supervisor is gone, which is a reason to stop as well.
        _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the process is to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Resolves at SIGTERM or SIGINT.
///
/// # Errors
/// When the handlers can't be installed.
pub fn termination() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_task_that_ends_on_its_own_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("forever", pending::<Result<(), Infallible>>());
        tasks.spawn("watch", ready(Ok::<_, Infallible>(())));
        let error = tasks.run(pending(), GRACE).await.unwrap_err();
        assert_eq!(error.to_string(), "task watch ended on its own");
    }

    #[tokio::test]
    async fn a_failure_and_a_panic_are_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("lease", ready(Err("disk full")));
        let error = tasks.run(pending(), GRACE).await.unwrap_err();
        assert_eq!(error.to_string(), "task lease failed: disk full");

        let mut tasks = Tasks::default();
        tasks.spawn("driver", async {
            if std::hint::black_box(true) {
                panic!("no such entry");
            }
            Ok::<_, Infallible>(())
        });
        let error = tasks.run(pending(), GRACE).await.unwrap_err();
        assert!(error.to_string().starts_with("task driver panicked"), "{error}");
    }

    #[tokio::test]
    async fn tasks_that_stop_when_asked_end_the_process_well() {
        let mut tasks = Tasks::default();
        for name in ["a", "b"] {
            let shutdown = tasks.shutdown();
            tasks.spawn(name, async {
                shutdown.requested().await;
                Ok::<_, Infallible>(())
            });
        }
        tasks.run(ready(()), GRACE).await.unwrap();
    }

    #[tokio::test]
    async fn a_failure_during_shutdown_is_still_told() {
        let mut tasks = Tasks::default();
        let shutdown = tasks.shutdown();
        tasks.spawn("status", async {
            shutdown.requested().await;
            Err("not written")
        });
        let error = tasks.run(ready(()), GRACE).await.unwrap_err();
        assert_eq!(error.to_string(), "task status failed: not written");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_task_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("stubborn", pending::<Result<(), Infallible>>());
        let error = tasks.run(ready(()), GRACE).await.unwrap_err();
        assert!(matches!(error, TaskError::Stuck { names, .. } if names == ["stubborn"]));
    }
}
