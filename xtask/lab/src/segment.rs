//! The Ethernet segment: a bridge in a network namespace of its own, a veth pair to each host. Hosts can have further
//! links, also to further bridges.

use std::net::IpAddr;

use anyhow::{Context, Result};

use crate::namespace::{exists, ip_batch, within_net};
use crate::plan::{GATEWAYS, HostPlan, POD_RANGES, Plan, Role, SERVICE_RANGES, V6_PREFIX};
use crate::store::Store;

/// The host name that the bridge's namespace is called by.
const LAN: &str = "lan";
/// The segment that every host is on.
const MAIN: u8 = 0;
/// The most hosts that learn of each other as hosts do.
const FEW: usize = 24;
/// The interface of each host.
pub(crate) const INTERFACE: &str = "eth0";

/// The segment of one lab.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    store: Store,
}

impl Segment {
    pub(crate) fn of(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// The network namespace of the bridge.
    pub(crate) fn lan(&self) -> String {
        self.store.netns(LAN)
    }

    /// Creates the bridge and the hosts' network namespaces, with nothing in them.
    pub(crate) fn create(&self, plan: &Plan) -> Result<()> {
        let hosts = plan.hosts.iter().map(|host| host.name.as_str());
        let lines: Vec<_> =
            hosts.chain([LAN]).map(|host| format!("netns add {}", self.store.netns(host))).collect();
        ip_batch(None, &lines)?;
        set(&self.lan(), &[("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")])?;
        self.create_bridge(MAIN)
    }

    fn create_bridge(&self, segment: u8) -> Result<()> {
        let bridge = bridge(segment);
        ip_batch(
            Some(&self.lan()),
            &[
                // Nobody queries for groups here, so a bridge that snoops would forget them.
                format!("link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"),
                format!("link set {bridge} up"),
            ],
        )
    }

    fn ensure_bridge(&self, segment: u8) -> Result<()> {
        let name = bridge(segment);
        let exists =
            within_net(&self.lan(), || std::path::Path::new("/proc/sys/net/ipv4/conf").join(name).exists())?;
        if exists { Ok(()) } else { self.create_bridge(segment) }
    }

    /// Plugs a host in: link, addresses, routes, kernel settings. Its network namespace is made if it is missing.
    pub(crate) fn plug(&self, plan: &Plan, host: &HostPlan) -> Result<()> {
        let netns = self.store.netns(&host.name);
        if !exists(&netns) {
            ip_batch(None, &[format!("netns add {netns}")])?;
        }
        set(&netns, SETTINGS)?;
        self.connect(host, 0, MAIN)?;
        ip_batch(Some(&netns), &inside(plan, host))
            .with_context(|| format!("set up the network of {}", host.name))
    }

    /// Gives a host a further link, `eth1` and so on, to a segment, which is made if it is missing. It is up and has no
    /// addresses but its IPv6 link-local one.
    pub(crate) fn add_link(&self, host: &HostPlan, number: u8, segment: u8) -> Result<()> {
        self.ensure_bridge(segment)?;
        self.connect(host, number, segment)?;
        ip_batch(Some(&self.store.netns(&host.name)), &[format!("link set {} up", interface(number))])
    }

    /// Takes a further link away.
    pub(crate) fn remove_link(&self, host: &HostPlan, number: u8) -> Result<()> {
        ip_batch(Some(&self.lan()), &[format!("link del {}", port(&host.name, number))])
    }

    fn connect(&self, host: &HostPlan, number: u8, segment: u8) -> Result<()> {
        let (lan, netns, port) = (self.lan(), self.store.netns(&host.name), port(&host.name, number));
        let (interface, mac) = (interface(number), host.mac_of(number));
        ip_batch(
            None,
            &[format!(
                "link add {interface} address {mac} netns {netns} type veth peer name {port} netns {lan}"
            )],
        )?;
        ip_batch(Some(&lan), &[format!("link set {port} master {} up", bridge(segment))])
    }

    /// Pulls a host's cable, or puts it back: its end of the link loses the carrier.
    pub(crate) fn set_link(&self, host: &str, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        ip_batch(Some(&self.lan()), &[format!("link set {} {state}", port(host, 0))])
    }

    /// Moves a host's first link to another segment, which is made if it is missing; the host's carrier stays.
    pub(crate) fn move_to(&self, host: &str, segment: u8) -> Result<()> {
        self.ensure_bridge(segment)?;
        ip_batch(Some(&self.lan()), &[format!("link set {} master {}", port(host, 0), bridge(segment))])
    }

    /// Keeps a host's first link from exchanging frames with other isolated ones.
    pub(crate) fn isolate(&self, host: &str, isolated: bool) -> Result<()> {
        let state = if isolated { "on" } else { "off" };
        let line = format!("link set {} type bridge_slave isolated {state}", port(host, 0));
        ip_batch(Some(&self.lan()), &[line])
    }

    /// Takes a host's link and its network namespace away.
    pub(crate) fn unplug(&self, host: &str) -> Result<()> {
        ip_batch(Some(&self.lan()), &[format!("link del {}", port(host, 0))])?;
        ip_batch(None, &[format!("netns del {}", self.store.netns(host))])
    }
}

/// The bridge's end of a link. Interface names hold 15 bytes; those of hosts fit, as the plan makes them.
fn port(host: &str, number: u8) -> String {
    if number == 0 { host.to_owned() } else { format!("{host}.{number}") }
}

fn interface(number: u8) -> String {
    format!("eth{number}")
}

fn bridge(segment: u8) -> String {
    format!("br{segment}")
}

/// Kernel settings of a host, made before it has links.
const SETTINGS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    // No second of waiting before an address counts.
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

fn set(netns: &str, settings: &[(&str, &str)]) -> Result<()> {
    within_net(netns, || {
        for (key, value) in settings {
            std::fs::write(format!("/proc/sys/net/{key}"), value)
                .with_context(|| format!("set net/{key} in {netns}"))?;
        }
        Ok(())
    })?
}

/// Lines for `ip` inside the host's namespace.
fn inside(plan: &Plan, host: &HostPlan) -> Vec<String> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("link set {INTERFACE} up"),
        format!("address add {}/{} dev {INTERFACE}", host.v4, plan.v4_prefix),
        format!("address add {}/{V6_PREFIX} dev {INTERFACE} nodad", host.v6),
    ];
    if host.role == Role::Client {
        return lines;
    }
    if plan.hosts.len() > FEW {
        lines.extend(neighbors(plan, host));
    }
    lines.extend(GATEWAYS.map(|gateway| format!("route add default via {gateway}")));
    for node in plan.of_role(Role::Full).filter(|node| node.name != host.name) {
        let [v4, v6] = node.pod_ranges();
        lines.push(format!("route add {v4} via {}", node.v4));
        lines.push(format!("route add {v6} via {}", node.v6));
    }
    if host.role == Role::ControlPlane
        && let Some(node) = plan.of_role(Role::Full).next()
    {
        // No kube-proxy here, but the API server must reach webhooks and aggregated APIs by service address.
        let [v4, v6] = SERVICE_RANGES;
        lines.push(format!("route add {v4} via {}", node.v4));
        lines.push(format!("route add {v6} via {}", node.v6));
    }
    if host.role == Role::Full {
        // Of the pods that are not there, so that packets to them do not leave by the default route.
        lines.extend(POD_RANGES.map(|range| format!("route add unreachable {range}")));
    }
    lines
}

