//! All Services, what is known of them, and which write comes next.
//!
//! The engine is pure: watches tell it what changed, it answers with one [`Update`] at a time, and is told what
//! became of it. A Service has at most one write on its way; whatever is told of it meanwhile is decided on
//! afterwards.

mod inputs;
mod queue;
mod rivalry;
#[cfg(test)]
mod tests;
mod tracked;
mod turns;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ferrolb_crds::range::AddressRange;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;

use self::queue::Queue;
use self::tracked::{Stance, Tracked};
use self::waiting::Waiting;
use crate::announced::Surroundings;
use crate::key::ServiceKey;
use crate::ledger::{Claimant, Ledger, Party, Policy, Usage};
use crate::request::Request;
use crate::standing::{Incumbents, Standing};
use crate::verdict::{self, Patch};

/// What the user decides for all Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The `loadBalancerClass` that is served; `None` for Services without one.
    pub class: Option<String>,
    /// How addresses are kept and shared.
    pub policy: Policy,
    /// Whether speakers announce also from nodes that the well-known label excludes.
    pub ignore_exclude_label: bool,
}

/// A write that is to be made now.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The Service to write to.
    pub service: ServiceKey,
    /// Its UID: one of the same name that comes later is another.
    pub uid: String,
    /// What to write.
    pub patch: Patch,
    /// Since when the Service has waited for the address that this gives it.
    pub waited_since: Option<Instant>,
}

/// All Services, and which write comes next.
#[derive(Debug)]
pub struct Engine {
    class: Option<String>,
    ledger: Ledger,
    surroundings: Surroundings,
    services: HashMap<ServiceKey, Tracked>,
    queue: Queue,
    /// Services that would take more as soon as there is more.
    waiting: Waiting,
    /// When nothing has been written against a rival for long enough.
    truces: BTreeSet<(Instant, ServiceKey)>,
    incumbents: Incumbents,
    standings: Vec<Standing>,
    started: bool,
}

impl Engine {
    /// An engine that writes nothing before [`Self::start`].
    pub fn new(settings: Settings, now: Instant) -> Self {
        let Settings { class, policy, ignore_exclude_label } = settings;
        Self {
            class,
            ledger: Ledger::new(policy, now),
            surroundings: Surroundings::new(ignore_exclude_label),
            services: HashMap::new(),
            queue: Queue::default(),
            waiting: Waiting::default(),
            truces: BTreeSet::new(),
            incumbents: Incumbents::new(),
            standings: Vec::new(),
            started: false,
        }
    }

    /// Begins to decide, when all caches are filled: all addresses that Services have are adopted first, the
    /// oldest Service's first.
    pub fn start(&mut self) {
        self.started = true;
        self.surroundings.doubt_leases();
        let mut requests: Vec<&Request> = self.services.values().filter_map(Tracked::request).collect();
        requests.sort_by_cached_key(|request| request.rank());
        for request in &requests {
            self.ledger.adopt(request);
        }
        // Who shares an address is known before the first is judged. All have their turn anyway.
        for request in requests {
            if let Some(has) = self.ledger.assignment(&request.service) {
                self.surroundings.set_service(request, has);
            }
        }
    }

    /// Whether [`Self::start`] was called.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// The next write, or `None` when nothing is to be written now. `wall` is the wall clock, for conditions.
    pub fn next_update(&mut self, now: Instant, wall: Timestamp) -> Option<Update> {
        while self.started
            && let Some(key) = self.queue.pop()
        {
            let Some(tracked) = self.services.get_mut(&key) else { continue };
            if tracked.busy {
                continue;
            }
            let rank = tracked.rank(&key);
            let mut sharers = Vec::new();
            let patch = match &tracked.stance {
                Stance::Leaving => {
                    let shown = &tracked.shown;
                    let given = shown.is_given();
                    let ours = |address: &IpAddr| {
                        self.ledger.is_tenant(&key, *address) || (given && self.ledger.is_in_a_pool(*address))
                    };
                    let any = given || !shown.addresses.is_empty();
                    verdict::clear(shown, any && shown.addresses.iter().all(ours))
                }
                Stance::Ours(request) => {
                    let mut decision = self.ledger.decide(request);
                    self.waiting.set(&rank, std::mem::take(&mut decision.waits_for));
                    let shown = &tracked.shown.conditions;
                    sharers = self.surroundings.set_service(request, &decision.assignment);
                    let announced = self.surroundings.judge(&key, shown);
                    let patch = tracked.state(&decision, announced, now, wall);
                    self.truces.extend(tracked.truce.map(|until| (until, key.clone())));
                    patch
                }
            };
            sharers.iter().for_each(|sharer| self.enqueue(sharer));
            self.pass_turn(&rank);
            let Some(tracked) = self.services.get_mut(&key) else { continue };
            match patch {
                Some(patch) => {
                    tracked.busy = true;
                    let granted = self.ledger.assignment(&key).is_some_and(|has| !has.is_empty());
                    let waited_since = tracked.waiting_since.filter(|_| granted);
                    return Some(Update { uid: tracked.uid.clone(), service: key, patch, waited_since });
                }
                // While a rival is left alone, the status shows what he wrote.
                None if tracked.truce.is_some() => {}
                None => self.ledger.settle(&key),
            }
            self.wake();
        }
        None
    }

