//! What the node reports about Services: the owned addresses, seen from the Services that have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::link::LinkId;
use crate::ownership::{Desired, Event, ServiceName};

/// What the node does for Services; `None` while it has not decided yet after its start.
pub type Reports = Option<Arc<BTreeMap<Arc<ServiceName>, ServiceReport>>>;

/// What the node owns, kept from the machine's events.
#[derive(Debug, Default)]
pub struct Owned {
    addresses: BTreeMap<(IpAddr, LinkId), Holding>,
    /// Names of interfaces, each once in memory.
    interfaces: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Holding {
    interface: Arc<str>,
    reason: &'static str,
    since: Timestamp,
}

/// What the node owns of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// The Service's UID, if it is known.
    pub uid: Option<Arc<str>>,
    /// The owned addresses, ascending.
    pub ips: Vec<IpAddr>,
    /// The interfaces on which they are announced, in the order of their names.
    pub interfaces: Vec<Arc<str>>,
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
                let interface = self.interface(interface);
                let holding = Holding { interface, reason: cause.reason(), since: at };
                self.addresses.insert((*address, *link), holding);
            }
            Event::Withdrawn { address, link, .. } => {
                self.addresses.remove(&(*address, *link));
            }
        }
    }

    /// The reports on all Services of which the node owns an address. `known` gives a Service's name as it is in memory
    /// already, and its UID.
    pub fn reports(
        &self,
        desired: &Desired,
        known: impl Fn(&ServiceName) -> Option<(Arc<ServiceName>, Arc<str>)>,
    ) -> BTreeMap<Arc<ServiceName>, ServiceReport> {
        let mut reports: BTreeMap<Arc<ServiceName>, ServiceReport> = BTreeMap::new();
        for ((address, _), holding) in &self.addresses {
            let services = desired.get(address).into_iter().flat_map(|wanted| wanted.services.iter());
            for name in services {
                let (service, uid) = known(name).unzip();
                let service = service.unwrap_or_else(|| Arc::new(name.clone()));
                let report = reports.entry(service).or_insert_with(|| ServiceReport {
                    uid,
                    ips: Vec::with_capacity(1),
                    interfaces: Vec::with_capacity(1),
                    reason: holding.reason,
                    since: holding.since,
                });
                // Each address comes once for each link.
                if report.ips.last() != Some(address) {
                    report.ips.push(*address);
                }
                if let Err(place) = report.interfaces.binary_search(&holding.interface) {
                    report.interfaces.insert(place, holding.interface.clone());
                }
                if holding.since > report.since {
                    (report.since, report.reason) = (holding.since, holding.reason);
                }
            }
        }
        reports
    }

    fn interface(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.interfaces.get(name) {
            return known.clone();
        }
        self.interfaces.retain(|name| Arc::strong_count(name) > 1);
        let name = Arc::<str>::from(name);
        self.interfaces.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
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
        let uid = Arc::<str>::from("uid-web");
        let known =
            |service: &ServiceName| (service.name == "web").then(|| (Arc::new(name("web")), uid.clone()));
        let reports = owned.reports(&desired, known);
        assert_eq!(
            reports[&name("web")],
            ServiceReport {
                uid: Some(uid.clone()),
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
        assert!(owned.reports(&Desired::new(), |_| None).is_empty());
        let withdrawn = Event::Withdrawn {
            address: v4,
            link: LinkId(2),
            interface: "eth2".into(),
            services: [].into(),
            cause: LossCause::NotAdvertised,
        };
        owned.apply(&withdrawn, at(2));
        assert!(owned.reports(&desired([(v4, &["web"][..])]), |_| None).is_empty());
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
