//! The speaker's driver without an API server.

use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_placement::InterfaceFilter;
use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::Tasks;
use ferrolb_speaker::driver::{Cluster, Driver, Notice, Wiring};
use ferrolb_speaker::metrics::Metrics;
use ferrolb_speaker::net::LinkWatch;
use ferrolb_speaker::net::exclusion::DEFAULT_PATTERNS;
use ferrolb_speaker::ownership::{Candidate, DesiredAddress, NodeId, Timing};
use tokio::sync::{mpsc, watch};

use crate::segment::{route_by_peer, runtime};

/// The driver and its links, on a thread like the binary's.
pub(crate) struct Speaker {
    cluster: watch::Sender<Option<Cluster>>,
    thread: Option<std::thread::JoinHandle<()>>,
    tasks: Option<Tasks>,
    notices: mpsc::UnboundedReceiver<Notice>,
    pub(crate) metrics: Metrics,
}

impl Speaker {
    pub(crate) fn start() -> Self {
        route_by_peer("lan0");
        let (cluster_sender, cluster) = watch::channel(None);
        let (stopped, _) = watch::channel(None);
        let (links_sender, links) = watch::channel(None);
        let (notices_sender, notices) = mpsc::unbounded_channel();
        let tasks = Tasks::default();
        let shutdown = tasks.shutdown();
        let gate = Readiness::default().gate("sockets");
        let metrics = Metrics::default();
        let promiscuous = "".parse().unwrap();
        let wiring = Wiring {
            links,
            promiscuous,
            cluster,
            notices: notices_sender,
            gate,
            stopped,
            metrics: metrics.clone(),
        };
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let driver = Driver::new(1, Timing::default(), wiring).unwrap();
                let mut watch = LinkWatch::open(DEFAULT_PATTERNS.parse().unwrap()).unwrap();
                let follow = async {
                    loop {
                        links_sender.send_replace(Some(watch.changed().await.unwrap()));
                    }
                };
                tokio::select! {
                    result = driver.run(shutdown) => result.unwrap(),
                    () = follow => {}
                }
            });
        });
        Self { cluster: cluster_sender, thread: Some(thread), tasks: Some(tasks), notices, metrics }
    }

    pub(crate) fn desire(&mut self, addresses: &[IpAddr]) {
        while self.notices.try_recv().is_ok() {}
        let own = Candidate { node: NodeId::OWN, demoted: false, preference: 0 };
        let wanted = |address: &IpAddr| {
            let wanted = DesiredAddress {
                services: [].into(),
                interfaces: InterfaceFilter::All,
                candidates: [own].into(),
                excluded: None,
                first_address: *address,
            };
            (*address, wanted)
        };
        let desired = Arc::new(addresses.iter().map(wanted).collect());
        self.cluster.send_replace(Some(Cluster { desired, ..Cluster::default() }));
    }

    /// Waits until it has taken up what is desired, once its links are up.
    pub(crate) fn await_settled(&mut self) {
        self.await_notice(|notice| matches!(notice, Notice::Settled));
    }

    /// Waits until it tells something.
    pub(crate) fn await_notice(&mut self, wanted: impl Fn(&Notice) -> bool) {
        while !wanted(&self.notices.blocking_recv().unwrap()) {}
    }

    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // All parts of a process that stops may end before the driver looks.
        drop(self.tasks.take());
        self.cluster = watch::Sender::new(None);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
