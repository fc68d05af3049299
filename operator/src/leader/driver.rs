//! Asks for the Lease, renews and releases it, and runs the controller while it is ours.

use std::convert::identity;
use std::future::{Future, pending};
use std::pin::pin;
use std::time::{Duration, Instant};

use ferrolb_crds::names::OPERATOR_MANAGER;
use ferrolb_runtime::readiness::Gate;
use ferrolb_runtime::tasks::Shutdown;
use futures::FutureExt;
use futures::future::{BoxFuture, Fuse, FusedFuture};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use tokio::time::{sleep_until, timeout};
use tracing::{info, warn};

use super::election::{Election, Event, Loss, Request};
use super::record::{Versioned, lease};
use super::tenure::Tenure;
use crate::controller::Drained;
use crate::metrics::Metrics;

/// How long the last request may still take at the end, and how long the release of the Lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Who stands for election, for what, and where it is told.
pub struct Candidate {
    /// The Leases in our namespace.
    pub leases: Api<Lease>,
    /// The name of the Lease.
    pub name: String,
    /// Our name in it, which no other process has.
    pub identity: String,
    /// The times.
    pub timing: super::Timing,
    /// Opened when it is known who leads.
    pub known: Gate,
    /// The controller's gate; it is open as long as there is no controller.
    pub caches: Gate,
    /// Where it is told whether we lead.
    pub metrics: Metrics,
}

/// A request that was made.
struct Asked {
    sent: Instant,
    answer: Result<Answer, AskError>,
}

enum Answer {
    Read(Option<Versioned>),
    Written(Versioned),
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the Lease has changed before")]
    Conflict,
    #[error("no answer in {0:?}")]
    TimedOut(Duration),
    #[error(transparent)]
    Api(kube::Error),
}

/// Runs `lead` whenever and as long as this process leads, until shutdown; then `lead`, which is to end by itself,
/// is awaited, and the Lease released.
///
/// # Errors
/// When `lead` fails.
pub async fn run<E, F>(candidate: Candidate, lead: impl Fn(Tenure) -> F, shutdown: Shutdown) -> Result<(), E>
where
    F: Future<Output = Result<Drained, E>> + Send + 'static,
{
    let election = Election::new(candidate.identity.clone(), candidate.timing, clock());
    let mut driver = Driver { candidate, election, leading: None, failing: false, told: None };
    let mut controller: Fuse<BoxFuture<'static, Result<Drained, E>>> = Fuse::terminated();
    let mut asking: Fuse<BoxFuture<'static, Asked>> = Fuse::terminated();
    let mut stop = pin!(shutdown.requested().fuse());
    let (mut stopping, mut drained) = (false, true);
    driver.candidate.caches.set(true);
    loop {
        let now = clock();
        driver.election.handle_timeout(now);
        while let Some(event) = driver.election.poll_event() {
            match event {
                Event::Elected { until, transitions } if !stopping => {
                    let tenure = driver.step_up(until, transitions);
                    controller = lead(tenure).boxed().fuse();
                }
                Event::Elected { .. } => {}
                Event::Renewed { until } => driver.leading.iter().for_each(|tenure| tenure.extend(until)),
                Event::Lost(loss) => {
                    controller = Fuse::terminated();
                    driver.step_down(&loss, now);
                }
            }
        }
        if stopping && controller.is_terminated() {
            break;
        }
        if let Some(request) = driver.election.poll_request(now) {
            asking = driver.ask(request, now).fuse();
        }
        let timer = driver.election.poll_timeout().map(|deadline| sleep_until(deadline.into()).boxed());
        tokio::select! {
            biased;
            () = &mut stop => stopping = true,
            asked = &mut asking => driver.take_in(asked),
            // Before the controller, which is not to do a step more when it is time to cease.
            () = timer.unwrap_or_else(|| pending().boxed()) => {}
            ended = &mut controller => {
                Drained(drained) = ended?;
                stopping = true;
            }
        }
    }
    if !asking.is_terminated()
        && let Ok(asked) = timeout(RELEASE_TIMEOUT, asking).await
    {
        driver.take_in(asked);
    }
    driver.release(drained).await;
    Ok(())
}

struct Driver {
    candidate: Candidate,
    election: Election,
    leading: Option<Tenure>,
    /// Whether the last request failed.
    failing: bool,
    /// The other leader that was told of last.
    told: Option<String>,
}