/// Lines for `ip` that tell a host of all others.
///
/// All kernels of a machine's namespaces share one table of 1024 neighbours, and one that can't enter who asks for its own
/// address does not answer. Permanent entries don't count.
fn neighbors(plan: &Plan, host: &HostPlan) -> impl Iterator<Item = String> {
    let others = plan.hosts.iter().filter(move |other| other.name != host.name);
    others.flat_map(|other| {
        let mac = other.mac();
        [other.v4.into(), other.v6.into(), mac.link_local().into()].map(|address: IpAddr| {
            format!("neigh replace {address} lladdr {mac} dev {INTERFACE} nud permanent")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_knows_nothing_but_the_segment() {
        let plan = Plan::new(2, 0).unwrap();
        let lines = inside(&plan, plan.of_role(Role::Client).next().unwrap());
        assert!(lines.iter().all(|line| !line.starts_with("route")), "{lines:?}");
    }

    #[test]
    fn a_node_has_routes_to_the_pods_of_the_others_alone() {
        let plan = Plan::new(2, 0).unwrap();
        let lines = inside(&plan, plan.host("node-1").unwrap());
        assert!(lines.contains(&"route add 10.244.2.0/24 via 192.168.1.12".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("10.244.1.0/24")), "{lines:?}");
    }

    #[test]
    fn hosts_of_a_large_lab_know_each_other_but_the_client() {
        let known = |bare, host: &str| {
            let plan = Plan::new(0, bare).unwrap();
            inside(&plan, plan.host(host).unwrap()).iter().filter(|line| line.starts_with("neigh")).count()
        };
        assert_eq!(known(20, "bare-1"), 0);
        assert_eq!(known(100, "bare-1"), 3 * 101);
        assert_eq!(known(100, "client"), 0);
    }

    #[test]
    fn the_longest_host_name_is_an_interface_name() {
        let plan = Plan::new(80, 1000).unwrap();
        assert!(plan.hosts.iter().all(|host| port(&host.name, 9).len() <= 15));
        assert_eq!(interface(0), INTERFACE);
    }
}
