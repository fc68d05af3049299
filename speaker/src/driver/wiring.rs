//! What the driver is connected to: whom it hears, and whom it tells.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_runtime::readiness::Gate;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::link::Links;
use crate::metrics::Metrics;
use crate::net::exclusion::Patterns;
use crate::ownership::{Desired, Event, NodeId, Peers, Stop};

/// What the control loop is told, by the driver and whoever else finds something.
#[derive(Debug)]
pub enum Notice {
    /// What the node does changed, or something was found, at this time.
    Event(Event, Timestamp),
    /// Nothing more comes of what was taken up last; so it is too after the first wishes of the driver, even if they are
    /// empty.
    Settled,
}

/// What the driver is told of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The addresses, and who may announce them.
    pub desired: Arc<Desired>,
    /// All speakers.
    pub peers: Arc<Peers>,
    /// Who owned what before this process began, as far as its reports tell.
    pub hints: Arc<HashMap<IpAddr, NodeId>>,
    /// This node is about to go: a speaker that stops hands over what it owns.
    pub going: bool,
}

/// What the driver is connected to.
pub struct Wiring {
    /// The links, once they are known.
    pub links: watch::Receiver<Option<Links>>,
    /// Interfaces whose card is to pass on everything.
    pub promiscuous: Patterns,
    /// The cluster, once it is known.
    pub cluster: watch::Receiver<Option<Cluster>>,
    /// Takes notices.
    pub notices: mpsc::UnboundedSender<Notice>,
    /// Opened once every socket is.
    pub gate: Gate,
    /// Told how the driver stopped, after it did.
    pub stopped: watch::Sender<Option<Stop>>,
    /// Counts.
    pub metrics: Metrics,
}