impl Driver {
    fn step_up(&mut self, until: Instant, transitions: i32) -> Tenure {
        let Candidate { name, identity, caches, metrics, .. } = &self.candidate;
        info!(event = "leaderElected", lease = name, identity, transitions, "this operator leads");
        metrics.set_leader(true);
        caches.set(false);
        self.told = None;
        self.leading.insert(Tenure::new(until)).clone()
    }

    fn step_down(&mut self, loss: &Loss, now: Instant) {
        let Some(tenure) = self.leading.take() else { return };
        tenure.end(now);
        let Candidate { name, identity, caches, metrics, .. } = &self.candidate;
        let reason = match loss {
            Loss::Deadline => "the Lease was not renewed in time".to_owned(),
            Loss::Taken(holder) => format!("the Lease is held by {holder:?}"),
        };
        warn!(event = "leaderLost", lease = name, identity, reason, "this operator writes no more");
        metrics.set_leader(false);
        caches.set(true);
    }

    fn ask(&self, request: Request, now: Instant) -> BoxFuture<'static, Asked> {
        let (leases, name) = (self.candidate.leases.clone(), self.candidate.name.clone());
        let patience = self.election.patience(now);
        async move {
            let answer = timeout(patience, exchange(&leases, &name, request)).await;
            let answer = answer.map_err(|_| AskError::TimedOut(patience)).and_then(identity);
            Asked { sent: now, answer }
        }
        .boxed()
    }

    fn take_in(&mut self, Asked { sent, answer }: Asked) {
        let now = clock();
        match answer {
            Ok(answer) => {
                self.failing = false;
                match answer {
                    Answer::Read(found) => self.election.handle_read(found, now),
                    Answer::Written(written) => self.election.handle_written(written, sent, now),
                }
            }
            Err(error) => {
                if !matches!(error, AskError::Conflict) && !std::mem::replace(&mut self.failing, true) {
                    let lease = &self.candidate.name;
                    warn!(event = "leaseNotRenewed", lease, %error, "the Lease can't be had, and is retried");
                }
                self.election.handle_failure(now);
            }
        }
        let other = self.election.other_leader();
        if let Some(leader) = other.filter(|leader| self.told.as_deref() != Some(leader)) {
            info!(event = "standingBy", lease = self.candidate.name, leader, "another operator leads");
            self.told = Some(leader.to_owned());
        }
        if other.is_some() || self.election.leads(now) {
            self.candidate.known.set(true);
        }
    }

    /// Lets a successor begin at once, if nothing of ours can still be under way.
    async fn release(mut self, drained: bool) {
        let now = clock();
        let leads = self.election.leads(now);
        self.leading.iter().for_each(|tenure| tenure.end(now));
        self.candidate.metrics.set_leader(false);
        let Some(request) = self.election.release().filter(|_| leads && drained) else { return };
        let Candidate { leases, name, identity, .. } = &self.candidate;
        match timeout(RELEASE_TIMEOUT, exchange(leases, name, request)).await {
            Ok(Ok(_)) => info!(event = "leaderReleased", lease = name, identity, "another operator may lead"),
            Ok(Err(error)) => warn!(event = "leaseNotReleased", lease = name, %error),
            Err(_) => warn!(event = "leaseNotReleased", lease = name, error = "no answer in time"),
        }
    }
}

async fn exchange(leases: &Api<Lease>, name: &str, request: Request) -> Result<Answer, AskError> {
    let params = PostParams { field_manager: Some(OPERATOR_MANAGER.to_owned()), ..PostParams::default() };
    let written = match request {
        Request::Read => {
            let found = leases.get_opt(name).await.map_err(AskError::Api)?;
            return Ok(Answer::Read(found.as_ref().map(Versioned::from)));
        }
        Request::Create(record) => leases.create(&params, &lease(name, None, record, wall_clock())).await,
        Request::Replace(version, record) => {
            leases.replace(name, &params, &lease(name, Some(version), record, wall_clock())).await
        }
    };
    match written {
        Ok(lease) => Ok(Answer::Written(Versioned::from(&lease))),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Err(AskError::Conflict)
        }
        Err(error) => Err(AskError::Api(error)),
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "a Lease tells the wall clock's time, which nobody compares")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
