//! Who is on the segment, by which name and address. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::probe::Mac;

/// The name of the host that the API server runs on.
pub const CONTROL_PLANE: &str = "control-plane";
/// The name of the host that is no part of the cluster.
pub const CLIENT: &str = "client";
/// IPv6 prefix length of the segment.
pub const V6_PREFIX: u8 = 64;
/// The services' ranges, IPv4 and IPv6.
pub const SERVICE_RANGES: [&str; 2] = ["10.96.0.0/16", "fd00:10:96::/112"];
/// The ranges of all pods, IPv4 and IPv6; each full node has a part of both.
pub const POD_RANGES: [&str; 2] = ["10.244.0.0/16", "fd00:10:244::/48"];
/// The router that the hosts' default routes name. Nobody answers there: a default route is only needed
/// for a host to take service addresses for reachable.
pub const GATEWAYS: [&str; 2] = ["192.168.1.1", "fd00:192:168:1::1"];

/// The host that [`crate::probe::ResolveProbe`] asks as; no such host exists.
pub(crate) const PROBE: ProbeIdentity = ProbeIdentity {
    mac: [0x02, 0xfb, 192, 168, 1, 4],
    v4: Ipv4Addr::new(192, 168, 1, 4),
    v6: Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, 0, 4),
};

/// Addresses of a host that is only pretended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProbeIdentity {
    pub(crate) mac: [u8; 6],
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

const MAX_FULL: u16 = 80;
/// Bare nodes that fit into 192.168.1.0/24 beside the others, and below the tutorial's pool.
const SMALL_BARE: u16 = 100;
const MAX_BARE: u16 = 1000;

/// What a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs etcd, the API server, the controller manager and the scheduler.
    ControlPlane,
    /// Knows the segment, and nothing of Kubernetes.
    Client,
    /// A node with containerd, kubelet and kube-proxy.
    Full,
    /// A Node object, kept Ready, and a network; its speaker is a process that a test starts.
    Bare,
}

/// A host and its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// Unique in the lab; for a node, the name of its Node object.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Counts the hosts of one role from 1.
    pub number: u16,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl HostPlan {
    fn new(name: impl Into<String>, role: Role, number: u16, third: u8, last: u8) -> Self {
        let v4 = Ipv4Addr::new(192, 168, third, last);
        // The decimal digits of the last octets are read as hexadecimal ones, so that both addresses look alike.
        let third = if third == 1 { 0 } else { digits(third) };
        let v6 = Ipv6Addr::new(0xfd00, 0x192, 0x168, 1, 0, 0, third, digits(last));
        Self { name: name.into(), role, number, v4, v6 }
    }

    /// The hardware address of its link: locally administered, and the IPv4 address in it.
    pub fn mac(&self) -> Mac {
        self.mac_of(0)
    }

    /// The hardware address of its link `eth<number>`, below 16.
    pub fn mac_of(&self, number: u8) -> Mac {
        let [a, b, c, d] = self.v4.octets();
        Mac([number << 4 | 2, 0xfb, a, b, c, d])
    }

    /// The parts of [`POD_RANGES`] of a full node.
    pub fn pod_ranges(&self) -> [String; 2] {
        [format!("10.244.{}.0/24", self.number), format!("fd00:10:244:{}::/64", self.number)]
    }

    /// Whether Kubernetes has a Node of this name.
    pub fn is_node(&self) -> bool {
        matches!(self.role, Role::Full | Role::Bare)
    }
}

fn digits(octet: u8) -> u16 {
    let octet = u16::from(octet);
    octet / 100 * 0x100 + octet / 10 % 10 * 0x10 + octet % 10
}

/// All hosts of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// IPv4 prefix length of the segment: 24, or 16 where more than 100 bare nodes need it.
    pub v4_prefix: u8,
    /// The control plane, the client, and the nodes.
    pub hosts: Vec<HostPlan>,
}

impl Plan {
    /// Lays out a segment; refuses more nodes than there are addresses.
    pub fn new(full: u16, bare: u16) -> Result<Self> {
        ensure!(full <= MAX_FULL, "{full} full nodes are too many: at most {MAX_FULL}");
        ensure!(bare <= MAX_BARE, "{bare} bare nodes are too many: at most {MAX_BARE}");
        let mut hosts = vec![
            HostPlan::new(CONTROL_PLANE, Role::ControlPlane, 1, 1, 2),
            HostPlan::new(CLIENT, Role::Client, 1, 1, 3),
        ];
        for n in 1..=full {
            hosts.push(HostPlan::new(format!("node-{n}"), Role::Full, n, 1, 10 + n as u8));
        }
        for n in 1..=bare {
            let (third, last) = if n <= SMALL_BARE {
                (1, 100 + n as u8)
            } else {
                let beyond = n - SMALL_BARE - 1;
                (2 + (beyond / 250) as u8, 1 + (beyond % 250) as u8)
            };
            hosts.push(HostPlan::new(format!("bare-{n}"), Role::Bare, n, third, last));
        }
        Ok(Self { v4_prefix: if bare <= SMALL_BARE { 24 } else { 16 }, hosts })
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&HostPlan> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The hosts that are nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &HostPlan> {
        self.hosts.iter().filter(|host| host.is_node())
    }

    /// The hosts of one role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &HostPlan> {
        self.hosts.iter().filter(move |host| host.role == role)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_small_lab_leaves_the_tutorials_pool_free() {
        let plan = Plan::new(3, 100).unwrap();
        assert_eq!(plan.v4_prefix, 24);
        for host in &plan.hosts {
            let [a, b, c, last] = host.v4.octets();
            assert_eq!([a, b, c], [192, 168, 1], "{}", host.name);
            assert!((2..240).contains(&last), "{} at {}", host.name, host.v4);
        }
    }

    #[test]
    fn both_addresses_of_a_host_look_alike() {
        let plan = Plan::new(3, 101).unwrap();
        let v6 = |name: &str| plan.host(name).unwrap().v6.to_string();
        assert_eq!(plan.host("node-1").unwrap().v4, Ipv4Addr::new(192, 168, 1, 11));
        assert_eq!(v6("node-1"), "fd00:192:168:1::11");
        assert_eq!(v6("bare-100"), "fd00:192:168:1::200");
        assert_eq!(v6("bare-101"), "fd00:192:168:1::2:1");
    }

    #[test]
    fn the_largest_lab_has_no_address_twice() {
        let plan = Plan::new(MAX_FULL, MAX_BARE).unwrap();
        let distinct = |values: Vec<String>| values.iter().collect::<BTreeSet<_>>().len();
        assert_eq!(plan.v4_prefix, 16);
        assert_eq!(distinct(plan.hosts.iter().map(|h| h.v4.to_string()).collect()), plan.hosts.len());
        assert_eq!(distinct(plan.hosts.iter().map(|h| h.v6.to_string()).collect()), plan.hosts.len());
        assert_eq!(distinct(plan.hosts.iter().map(|h| h.mac().to_string()).collect()), plan.hosts.len());
    }

    #[test]
    fn more_nodes_than_addresses_are_refused() {
        assert!(Plan::new(MAX_FULL + 1, 0).is_err());
        assert!(Plan::new(0, MAX_BARE + 1).is_err());
    }
}
