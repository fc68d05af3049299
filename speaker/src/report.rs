//! What the node reports about Services: the owned addresses, seen from the Services that have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;

use crate::link::LinkId;
use crate::ownership::{Desired, Event, ServiceName};

/// What the node owns, kept from the machine's events.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    addresses: BTreeMap<(IpAddr, LinkId), Holding>,
}

#[derive(Clone, Debug)]
struct Holding {
    interface: String,
    reason: &'static str,
    since: Timestamp,
}

/// What the node owns of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// The owned addresses.
    pub ips: BTreeSet<IpAddr>,
    /// The interfaces on which they are announced.
    pub interfaces: BTreeSet<String>,
    /// Why the node owns them: the cause that came last.
    pub reason: &'static str,
    /// Since when: the latest of the changes.
    pub since: Timestamp,
}

impl Owned {
    /// Takes up an event that happened at `at`.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Announcing { address, link, interface, cause, .. } => {
                let holding = Holding { interface: interface.clone(), reason: cause.reason(), since: at };
                self.addresses.insert((*address, *link), holding);
            }
            Event::Withdrawn { address, link, .. } => {
                self.addresses.remove(&(*address, *link));
            }
        }
    }

    /// The reports on all Services of which the node owns an address.
    pub fn reports(&self, desired: &Desired) -> BTreeMap<ServiceName, ServiceReport> {
        let mut reports: BTreeMap<ServiceName, ServiceReport> = BTreeMap::new();
        for ((address, _), holding) in &self.addresses {
            let services = desired.get(address).into_iter().flat_map(|wanted| wanted.services.iter());
            for service in services {
                let report = reports.entry(service.clone()).or_insert_with(|| ServiceReport {
                    ips: BTreeSet::new(),
                    interfaces: BTreeSet::new(),
                    reason: holding.reason,
                    since: holding.since,
                });
                report.ips.insert(*address);
                report.interfaces.insert(holding.interface.clone());
                if holding.since > report.since {
                    (report.since, report.reason) = (holding.since, holding.reason);
                }
            }
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferrolb_placement::InterfaceFilter;

    use super::*;
    use crate::ownership::{DesiredAddress, GainCause, LossCause, Standing};
    use crate::wire::Mac;

    #[test]
    fn a_service_is_reported_with_its_addresses_and_interfaces() {
        let mut owned = Owned::default();
        let (v4, v6): (IpAddr, IpAddr) = ("192.168.1.240".parse().unwrap(), "fd00::240".parse().unwrap());
        let desired = desired([(v4, &["web", "shared"][..]), (v6, &["web"])]);
        owned.apply(&announcing(v4, 2), at(1));
        owned.apply(&announcing(v4, 3), at(2));
        owned.apply(&announcing(v6, 2), at(3));
        let reports = owned.reports(&desired);
        assert_eq!(
            reports[&name("web")],
            ServiceReport {
                ips: [v4, v6].into(),
                interfaces: ["eth2".into(), "eth3".into()].into(),
                reason: "BestCandidate",
                since: at(3),
            }
        );
        assert_eq!((reports[&name("shared")].ips.len(), reports[&name("shared")].since), (1, at(2)));
    }

    #[test]
    fn what_is_withdrawn_or_has_no_service_any_more_is_not_reported() {
        let mut owned = Owned::default();
        let v4: IpAddr = "192.168.1.240".parse().unwrap();
        owned.apply(&announcing(v4, 2), at(1));
        assert!(owned.reports(&Desired::new()).is_empty());
        let withdrawn = Event::Withdrawn {
            address: v4,
            link: LinkId(2),
            interface: "eth2".into(),
            services: [].into(),
            cause: LossCause::NotAdvertised,
        };
        owned.apply(&withdrawn, at(2));
        assert!(owned.reports(&desired([(v4, &["web"][..])])).is_empty());
    }

    fn announcing(address: IpAddr, link: u32) -> Event {
        Event::Announcing {
            address,
            link: LinkId(link),
            interface: format!("eth{link}"),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            services: [].into(),
            cause: GainCause::BestCandidate,
        }
    }

    fn desired<'a>(addresses: impl IntoIterator<Item = (IpAddr, &'a [&'a str])>) -> Desired {
        let wanted = |services: &[&str]| DesiredAddress {
            services: services.iter().copied().map(name).collect::<Arc<[_]>>(),
            interfaces: InterfaceFilter::All,
            standing: Standing::First,
        };
        addresses.into_iter().map(|(address, services)| (address, wanted(services))).collect()
    }

    fn name(service: &str) -> ServiceName {
        ServiceName { namespace: "default".into(), name: service.into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
