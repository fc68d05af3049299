//! Which peers' Leases are live, by the local clock.
//!
//! A Lease expires when its duration has passed since a change of it was seen. That clock runs only while our own
//! renewals come back through our own watch: only then does silence of a peer mean something. When they stop coming,
//! whoever was live stays live; when they come again, every Lease gets its whole duration anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ferrolb_crds::lease::{Observed, PERIODS};

use crate::facts::Speaker;

/// The Leases of all speakers, our own included.
#[derive(Debug)]
pub struct Liveness {
    own: String,
    peers: BTreeMap<String, Peer>,
    /// Since when expiry clocks run; `None` while they stand still.
    running_since: Option<Instant>,
    /// When a change of our own Lease was last seen, and the duration that it has.
    own_seen: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Peer {
    observed: Observed,
    changed: Instant,
    live: bool,
    /// It was there before we came, and has not changed since: its speaker may be dead.
    doubtful: bool,
}

impl Liveness {
    /// No Leases yet, seen from this node.
    pub fn new(own: &str) -> Self {
        Self { own: own.to_owned(), peers: BTreeMap::new(), running_since: None, own_seen: None }
    }

    /// Takes up a Lease as the watch shows it. Says whether who is live, or with which interfaces, changed.
    pub fn observe(&mut self, observed: Observed, now: Instant) -> bool {
        let expired = self.handle_timeout(now);
        let known = self.peers.get(&observed.node);
        if known.is_some_and(|peer| peer.observed == observed) {
            return expired;
        }
        if observed.node == self.own {
            self.own_seen = Some((now, observed.duration));
            self.running_since.get_or_insert(now);
        }
        let live = !observed.duration.is_zero();
        let differs = known
            .is_none_or(|peer| peer.live != live || !peer.observed.interfaces().eq(observed.interfaces()));
        self.peers.insert(observed.node.clone(), Peer { observed, changed: now, live, doubtful: false });
        expired || differs
    }

    /// Takes up that a Lease was deleted. Says whether who is live changed.
    pub fn remove(&mut self, node: &str, now: Instant) -> bool {
        let expired = self.handle_timeout(now);
        self.peers.remove(node).is_some_and(|peer| peer.live) || expired
    }

    /// Expires what is due and stops the clocks if our own Lease was not seen to change in time. Says whether who is
    /// live changed.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        // What was due before the clocks stopped expires first.
        let until = self.stops_at().map_or(now, |stops| stops.min(now));
        let expired = self.expire(until);
        if self.stops_at().is_some_and(|stops| stops <= now) {
            self.running_since = None;
        }
        expired
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let stops = self.stops_at()?;
        let expiries = self.peers.values().filter(|peer| peer.live).filter_map(|peer| self.expires_at(peer));
        Some(expiries.fold(stops, Instant::min))
    }

    /// A node's speaker, as its Lease tells.
    pub fn speaker(&self, node: &str) -> Speaker {
        let live = self.peers.get(node).filter(|peer| peer.live);
        live.map_or(Speaker::Absent, |peer| Speaker::Live {
            interfaces: peer.observed.interfaces().map(str::to_owned).collect(),
        })
    }

    /// What the Leases say, and whether each is live. Of our own Lease: whether it is renewed in time, as far as our
    /// watch shows.
    pub fn leases(&self) -> impl Iterator<Item = (&Observed, bool)> {
        self.peers.values().map(|peer| {
            let own = peer.observed.node == self.own;
            (&peer.observed, if own { self.running_since.is_some() } else { peer.live })
        })
    }

    /// Doubts all Leases that are live: they were there before we came. Each is in doubt until it changes or expires.
    pub fn doubt_all(&mut self) {
        for peer in self.peers.values_mut() {
            peer.doubtful = peer.live && peer.observed.node != self.own;
        }
    }

    /// Whether a Lease is in doubt.
    pub fn is_in_doubt(&self) -> bool {
        self.peers.values().any(|peer| peer.doubtful)
    }

    /// The nodes that have a Lease.
    pub fn nodes(&self) -> BTreeSet<String> {
        self.peers.keys().cloned().collect()
    }

    /// Our own Lease changes once a period; half a period later than that, something is wrong. A peer's Lease that
    /// changed last when ours did has at least one and a half periods to go then.
    fn stops_at(&self) -> Option<Instant> {
        self.running_since?;
        let (seen, duration) = self.own_seen?;
        Some(seen + duration / (2 * PERIODS) * 3)
    }

    fn expires_at(&self, peer: &Peer) -> Option<Instant> {
        if peer.observed.node == self.own {
            return None;
        }
        Some(peer.changed.max(self.running_since?) + peer.observed.duration)
    }

    fn expire(&mut self, now: Instant) -> bool {
        let due: Vec<String> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.live && self.expires_at(peer).is_some_and(|expires| expires <= now))
            .map(|(node, _)| node.clone())
            .collect();
        for node in &due {
            if let Some(peer) = self.peers.get_mut(node) {
                (peer.live, peer.doubtful) = (false, false);
            }
        }
        !due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::{SignedDuration, Timestamp};

    use super::*;

    const PERIOD: u64 = 6;

