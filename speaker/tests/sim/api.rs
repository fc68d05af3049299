//! The API server: Leases, which nodes are excluded, and who said to own what.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_crds::lease::{HANDOVER_DURATION, LeaseLink, MIN_PERIOD, Observed, PERIODS};

use crate::agenda::{Happening, micros};
use crate::mutation::Mutation;
use crate::network::{Port, mac};
use crate::node::{ipv4, link_local, name};
use crate::world::World;

/// What the API server has.
#[derive(Debug, Default)]
pub(crate) struct Api {
    /// Since when it is down.
    pub(crate) down: Option<u64>,
    /// When it came back from an outage that was long enough for clocks to stop.
    pub(crate) recovered: u64,
    /// Of each node; those of version 0 are none.
    pub(crate) leases: Vec<Lease>,
    /// A bit for each node.
    pub(crate) excluded: u32,
    /// The addresses of Services, and the order of nodes for each.
    pub(crate) addresses: Vec<(IpAddr, Vec<Port>)>,
    /// Who reported last to own an address.
    pub(crate) owners: BTreeMap<IpAddr, Port>,
    pub(crate) version: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Lease {
    pub(crate) version: u64,
    pub(crate) duration: Duration,
    pub(crate) owned: u32,
    /// When it was written, in microseconds.
    pub(crate) written: u64,
    /// When it was written after it may have ended.
    revived: u64,
}

/// A speaker whose own renewals failed for so long knows that it knows nothing, in microseconds.
pub(crate) const CLOCKS_STOP: u64 = 11_000_000;

/// Watches show what was written within this time, in microseconds.
const NEWS: u64 = 1_000_000;

/// A Lease as the watch shows it.
pub(crate) fn observed(node: Port, lease: &Lease) -> Observed {
    let link = LeaseLink {
        name: "eth0".into(),
        macs: vec![mac(node).to_string()],
        ipv4: vec![ipv4(node)],
        link_local: Some(link_local(node)),
    };
    let renewed = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(lease.version).unwrap_or(0)).ok();
    Observed {
        node: name(node),
        duration: lease.duration,
        renewed,
        links: vec![link],
        owned: Some(lease.owned),
    }
}

impl Api {
    pub(crate) fn excludes(&self, node: Port) -> bool {
        self.excluded & 1 << node != 0
    }

    /// Whether somebody may hold a Lease to have ended, in microseconds.
    pub(crate) fn may_have_ended(&self, node: Port, now: u64) -> bool {
        let lease = &self.leases[node];
        let shortest = micros(lease.duration.mul_f64(0.98));
        let clocks_run = self.down.is_none_or(|since| now < since + CLOCKS_STOP);
        lease.duration.is_zero()
            || (lease.revived > 0 && now < lease.revived + NEWS)
            || (clocks_run && now >= lease.written + shortest && now >= self.recovered + shortest)
    }
}

impl World {
    pub(crate) fn renew(&mut self, port: Port, start: u64) {
        let node = &self.nodes[port];
        let Some(speaker) = node.speaker.as_ref().filter(|_| node.started == start) else { return };
        if speaker.stopping {
            return;
        }
        let delay = if node.running().is_some() && self.api.down.is_none() {
            self.write_lease(port, MIN_PERIOD * PERIODS);
            MIN_PERIOD * 9 / 10 + Duration::from_millis(self.random.within(0, 1200))
        } else {
            if self.mutation.is_some_and(Mutation::runs_clocks_on) {
                self.with(port, |speaker, api, now| speaker.renew_in_vain(port, api, now));
            }
            Duration::from_secs(1)
        };
        self.after(delay, Happening::Renew(port, start));
    }

    /// The last renewal of a speaker that will come back.
    pub(crate) fn keep_lease(&mut self, port: Port) {
        self.write_lease(port, HANDOVER_DURATION);
    }

    pub(crate) fn write_lease(&mut self, port: Port, duration: Duration) {
        if self.api.down.is_some() {
            return;
        }
        let owned = self.nodes[port].speaker.as_ref().map_or(0, |it| it.machine.owned_count());
        self.api.version += 1;
        let lapsed = self.api.may_have_ended(port, self.now);
        self.api.leases[port] = Lease {
            version: self.api.version,
            duration,
            owned: u32::try_from(owned).unwrap_or(u32::MAX),
            written: self.now,
            revived: if lapsed { self.now } else { 0 },
        };
        self.show_all();
    }

    /// Has all watches show how things are.
    pub(crate) fn show_all(&mut self) {
        (0..self.nodes.len()).for_each(|port| self.show(port));
    }

    /// Has a node's watch show how things are, after a while.
    pub(crate) fn show(&mut self, port: Port) {
        let lag = if self.random.chance(50) { 500 } else { 30 };
        let lag = Duration::from_millis(self.random.within(1, lag));
        if !std::mem::replace(&mut self.nodes[port].shown, true) {
            self.after(lag, Happening::Watch(port));
        }
    }

    pub(crate) fn watch(&mut self, port: Port) {
        self.nodes[port].shown = false;
        if self.api.down.is_some() {
            return;
        }
        self.with(port, |speaker, api, now| speaker.see(port, api, now));
    }
}
