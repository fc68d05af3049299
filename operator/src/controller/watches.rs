//! The watches, as one stream of what changed.

use std::sync::Arc;

use ferrolb_crds::ServiceL2Status;
use ferrolb_crds::advertisement::L2Advertisement;
use ferrolb_crds::pool::IPAddressPool;
use ferrolb_runtime::watch::{Shown, config, events, reflect};
use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};

/// Annotations that a Service is read for begin with one of these.
const ANNOTATIONS: [&str; 3] = ["ferrolb.io/", "metallb.io/", "metallb.universe.tf/"];

/// Changes that are taken in before the next decision is made.
const BATCH: usize = 256;

/// Something that a watch shows.
#[derive(Debug)]
pub(super) enum Change {
    Service(Box<Shown<Service>>),
    Namespace(Box<Shown<Namespace>>),
    Pools(Progress),
    Advertisements(Progress),
    Node(Box<Shown<Node>>),
    Slice(Box<Shown<EndpointSlice>>),
    Lease(Box<Shown<Lease>>),
    Report(Box<Shown<ServiceL2Status>>),
    /// The watch of a kind is down; it is being taken up again.
    Down(&'static str, watcher::Error),
}

/// How a watch goes on whose store is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A list is being read; the store still shows what was there before.
    Listing,
    /// A list has been read.
    Listed,
    /// An object is new, has changed, or is gone.
    Changed,
}

impl Progress {
    fn of<K>(event: &Event<K>) -> Self {
        match event {
            Event::Init | Event::InitApply(_) => Self::Listing,
            Event::InitDone => Self::Listed,
            Event::Apply(_) | Event::Delete(_) => Self::Changed,
        }
    }
}

/// The objects of which there are few, as last seen.
pub(super) struct Stores {
    pub(super) pools: Store<IPAddressPool>,
    pub(super) advertisements: Store<L2Advertisement>,
}

/// Starts all watches. The stores are filled while the stream is polled.
pub(super) fn watch(client: &Client, namespace: &str) -> (Stores, BoxStream<'static, Vec<Change>>) {
    let service_events = events(Api::all(client.clone()), config(), strip_service);
    let (pools, pool_events) = reflect(Api::namespaced(client.clone(), namespace), config(), |_| ());
    let (advertisements, advertisement_events) =
        reflect(Api::namespaced(client.clone(), namespace), config(), |_| ());
    let namespaces = events(Api::all(client.clone()), config(), strip_namespace);
    let nodes = events(Api::all(client.clone()), config(), strip_node);
    let slices = events(Api::all(client.clone()), config(), strip_slice);
    let leases = events(Api::namespaced(client.clone(), namespace), config(), |_| ());
    let reports = events(Api::namespaced(client.clone(), namespace), config(), |_| ());
    let mut all = SelectAll::new();
    all.push(changes(service_events, "Service", |event| Change::Service(Box::new(event))));
    all.push(changes(pool_events, "IPAddressPool", |event| Change::Pools(Progress::of(&event))));
    all.push(changes(advertisement_events, "L2Advertisement", |event| {
        Change::Advertisements(Progress::of(&event))
    }));
    all.push(changes(namespaces, "Namespace", |event| Change::Namespace(Box::new(event))));
    all.push(changes(nodes, "Node", |event| Change::Node(Box::new(event))));
    all.push(changes(slices, "EndpointSlice", |event| Change::Slice(Box::new(event))));
    all.push(changes(leases, "Lease", |event| Change::Lease(Box::new(event))));
    all.push(changes(reports, "ServiceL2Status", |event| Change::Report(Box::new(event))));
    (Stores { pools, advertisements }, all.ready_chunks(BATCH).boxed())
}

fn changes<E>(
    events: impl Stream<Item = watcher::Result<Event<E>>> + Send + 'static,
    kind: &'static str,
    change: fn(Event<E>) -> Change,
) -> BoxStream<'static, Change>
where
    E: Send + 'static,
{
    events
        .map(move |event| match event {
            Ok(event) => change(event),
            Err(error) => Change::Down(kind, error),
        })
        .boxed()
}

fn strip_service(service: &mut Service) {
    if let Some(annotations) = &mut service.metadata.annotations {
        annotations.retain(|name, _| ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix)));
    }
    if let Some(spec) = &mut service.spec {
        spec.session_affinity_config = None;
    }
}

fn strip_namespace(namespace: &mut Namespace) {
    (namespace.metadata.annotations, namespace.spec, namespace.status) = (None, None, None);
}

fn strip_node(node: &mut Node) {
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        (status.images, status.node_info) = (None, None);
    }
}

fn strip_slice(slice: &mut EndpointSlice) {
    slice.ports = None;
}

/// All objects of a store, sorted by name: a store itself has no order.
pub(super) fn sorted<K>(store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut objects = store.state();
    objects.sort_by(|a, b| a.meta().name.cmp(&b.meta().name));
    objects
}