    #[test]
    fn a_peer_that_is_silent_for_the_duration_of_its_lease_expires() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer"]);
        let silent_since = cluster.seconds;
        cluster.run_until_expiry(&["us"]);
        assert!((18..=24).contains(&(cluster.seconds - silent_since)), "{}", cluster.seconds - silent_since);
        assert_eq!(cluster.live(), ["us"]);
    }

    #[test]
    fn a_lease_from_before_is_in_doubt_until_it_changes_or_expires() {
        let mut cluster = Cluster::new();
        cluster.run(6, &["us", "peer", "dead"]);
        cluster.liveness.doubt_all();
        assert!(cluster.liveness.is_in_doubt() && cluster.live().contains(&"dead"));
        cluster.run(12, &["us", "peer"]);
        assert!(cluster.liveness.is_in_doubt());
        cluster.run(12, &["us", "peer"]);
        assert!(!cluster.liveness.is_in_doubt());
        assert_eq!(cluster.live(), ["peer", "us"]);
    }

    #[test]
    fn nobody_expires_while_our_own_renewals_do_not_come_back() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer", "other"]);
        cluster.run(3600, &[]);
        assert!(cluster.liveness.running_since.is_none());
        assert_eq!(cluster.live(), ["other", "peer", "us"]);
    }

    #[test]
    fn expiry_clocks_start_anew_after_an_outage() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer"]);
        cluster.run(3600, &[]);
        let recovered = cluster.seconds;
        cluster.run_until_expiry(&["us"]);
        assert!((18..=24).contains(&(cluster.seconds - recovered)), "{}", cluster.seconds - recovered);
    }

    #[test]
    fn a_peer_that_died_with_the_api_stays_until_it_is_back() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer", "dead"]);
        cluster.run(12, &[]);
        cluster.run(12, &["us", "peer"]);
        assert_eq!(cluster.live(), ["dead", "peer", "us"]);
        cluster.run_until_expiry(&["us", "peer"]);
        assert_eq!(cluster.live(), ["peer", "us"]);
    }

    #[test]
    fn an_expired_peer_that_renews_is_live_again() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer"]);
        cluster.run(60, &["us"]);
        assert_eq!(cluster.live(), ["us"]);
        assert!(cluster.renew("peer"));
        assert_eq!(cluster.live(), ["peer", "us"]);
    }

    #[test]
    fn a_relist_that_shows_the_same_lease_again_is_no_sign_of_life() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer"]);
        let stale = cluster.observed("peer");
        for _ in 0..8 {
            cluster.run(3, &["us"]);
            let now = cluster.now();
            cluster.liveness.observe(stale.clone(), now);
        }
        assert_eq!(cluster.live(), ["us"]);
    }

    #[test]
    fn a_released_or_deleted_lease_ends_at_once() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "released", "deleted"]);
        let (now, mut observed) = (cluster.now(), cluster.observed("released"));
        observed.duration = Duration::ZERO;
        assert!(cluster.liveness.observe(observed, now));
        assert!(cluster.liveness.remove("deleted", now));
        assert!(!cluster.liveness.remove("deleted", now));
        assert_eq!(cluster.live(), ["us"]);
    }

    #[test]
    fn only_what_matters_counts_as_a_change() {
        let mut cluster = Cluster::new();
        assert!(cluster.renew("peer"));
        assert!(!cluster.renew("peer"), "a renewal");
        let (now, mut observed) = (cluster.now(), cluster.observed("peer"));
        observed.links.push(link("eth1"));
        assert!(cluster.liveness.observe(observed, now), "another interface");
    }

    #[test]
    fn a_stopped_peer_has_the_longer_duration_that_it_asked_for() {
        let mut cluster = Cluster::new();
        cluster.run(60, &["us", "peer"]);
        let (now, mut observed) = (cluster.now(), cluster.observed("peer"));
        observed.duration = Duration::from_secs(60);
        cluster.liveness.observe(observed, now);
        cluster.run(54, &["us"]);
        assert_eq!(cluster.live(), ["peer", "us"]);
        cluster.run(6, &["us"]);
        assert_eq!(cluster.live(), ["us"]);
    }

    /// Leases as one node sees them, second by second.
    struct Cluster {
        liveness: Liveness,
        start: Instant,
        seconds: u64,
    }

    impl Cluster {
        #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
        fn new() -> Self {
            Self { liveness: Liveness::new("us"), start: Instant::now(), seconds: 0 }
        }

        fn now(&self) -> Instant {
            self.start + Duration::from_secs(self.seconds)
        }

        fn observed(&self, node: &str) -> Observed {
            let renewed = SignedDuration::from_secs(i64::try_from(self.seconds).unwrap());
            Observed {
                node: node.into(),
                duration: Duration::from_secs(PERIOD * 3),
                renewed: Some(Timestamp::UNIX_EPOCH + renewed),
                links: vec![link("eth0")],
                owned: None,
            }
        }

        fn renew(&mut self, node: &str) -> bool {
            self.seconds += 1;
            let (now, observed) = (self.now(), self.observed(node));
            self.liveness.observe(observed, now)
        }

        /// Lets time pass while these nodes renew.
        fn run(&mut self, seconds: u64, renewing: &[&str]) {
            for _ in 0..seconds {
                self.seconds += 1;
                let now = self.now();
                if self.seconds.is_multiple_of(PERIOD) {
                    for node in renewing {
                        let observed = self.observed(node);
                        self.liveness.observe(observed, now);
                    }
                }
                if self.liveness.poll_timeout().is_some_and(|due| due <= now) {
                    self.liveness.handle_timeout(now);
                }
            }
        }

        fn run_until_expiry(&mut self, renewing: &[&str]) {
            let before = self.live().len();
            for _ in 0..3600 {
                self.run(1, renewing);
                if self.live().len() < before {
                    return;
                }
            }
            panic!("nobody expired in an hour");
        }

        fn live(&self) -> Vec<&str> {
            let live = self.liveness.peers.values().filter(|peer| peer.live);
            live.map(|peer| peer.observed.node.as_str()).collect()
        }
    }

    fn link(name: &str) -> ferrolb_crds::lease::LeaseLink {
        ferrolb_crds::lease::LeaseLink { name: name.into(), macs: vec![], ipv4: vec![], link_local: None }
    }
}
