//! For which addresses the kernel answers, and where. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::finding::Finding;
use crate::link::LinkId;
use crate::ownership::{Desired, DesiredAddress, ServiceName};

/// The addresses of this node, and the interfaces that have them.
pub type Local = BTreeMap<IpAddr, Vec<Holder>>;

/// An interface that has an address; whether it is up makes no difference to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The interface.
    pub link: LinkId,
    /// Its name.
    pub interface: Arc<str>,
    /// The address is there with scope `host`.
    pub is_host_scope: bool,
}

/// An interface that may announce, and on which the kernel hears questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The interface.
    pub link: LinkId,
    /// Its name.
    pub interface: Arc<str>,
    /// What `arp_ignore` is there: the larger of `conf/all` and the interface's own.
    pub arp_ignore: i32,
}

/// What the kernel answers for: an address, and the interface that hears the question.
pub type Answers = BTreeMap<(IpAddr, LinkId), Answer>;

/// That the kernel answers for an address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name of the interface that hears the question.
    pub interface: Arc<str>,
    /// The Services that have the address.
    pub services: Arc<[ServiceName]>,
    /// What is to be told of it.
    pub finding: Finding,
}

/// The desired addresses for which the kernel answers on interfaces that may announce them.
pub fn answers(local: &Local, listeners: &[Listener], desired: &Desired) -> Answers {
    let mut answers = Answers::new();
    for (&address, holders) in local {
        let Some(wanted) = desired.get(&address) else { continue };
        for listener in listeners.iter().filter(|listener| concerns(wanted, listener)) {
            let answering = holders.iter().filter(|holder| listener.answers_for(address, holder));
            // The interface itself comes first: it answers whatever is set elsewhere.
            let Some(holder) = answering.min_by_key(|holder| (holder.link != listener.link, holder.link))
            else {
                continue;
            };
            let finding = Finding::StrictArpRequired {
                interface: holder.interface.clone(),
                is_announcing: holder.link == listener.link,
            };
            let answer =
                Answer { interface: listener.interface.clone(), services: wanted.services.clone(), finding };
            answers.insert((address, listener.link), answer);
        }
    }
    answers
}

/// Whether the address may be announced there. A node that is no candidate for it names no interfaces; whoever is one
/// may then be on any of its segments.
fn concerns(wanted: &DesiredAddress, listener: &Listener) -> bool {
    wanted.excluded.is_some() || wanted.interfaces.matches(&listener.interface)
}