    /// Notes that a write was made; `service` is what came of it.
    pub fn applied(&mut self, update: &Update, service: &Service, now: Instant) {
        let Some(tracked) = self.in_flight(update) else { return };
        tracked.failures = 0;
        tracked.note_written(&update.patch);
        if update.waited_since.is_some() {
            tracked.waiting_since = None;
        }
        // While a rival is left alone, the status shows what he wrote.
        if update.patch.addresses.is_some() || tracked.truce.is_none() {
            self.ledger.settle(&update.service);
        }
        self.apply_service(service, now);
        self.enqueue(&update.service);
    }

    /// Notes that a write was refused because the Service has changed; `fresh` is what it is now, if it still is.
    pub fn conflicted(&mut self, update: &Update, fresh: Option<&Service>, now: Instant) {
        let Some(tracked) = self.in_flight(update) else { return };
        tracked.failures += 1;
        // The first conflict is settled by what was read; were it not, the next would follow at once.
        let retry_at = now + if tracked.failures > 1 { tracked.delay() } else { Duration::ZERO };
        if let Some(fresh) = fresh {
            self.apply_service(fresh, now);
        }
        self.hold(&update.service, retry_at);
    }

    /// Notes that a write failed, and returns after what time it is tried again.
    pub fn failed(&mut self, update: &Update, now: Instant) -> Duration {
        let Some(tracked) = self.in_flight(update) else { return Duration::ZERO };
        tracked.failures += 1;
        let delay = tracked.delay();
        self.hold(&update.service, now + delay);
        delay
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let truce = self.truces.first().map(|(until, _)| *until);
        let others = [self.queue.poll_timeout(), self.surroundings.poll_timeout(), truce];
        others.into_iter().chain([self.ledger.poll_timeout()]).flatten().min()
    }

    /// Takes up again what had to wait until now.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = self.queue.handle_timeout(now);
        for key in due.into_iter().chain(self.ledger.handle_timeout(now)) {
            self.enqueue(&key);
        }
        let differs = self.surroundings.handle_timeout(now);
        self.judge_all(differs);
        while let Some((until, _)) = self.truces.first()
            && *until <= now
        {
            let over = self.truces.pop_first();
            over.iter().for_each(|(_, key)| self.enqueue(key));
        }
        self.wake();
    }

    /// All pools and what is to be said of them.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// A node that has an address in one of these ranges.
    pub fn node_in(&self, ranges: &[AddressRange]) -> Option<(&str, IpAddr)> {
        self.ledger.node_in(ranges)
    }

    /// How much of a pool is given and left.
    pub fn usage(&self, pool: &str) -> Usage {
        self.ledger.usage(pool).unwrap_or_default()
    }

    /// The Service of a write that is on its way, unless it is gone.
    fn in_flight(&mut self, update: &Update) -> Option<&mut Tracked> {
        let tracked = self.services.get_mut(&update.service).filter(|tracked| tracked.uid == update.uid)?;
        tracked.busy = false;
        Some(tracked)
    }

    /// Takes a Service's turn away until a time; if it was its turn to take something, that is the next one's.
    fn hold(&mut self, key: &ServiceKey, until: Instant) {
        self.queue.hold(key, until);
        if let Some(rank) = self.services.get(key).map(|tracked| tracked.rank(key)) {
            self.pass_turn(&rank);
        }
    }

    fn enqueue(&mut self, key: &ServiceKey) {
        if let Some(tracked) = self.services.get(key) {
            self.queue.push(tracked.rank(key));
        }
    }

    fn enqueue_all(&mut self, which: impl Fn(&ServiceKey) -> bool) {
        let ours = self.services.iter().filter(|(key, _)| which(key));
        self.queue.extend(ours.map(|(key, tracked)| tracked.rank(key)));
    }

    /// Ends all that was known under a key, for there is another Service of that name now, or none.
    fn end(&mut self, key: &ServiceKey, now: Instant) {
        self.set_claims(&Party::Service(key.clone()), Vec::new());
        self.ledger.delete(key, now);
        self.forget(key);
        self.wake();
    }

    fn forget(&mut self, key: &ServiceKey) {
        self.waiting.forget(key);
        self.leave_surroundings(key);
        if let Some(tracked) = self.services.remove(key) {
            self.pass_turn(&tracked.rank(key));
        }
        self.queue.remove(key);
    }

    /// A Service has no address any more that those who share it have to be judged by.
    fn leave_surroundings(&mut self, key: &ServiceKey) {
        for sharer in self.surroundings.remove_service(key) {
            self.enqueue(&sharer);
        }
    }

    fn judge_all(&mut self, differs: bool) {
        if differs {
            self.enqueue_all(|_| true);
        }
    }

    fn set_claims(&mut self, party: &Party, claims: Vec<(IpAddr, Claimant)>) {
        for tenant in self.ledger.set_claims(party, claims) {
            self.enqueue(&tenant);
        }
    }
}
