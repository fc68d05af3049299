//! Taking in what the watches tell.

use std::net::IpAddr;
use std::time::Instant;

use ferrolb_crds::ServiceL2Status;
use ferrolb_crds::lease;
use ferrolb_crds::names::LEASE_PREFIX;
use ferrolb_placement::{NodeFacts, Speaker};
use ferrolb_runtime::listing::{Inventory, Key};
use ferrolb_runtime::watch::{Shown, Undecodable};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use tracing::warn;

use super::Controller;
use super::watches::{Change, Progress};
use crate::announced::{Report, read_slice};
use crate::key::ServiceKey;

/// What the watches have listed.
#[derive(Debug, Default)]
pub(super) struct Listings {
    pub(super) services: Inventory<ServiceKey>,
    pools: bool,
    advertisements: bool,
    namespaces: Inventory<String>,
    pub(super) nodes: Inventory<String>,
    slices: Inventory<ServiceKey>,
    leases: Inventory<String>,
    reports: Inventory<String>,
}

impl Listings {
    /// Whether all kinds were listed to the end.
    pub(super) fn are_complete(&self) -> bool {
        let Self { services, pools, advertisements, namespaces, nodes, slices, leases, reports } = self;
        services.is_loaded()
            && *pools
            && *advertisements
            && namespaces.is_loaded()
            && nodes.is_loaded()
            && slices.is_loaded()
            && leases.is_loaded()
            && reports.is_loaded()
    }
}

impl Controller {
    pub(super) fn take_in(&mut self, change: Change, now: Instant) {
        match change {
            Change::Service(event) => self.take_in_service(&event, now),
            Change::Namespace(event) => self.take_in_namespace(&event),
            Change::Pools(Progress::Listing) | Change::Advertisements(Progress::Listing) => {}
            Change::Pools(progress) => {
                self.listings.pools |= progress == Progress::Listed;
                self.take_in_objects(now);
            }
            Change::Advertisements(progress) => {
                self.listings.advertisements |= progress == Progress::Listed;
                self.take_in_objects(now);
            }
            Change::Node(event) => self.take_in_node(&event, now),
            Change::Slice(event) => self.take_in_slice(&event),
            Change::Lease(event) => self.take_in_lease(&event, now),
            Change::Report(event) => self.take_in_report(&event, now),
            Change::Down(kind, error) => {
                self.metrics.count_watch_error(kind);
                warn!(event = "watchDown", kind, %error, "the watch is taken up again");
            }
        }
    }

    fn take_in_service(&mut self, event: &Shown<Service>, now: Instant) {
        self.rounds.request(now);
        let uid = if let Event::Delete(Ok(service)) = event { service.metadata.uid.clone() } else { None };
        let told = self.listings.services.take_in(event, |it| ServiceKey::of(&it.metadata));
        for (key, service) in told {
            if let Some(service) = service {
                self.engine.apply_service(service, now);
            } else {
                self.engine.delete_service(&key, uid.as_deref(), now);
                self.sweeps.request(now);
            }
        }
    }

    fn take_in_objects(&mut self, now: Instant) {
        self.rounds.request(now);
        self.engine.set_objects(&self.stores.pools.state(), &self.stores.advertisements.state(), now);
    }

    fn take_in_namespace(&mut self, event: &Shown<Namespace>) {
        let told = self.listings.namespaces.take_in(event, |it| name(&it.metadata));
        for (name, namespace) in told {
            let labels = namespace.map(|namespace| namespace.metadata.labels.clone().unwrap_or_default());
            self.engine.set_namespace(&name, labels);
        }
    }

    fn take_in_node(&mut self, event: &Shown<Node>, now: Instant) {
        let told = self.listings.nodes.take_in(event, |it| name(&it.metadata));
        for (name, node) in told {
            if node.is_none() {
                self.sweeps.request(now);
            }
            let node = node.map(|node| (NodeFacts::new(node, Speaker::Absent), addresses_of(node)));
            if self.engine.set_node(&name, node) {
                self.rounds.request(now);
            }
        }
    }

    fn take_in_slice(&mut self, event: &Shown<EndpointSlice>) {
        let told = self.listings.slices.take_in(event, |it| ServiceKey::of(&it.metadata));
        for (key, slice) in told {
            self.engine.set_slice(key, slice.and_then(read_slice));
        }
    }

    fn take_in_lease(&mut self, event: &Shown<Lease>, now: Instant) {
        let told = self.listings.leases.take_in(event, |it| name(&it.metadata));
        for (name, object) in told {
            if let Some(node) = name.strip_prefix(LEASE_PREFIX) {
                self.engine.set_lease(node, object.and_then(lease::read), now);
            } else if let Some(own) = object.filter(|_| name == self.lease) {
                self.engine.set_own_lease(lease::observe(own, &name), now);
            }
        }
    }

    fn take_in_report(&mut self, event: &Shown<ServiceL2Status>, now: Instant) {
        let told = self.listings.reports.take_in(event, |it| name(&it.metadata));
        for (name, report) in told {
            self.engine.set_report(&name, report.and_then(Report::of));
            self.sweeps.request(now);
        }
    }
}

impl Key for ServiceKey {
    fn of(object: &Undecodable) -> Self {
        Self::new(object.namespace.as_deref().unwrap_or_default(), &object.name)
    }
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// The addresses that a node says it has.
fn addresses_of(node: &Node) -> Vec<IpAddr> {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    addresses.filter_map(|address| address.address.parse().ok()).collect()
}
