//! For which addresses of Services the kernel itself answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_placement::InterfaceFilter;
use ferrolb_runtime::tasks::Tasks;
use ferrolb_speaker::driver::{Cluster, Notice};
use ferrolb_speaker::finding::Finding;
use ferrolb_speaker::link::Links;
use ferrolb_speaker::net::exclusion::DEFAULT_PATTERNS;
use ferrolb_speaker::net::{LinkWatch, listeners, local_addresses};
use ferrolb_speaker::ownership::{Change, Desired, DesiredAddress};
use ferrolb_speaker::strict_arp::answers::answers;
use ferrolb_speaker::strict_arp::watch::KernelWatch;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::driver::{VIP, VIP6, eventually};
use crate::segment::{PATIENCE, Segment, ip, runtime};

pub(crate) fn it_is_known_for_which_addresses_the_kernel_answers() {
    let (segment, links) = wired();
    // The peer asks three times, and gives up.
    segment.peer_ip("ntable change name arp_cache dev eth0 retrans 100");
    segment.peer_ip("ntable change name ndisc_cache dev eth0 retrans 100");
    let (v4, v6) = (format!("{VIP}/24"), format!("{VIP6}/64"));
    for (place, addresses) in
        [("dev lo scope host", &[&v4][..]), ("dev lo", &[&v4, &v6]), ("dev lan0", &[&v4, &v6])]
    {
        for address in addresses {
            ip(&format!("address add {address} {place} nodad"));
        }
        for setting in [0, 1, 2, 3, 8] {
            arp_ignore(setting);
            for address in [VIP, VIP6] {
                let local = local_addresses(|local| local.to_string() == address).unwrap();
                let answers = answers(&local, &listeners(&links), &desired());
                segment.peer_ip("neighbor flush dev eth0");
                segment.peer_asks_for(address);
                let expected = if answers.is_empty() { "FAILED" } else { "lladdr" };
                let context = |entry: &str| format!("{address} {place}, {setting}: {entry}");
                eventually(|| context(&segment.peer_entry(address)), |entry| entry.contains(expected));
            }
        }
        for address in addresses {
            ip(&format!("address delete {address} {}", device(place)));
        }
    }
    arp_ignore(0);
}

pub(crate) fn that_the_kernel_answers_is_told_until_it_does_not() {
    let (_segment, links) = wired();
    arp_ignore(0);
    ip(&format!("address add {VIP}/32 dev lo"));
    runtime().block_on(async {
        let tasks = Tasks::default();
        let (links, links_receiver) = watch::channel(Some(links));
        let cluster = Cluster { desired: Arc::new(desired()), ..Cluster::default() };
        let (cluster, cluster_receiver) = watch::channel(Some(cluster));
        let (reports, reports_receiver) = watch::channel(None);
        let (notices_sender, mut notices) = mpsc::unbounded_channel();
        let kernel = KernelWatch {
            period: Duration::from_millis(20),
            links: links_receiver,
            cluster: cluster_receiver,
            reports: reports_receiver,
            notices: notices_sender,
        };
        let running = tokio::spawn(kernel.run(tasks.shutdown()));
        // What the last process reported stands until the driver has decided.
        assert!(timeout(Duration::from_millis(200), notices.recv()).await.is_err());
        reports.send_replace(Some(Arc::new(BTreeMap::new())));
        let finding = |interface: &str, is_announcing| Finding::StrictArpRequired {
            interface: interface.into(),
            is_announcing,
        };
        assert_eq!(told(&mut notices).await, [Change::Found(finding("lo", false))]);
        arp_ignore(1);
        assert_eq!(told(&mut notices).await, [Change::Over(finding("lo", false))]);
        ip(&format!("address add {VIP}/32 dev lan0"));
        assert_eq!(told(&mut notices).await, [Change::Found(finding("lan0", true))]);
        links.send_replace(Some(Links::new()));
        assert_eq!(told(&mut notices).await, [Change::Over(finding("lan0", true))]);
        drop((tasks, cluster));
        running.await.unwrap().unwrap();
    });
    ip(&format!("address delete {VIP}/32 dev lo"));
    arp_ignore(0);
}

/// A segment whose ends have addresses, and our links.
fn wired() -> (Segment, Links) {
    let segment = Segment::new();
    ip("address add 192.168.1.1/24 dev lan0");
    ip("address add fd00::1/64 dev lan0 nodad");
    let links = runtime().block_on(async {
        let mut watch = LinkWatch::open(DEFAULT_PATTERNS.parse().unwrap()).unwrap();
        let up = async {
            loop {
                let links = watch.changed().await.unwrap();
                if links.get(&Segment::link()).is_some_and(|link| link.up) {
                    return links;
                }
            }
        };
        timeout(PATIENCE, up).await.expect("the link never was up")
    });
    (segment, links)
}

/// Sets it where it is in force wherever it is higher.
fn arp_ignore(setting: u8) {
    std::fs::write("/proc/sys/net/ipv4/conf/lan0/arp_ignore", "0").unwrap();
    std::fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", setting.to_string()).unwrap();
}

fn device(place: &str) -> &str {
    place.trim_end_matches(" scope host")
}

fn desired() -> Desired {
    let wanted = |text: &str| {
        let address: IpAddr = text.parse().unwrap();
        let wanted = DesiredAddress {
            services: [].into(),
            interfaces: InterfaceFilter::All,
            candidates: [].into(),
            excluded: None,
            first_address: address,
        };
        (address, wanted)
    };
    [VIP, VIP6].map(wanted).into()
}

/// What is told until nothing more comes of it.
async fn told(notices: &mut mpsc::UnboundedReceiver<Notice>) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        match timeout(PATIENCE, notices.recv()).await.expect("nothing was told").unwrap() {
            Notice::Event(event, _) => changes.push(event.change),
            Notice::Settled => return changes,
        }
    }
}
