//! The driver, as another host's kernel sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_placement::InterfaceFilter;
use ferrolb_runtime::readiness::Readiness;
use ferrolb_runtime::tasks::Tasks;
use ferrolb_speaker::driver::{Driver, Notice, Wiring};
use ferrolb_speaker::metrics::Metrics;
use ferrolb_speaker::net::LinkWatch;
use ferrolb_speaker::net::exclusion::DEFAULT_PATTERNS;
use ferrolb_speaker::ownership::{Desired, DesiredAddress, Standing};
use tokio::sync::{mpsc, watch};

use crate::segment::{OUR_MAC, PATIENCE, Segment, ip, runtime};

pub(crate) const VIP: &str = "192.168.1.240";
const VIP6: &str = "fd00::240";

pub(crate) fn another_host_resolves_owned_addresses() {
    let segment = Segment::new();
    let speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6]);
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_asks_for(address), names_us);
    }
    let group = ip("-6 maddress show dev lan0");
    assert!(group.contains("ff02::1:ff00:240"), "{group}");
}

pub(crate) fn other_and_withdrawn_addresses_are_silent() {
    let segment = Segment::new();
    let speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6]);
    for (address, other) in [(VIP, "192.168.1.241"), (VIP6, "fd00::241")] {
        // Whoever answers for the one would have answered for the other, which is asked for before.
        segment.peer_asks_for(other);
        eventually(|| segment.peer_asks_for(address), names_us);
        let entry = segment.peer_entry(other);
        assert!(!entry.contains("lladdr"), "{entry}");
    }
    speaker.desire(&[]);
    eventually(|| ip("-6 maddress show dev lan0"), |groups| !groups.contains("ff02::1:ff00:240"));
    for address in [VIP, VIP6] {
        segment.peer_ip(&format!("neighbor delete {address} dev eth0"));
        segment.peer_asks_for(address);
    }
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_entry(address), |entry| entry.contains("FAILED"));
    }
}

pub(crate) fn a_neighbor_follows_the_announcement_at_once() {
    let segment = Segment::new();
    for address in [VIP, VIP6] {
        segment.peer_ip(&format!("neighbor add {address} lladdr 02:00:00:00:00:99 dev eth0 nud stale"));
    }
    let speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6]);
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_entry(address), names_us);
    }
}

pub(crate) fn an_interface_that_disappears_and_comes_again() {
    let segment = Segment::new();
    let speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6]);
    eventually(|| segment.peer_asks_for(VIP), names_us);
    ip("link delete lan0");
    segment.plug_in();
    for address in [VIP, VIP6] {
        eventually(|| segment.peer_asks_for(address), names_us);
    }
    drop(segment);
    assert!(speaker.is_running());
}

pub(crate) fn an_interface_that_gets_ipv6_late_joins_the_groups_then() {
    let segment = Segment::new();
    ip("link set lan0 mtu 1000");
    let speaker = Speaker::start();
    speaker.desire(&[VIP, VIP6]);
    // Groups are joined before anything is answered: it has been tried by now.
    eventually(|| segment.peer_asks_for(VIP), names_us);
    ip("link set lan0 mtu 1500");
    eventually(|| ip("-6 maddress show dev lan0"), |groups| groups.contains("ff02::1:ff00:240"));
}

pub(crate) fn names_us(entry: &str) -> bool {
    entry.contains(&OUR_MAC.to_string())
}

/// The driver and its links, on a thread like the binary's.
pub(crate) struct Speaker {
    desired: watch::Sender<Option<Arc<Desired>>>,
    thread: Option<std::thread::JoinHandle<()>>,
    tasks: Option<Tasks>,
    _notices: mpsc::UnboundedReceiver<Notice>,
    pub(crate) metrics: Metrics,
}

impl Speaker {
    pub(crate) fn start() -> Self {
        let (desired_sender, desired) = watch::channel(None);
        let (links_sender, links) = watch::channel(None);
        let (notices_sender, notices) = mpsc::unbounded_channel();
        let tasks = Tasks::default();
        let shutdown = tasks.shutdown();
        let gate = Readiness::default().gate("sockets");
        let metrics = Metrics::default();
        let wiring = Wiring { links, desired, notices: notices_sender, gate, metrics: metrics.clone() };
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let driver = Driver::new(1, wiring);
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
        Self { desired: desired_sender, thread: Some(thread), tasks: Some(tasks), _notices: notices, metrics }
    }

    pub(crate) fn desire(&self, addresses: &[&str]) {
        let wanted = |address: &&str| {
            let services = [].into();
            let wanted =
                DesiredAddress { services, interfaces: InterfaceFilter::All, standing: Standing::First };
            (address.parse::<IpAddr>().unwrap(), wanted)
        };
        self.desired.send_replace(Some(Arc::new(addresses.iter().map(wanted).collect())));
    }

    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // All parts of a process that stops may end before the driver looks.
        drop(self.tasks.take());
        self.desired = watch::Sender::new(None);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
pub(crate) fn eventually(mut ask: impl FnMut() -> String, wanted: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let answer = ask();
        if wanted(&answer) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "never as wanted: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
