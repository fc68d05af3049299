//! All Services, what is known of them, and which write comes next.
//!
//! The engine is pure: watches tell it what changed, it answers with one [`Update`] at a time, and is told what
//! became of it. A Service has at most one write on its way; whatever is told of it meanwhile is decided on
//! afterwards.

mod queue;
mod rivalry;
#[cfg(test)]
mod tests;
mod tracked;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::pool::IPAddressPool;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;

use self::queue::Queue;
use self::tracked::{Stance, Tracked};
use self::waiting::Waiting;
use crate::key::ServiceKey;
use crate::ledger::{Claimant, Ledger, Party, Policy, Topic, Usage};
use crate::request::{Rank, Request, addresses_of, is_load_balancer, is_ours};
use crate::standing::{Incumbents, Standing, judge};
use crate::verdict::{self, Patch, Shown};

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
    services: HashMap<ServiceKey, Tracked>,
    queue: Queue,
    /// Services that would take more as soon as there is more.
    waiting: Waiting,
    /// All Services of the cluster.
    existing: HashSet<ServiceKey>,
    /// Those of them that a list has named which is being read.
    listed: Option<HashSet<ServiceKey>>,
    /// When nothing has been written against a rival for long enough.
    truces: BTreeSet<(Instant, ServiceKey)>,
    incumbents: Incumbents,
    standings: Vec<Standing>,
    started: bool,
}

impl Engine {
    /// An engine for the Services of a class; it writes nothing before [`Self::start`].
    pub fn new(class: Option<String>, policy: Policy, now: Instant) -> Self {
        Self {
            class,
            ledger: Ledger::new(policy, now),
            services: HashMap::new(),
            queue: Queue::default(),
            waiting: Waiting::default(),
            existing: HashSet::new(),
            listed: None,
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
        let mut requests: Vec<&Request> = self.services.values().filter_map(Tracked::request).collect();
        requests.sort_by_cached_key(|request| request.rank());
        for request in requests {
            self.ledger.adopt(request);
        }
    }

    /// Whether [`Self::start`] was called.
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Takes in a Service as a watch or a write shows it. A version older than the one known is ignored.
    pub fn apply_service(&mut self, service: &Service, now: Instant) {
        let key = ServiceKey::of(&service.metadata);
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        self.keep_service(&key);
        match self.services.get(&key) {
            Some(known) if known.uid != uid => self.end(&key, now),
            Some(known) if known.is_newer_than(service) => return,
            Some(_) | None => {}
        }
        let shown = Shown::of(service);
        let ours = is_ours(service, self.class.as_deref());
        self.set_claims(&Party::Service(key.clone()), claims(service, &key, ours));
        let stance = if ours {
            Stance::Ours(Request::parse(service))
        } else {
            self.waiting.forget(&key);
            self.ledger.retire(&key);
            // A load balancer of another class is another operator's, and the marks that it came with are too.
            let known = self.services.contains_key(&key);
            if !shown.is_marked() || (is_load_balancer(service) && !known) {
                self.ledger.settle(&key);
                self.forget(&key);
                self.wake();
                return;
            }
            Stance::Leaving
        };
        let tracked = self.services.entry(key.clone()).or_insert_with(|| Tracked::new(uid, &shown));
        tracked.observe(shown, stance, now);
        self.enqueue(&key);
        self.wake();
    }

    /// Notes that there is such a Service, of which nothing new can be told.
    pub fn keep_service(&mut self, key: &ServiceKey) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        if !self.existing.contains(key) {
            self.existing.insert(key.clone());
        }
    }

    /// Forgets a Service that is gone, and frees what it had.
    pub fn delete_service(&mut self, key: &ServiceKey, now: Instant) {
        self.existing.remove(key);
        self.end(key, now);
    }

    /// Begins a list of all Services: those that it does not name are gone when it ends.
    pub fn begin_list(&mut self) {
        self.listed = Some(HashSet::new());
    }

    /// Ends a list of all Services.
    pub fn end_list(&mut self, now: Instant) {
        let Some(listed) = self.listed.take() else { return };
        let gone: Vec<_> = self.existing.difference(&listed).cloned().collect();
        for key in gone {
            self.delete_service(&key, now);
        }
    }

    /// Takes in all pools.
    pub fn set_pools(&mut self, pools: &[Arc<IPAddressPool>], now: Instant) {
        let mut pools = pools.to_vec();
        pools.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let standings = judge(&pools, &mut self.incumbents);
        if standings != self.standings {
            let definitions = standings.iter().map(|standing| standing.definition.clone()).collect();
            self.standings = standings;
            self.ledger.set_pools(definitions, now);
            self.enqueue_all(|_| true);
        }
    }

