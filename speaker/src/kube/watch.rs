//! The watches, as one stream of changes.

use std::fmt::Debug;

use ferrolb_crds::names;
use ferrolb_crds::{IPAddressPool, L2Advertisement};
use ferrolb_placement::SERVICE_NAME_LABEL;
use ferrolb_runtime::guard::Guarded;
use ferrolb_runtime::watch::{Shown, config, events};
use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::strip;

/// An event of one of the watches.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "changes are boxed where they are passed on")]
pub enum Change {
    /// A Service of type LoadBalancer.
    Service(Shown<Service>),
    /// A part of a Service's endpoints.
    EndpointSlice(Shown<EndpointSlice>),
    /// A node.
    Node(Shown<Node>),
    /// A pool.
    Pool(Shown<IPAddressPool>),
    /// An advertisement.
    Advertisement(Shown<L2Advertisement>),
    /// The Lease of a speaker.
    Lease(Shown<Lease>),
}

/// Everything that the speaker watches. It never ends: a watch that fails is logged and taken up again.
pub fn changes(client: &Client, namespace: &str) -> impl Stream<Item = Box<Change>> + Send + Unpin + use<> {
    let load_balancers = config().fields("spec.type=LoadBalancer");
    let of_services = config().labels(SERVICE_NAME_LABEL);
    let of_speakers = config().labels(names::LEASE_LABEL);
    select_all([
        watch(Api::all(client.clone()), load_balancers, strip::service, Change::Service),
        watch(Api::all(client.clone()), of_services, strip::endpoint_slice, Change::EndpointSlice),
        watch(Api::all(client.clone()), config(), strip::node, Change::Node),
        watch(Api::namespaced(client.clone(), namespace), config(), strip::pool, Change::Pool),
        watch(
            Api::namespaced(client.clone(), namespace),
            config(),
            strip::advertisement,
            Change::Advertisement,
        ),
        watch(Api::namespaced(client.clone(), namespace), of_speakers, strip::lease, Change::Lease),
    ])
}

fn watch<K>(
    api: Api<Guarded<K>>,
    config: watcher::Config,
    strip: fn(&mut K),
    change: fn(Shown<K>) -> Change,
) -> BoxStream<'static, Box<Change>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut failing = false;
    let changes = events(api, config, strip).filter_map(move |event| {
        let change = match event {
            Ok(event) => {
                if std::mem::take(&mut failing) {
                    info!(event = "watchRestored", kind = %K::kind(&()), "the watch is up again");
                }
                Some(Box::new(change(event)))
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(
                        event = "watchFailed",
                        kind = %K::kind(&()),
                        %error,
                        "the watch failed and is retried; until then everything stays as it is"
                    );
                }
                None
            }
        };
        std::future::ready(change)
    });
    changes.boxed()
}