impl Listener {
    /// Whether the kernel answers here for an address of an interface: `arp_ignore()` of net/ipv4/arp.c, and
    /// `ndisc_recv_ns()` of net/ipv6/ndisc.c, which knows the addresses of this interface alone.
    fn answers_for(&self, address: IpAddr, holder: &Holder) -> bool {
        let is_here = holder.link == self.link;
        match (address, self.arp_ignore) {
            (IpAddr::V6(_), _) => is_here,
            // With 2, only to askers within the address's prefix, and to probes.
            (IpAddr::V4(_), 1 | 2) => is_here,
            (IpAddr::V4(_), 3) => !holder.is_host_scope,
            (IpAddr::V4(_), 8) => false,
            // Other values are reserved, and count as 0.
            (IpAddr::V4(_), _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_placement::{Exclusion, InterfaceFilter};

    use super::*;

    const VIP: &str = "192.168.1.240";
    const VIP6: &str = "fd00::240";
    const LO: (u32, &str) = (1, "lo");
    const ETH0: (u32, &str) = (2, "eth0");
    const ETH1: (u32, &str) = (3, "eth1");
    const IPVS: (u32, &str) = (4, "kube-ipvs0");

    #[test]
    fn arp_ignore_says_whether_the_kernel_answers_for_addresses_of_other_interfaces() {
        let elsewhere = "kube-ipvs0 for eth0, kube-ipvs0 for eth1";
        for (arp_ignore, on_other, on_other_of_host_scope, on_eth0) in [
            (0, elsewhere, elsewhere, "eth0 for eth0, eth0 for eth1"),
            (1, "", "", "eth0 for eth0"),
            (2, "", "", "eth0 for eth0"),
            (3, elsewhere, "", "eth0 for eth0, eth0 for eth1"),
            (4, elsewhere, elsewhere, "eth0 for eth0, eth0 for eth1"),
            (7, elsewhere, elsewhere, "eth0 for eth0, eth0 for eth1"),
            (8, "", "", ""),
            (9, elsewhere, elsewhere, "eth0 for eth0, eth0 for eth1"),
        ] {
            let listeners = [listener(ETH0, arp_ignore), listener(ETH1, arp_ignore)];
            let told = |holder| found(&local(VIP, [holder]), &listeners, &desired(VIP, wanted()));
            assert_eq!(told(holder(IPVS)), on_other, "{arp_ignore}");
            let host_scope = Holder { is_host_scope: true, ..holder(IPVS) };
            assert_eq!(told(host_scope), on_other_of_host_scope, "{arp_ignore}, scope host");
            assert_eq!(told(holder(ETH0)), on_eth0, "{arp_ignore}, on eth0");
        }
    }

    #[test]
    fn each_interface_has_a_setting_of_its_own() {
        let listeners = [listener(ETH0, 1), listener(ETH1, 0)];
        assert_eq!(found(&local(VIP, [holder(LO)]), &listeners, &desired(VIP, wanted())), "lo for eth1");
    }

    #[test]
    fn the_interface_that_hears_the_question_is_named_before_others_that_have_the_address() {
        let listeners = [listener(ETH0, 0), listener(ETH1, 0)];
        let local = local(VIP, [holder(IPVS), holder(ETH1), holder(LO)]);
        assert_eq!(found(&local, &listeners, &desired(VIP, wanted())), "lo for eth0, eth1 for eth1");
        let answers = answers(&local, &listeners, &desired(VIP, wanted()));
        let announcing = answers.values().map(|answer| {
            let Finding::StrictArpRequired { is_announcing, .. } = answer.finding else { unreachable!() };
            is_announcing
        });
        assert_eq!(announcing.collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn only_desired_addresses_on_interfaces_that_may_announce_them_matter() {
        let listeners = [listener(ETH0, 0), listener(ETH1, 0)];
        let local = local(VIP, [holder(LO)]);
        assert_eq!(found(&local, &listeners, &desired("192.168.1.241", wanted())), "");
        let on_eth1 = InterfaceFilter::from_patterns(&["eth1".to_owned()]);
        let narrow = DesiredAddress { interfaces: on_eth1, ..wanted() };
        assert_eq!(found(&local, &listeners, &desired(VIP, narrow)), "lo for eth1");
        // The kernel answers beside the owner all the same.
        let excluded = DesiredAddress {
            interfaces: InterfaceFilter::none(),
            excluded: Some(Exclusion::NoLocalEndpoint),
            ..wanted()
        };
        assert_eq!(found(&local, &listeners, &desired(VIP, excluded)), "lo for eth0, lo for eth1");
    }

    #[test]
    fn neighbour_solicitations_are_answered_for_the_interface_s_own_addresses_only() {
        for arp_ignore in [0, 8] {
            let listeners = [listener(ETH0, arp_ignore), listener(ETH1, arp_ignore)];
            for (holder, expected) in [(holder(IPVS), ""), (holder(ETH0), "eth0 for eth0")] {
                let told = found(&local(VIP6, [holder]), &listeners, &desired(VIP6, wanted()));
                assert_eq!(told, expected, "{arp_ignore}");
            }
        }
    }

    /// Which interface's address is answered for where.
    fn found(local: &Local, listeners: &[Listener], desired: &Desired) -> String {
        let answers = answers(local, listeners, desired);
        let texts = answers.values().map(|answer| {
            let Finding::StrictArpRequired { interface, .. } = &answer.finding else { unreachable!() };
            format!("{interface} for {}", answer.interface)
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    fn local<const N: usize>(address: &str, holders: [Holder; N]) -> Local {
        Local::from([(address.parse().unwrap(), holders.into())])
    }

    fn holder((link, interface): (u32, &str)) -> Holder {
        Holder { link: LinkId(link), interface: interface.into(), is_host_scope: false }
    }

    fn listener((link, interface): (u32, &str), arp_ignore: i32) -> Listener {
        Listener { link: LinkId(link), interface: interface.into(), arp_ignore }
    }

    fn desired(address: &str, wanted: DesiredAddress) -> Desired {
        Desired::from([(address.parse().unwrap(), wanted)])
    }

    fn wanted() -> DesiredAddress {
        DesiredAddress {
            services: [].into(),
            interfaces: InterfaceFilter::All,
            candidates: [].into(),
            excluded: None,
            first_address: VIP.parse().unwrap(),
        }
    }
}