    /// Takes in the labels of a namespace, or `None` when it is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        if self.ledger.set_namespace(name, labels) {
            self.enqueue_all(|key| *key.namespace == *name);
        }
    }

    /// Replaces the addresses of a node, which are given to no Service.
    pub fn set_node(&mut self, node: &str, addresses: Vec<IpAddr>) {
        let claimant = Claimant::Node(node.to_owned());
        let claims = addresses.into_iter().map(|address| (address, claimant.clone())).collect();
        self.set_claims(&Party::Node(node.to_owned()), claims);
        self.wake();
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
            let patch = match &tracked.stance {
                Stance::Leaving => {
                    let ours =
                        tracked.shown.addresses.iter().all(|address| self.ledger.is_in_a_pool(*address));
                    verdict::clear(&tracked.shown, ours)
                }
                Stance::Ours(request) => {
                    let mut decision = self.ledger.decide(request);
                    self.waiting.set(&rank, std::mem::take(&mut decision.waits_for));
                    let patch = tracked.state(&decision, now, wall);
                    self.truces.extend(tracked.truce.map(|until| (until, key.clone())));
                    patch
                }
            };
            self.pass_turn(&rank);
            let Some(tracked) = self.services.get_mut(&key) else { continue };
            match patch {
                Some(patch) => {
                    tracked.busy = true;
                    let granted = self.ledger.assignment(&key).is_some_and(|has| !has.is_empty());
                    let waited_since = tracked.waiting_since.filter(|_| granted);
                    return Some(Update { uid: tracked.uid.clone(), service: key, patch, waited_since });
                }
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
        self.ledger.settle(&update.service);
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
        self.queue.hold(&update.service, retry_at);
    }

    /// Notes that a write failed, and returns after what time it is tried again.
    pub fn failed(&mut self, update: &Update, now: Instant) -> Duration {
        let Some(tracked) = self.in_flight(update) else { return Duration::ZERO };
        tracked.failures += 1;
        let delay = tracked.delay();
        self.queue.hold(&update.service, now + delay);
        delay
    }

    /// When [`Self::handle_timeout`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let truce = self.truces.first().map(|(until, _)| *until);
        [self.ledger.poll_timeout(), self.queue.poll_timeout(), truce].into_iter().flatten().min()
    }

    /// Takes up again what had to wait until now.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = self.queue.handle_timeout(now);
        for key in due.into_iter().chain(self.ledger.handle_timeout(now)) {
            self.enqueue(&key);
        }
        while let Some((until, _)) = self.truces.first()
            && *until <= now
        {
            let over = self.truces.pop_first();
            over.iter().for_each(|(_, key)| self.enqueue(key));
        }
        self.wake();
    }

    /// All Services of the cluster, ours and others.
    pub fn services(&self) -> &HashSet<ServiceKey> {
        &self.existing
    }

    /// All pools and what is to be said of them.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
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
        if let Some(tracked) = self.services.remove(key) {
            self.pass_turn(&tracked.rank(key));
        }
        self.queue.remove(key);
    }

    fn set_claims(&mut self, party: &Party, claims: Vec<(IpAddr, Claimant)>) {
        for tenant in self.ledger.set_claims(party, claims) {
            self.enqueue(&tenant);
        }
    }

    /// Puts the Services that wait for what became free into the queue.
    fn wake(&mut self) {
        for topic in self.ledger.take_freed() {
            for rank in self.waiting.wake(&topic) {
                self.give_turn(rank);
            }
        }
    }

    /// A Service whose turn it was has taken what it could: what it left is the next one's.
    fn pass_turn(&mut self, rank: &Rank) {
        for next in self.next_turns(rank) {
            self.give_turn(next);
        }
    }

    /// Puts a Service into the queue; if it is held back, its turn is the next one's.
    fn give_turn(&mut self, rank: Rank) {
        let mut turns = vec![rank];
        while let Some(rank) = turns.pop() {
            if !self.queue.push(rank.clone()) {
                turns.extend(self.next_turns(&rank));
            }
        }
    }

    fn next_turns(&mut self, rank: &Rank) -> Vec<Rank> {
        let topics = self.waiting.end_turn(rank.service()).into_iter().filter(|topic| match topic {
            Topic::Pool(pool, family) => self.ledger.has_free(pool, *family),
            Topic::Address(_) | Topic::Key(_) => false,
        });
        let topics: Vec<_> = topics.collect();
        topics.iter().flat_map(|topic| self.waiting.wake_next(topic, rank)).collect()
    }
}

/// The addresses that a Service has without having them from us.
fn claims(service: &Service, key: &ServiceKey, ours: bool) -> Vec<(IpAddr, Claimant)> {
    let external = service.spec.iter().flat_map(|spec| spec.external_ips.iter().flatten());
    let mut claims: Vec<_> = external
        .filter_map(|text| text.parse().ok())
        .map(|address| (address, Claimant::ExternalIps(key.clone())))
        .collect();
    if !ours && is_load_balancer(service) {
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
        let claimant = Claimant::OtherClass(key.clone(), created);
        claims.extend(addresses_of(service).into_iter().map(|address| (address, claimant.clone())));
    }
    claims
}
