//! What the node reports about Services: what it does for their addresses, seen from the Services that have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_crds::Role;
use k8s_openapi::jiff::Timestamp;

use crate::finding::Finding;
use crate::link::LinkId;
use crate::ownership::{Change, Desired, Event, ServiceName};

/// What the node does for Services; `None` while it has not decided yet after its start.
pub type Reports = Option<Arc<BTreeMap<Arc<ServiceName>, ServiceReport>>>;

/// What the node does for addresses, kept from the machine's events.
#[derive(Debug, Default)]
pub struct Owned {
    addresses: BTreeMap<(IpAddr, LinkId), Holding>,
    /// Names of interfaces, each once in memory.
    interfaces: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Holding {
    /// What the node does, since when and why.
    part: Option<(Role, Timestamp, &'static str)>,
    interface: Arc<str>,
    /// What is wrong with who answers, and since when.
    findings: Vec<(Finding, Timestamp)>,
}

/// What the node does for one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// The Service's UID, if it is known.
    pub uid: Option<Arc<str>>,
    /// What the node does; of several things for several addresses, the first of owning, covering, being blocked, and
    /// watching.
    pub role: Role,
    /// The addresses for which it does that, ascending.
    pub ips: Vec<IpAddr>,
    /// The interfaces on which it does, in the order of their names.
    pub interfaces: Vec<Arc<str>>,
    /// Why: the cause that came last.
    pub reason: &'static str,
    /// Since when: the latest of the changes.
    pub since: Timestamp,
    /// What is wrong with who answers for which addresses, and since when.
    pub findings: BTreeMap<Finding, (Vec<IpAddr>, Timestamp)>,
}

impl Holding {
    /// What is reported for the address; a node that does nothing for it reports that it is kept from it, or what it saw.
    fn role(&self) -> Option<(Role, Timestamp, &'static str)> {
        let found = || {
            let blocked = self.findings.iter().find(|(finding, _)| finding.is_conflict());
            let (finding, since) = blocked.or(self.findings.first())?;
            Some((
                if finding.is_conflict() { Role::Blocked } else { Role::Watching },
                *since,
                finding.condition(),
            ))
        };
        self.part.or_else(found)
    }
}

impl Owned {
    /// Takes up an event that happened at `at`.
    pub fn apply(&mut self, event: &Event, at: Timestamp) {
        let key = (event.address, event.link);
        let interface = self.interface(&event.interface);
        let holding = self.addresses.entry(key).or_insert(Holding {
            part: None,
            interface: interface.clone(),
            findings: Vec::new(),
        });
        match &event.change {
            Change::Announcing { cause, .. } => holding.part = Some((Role::Owner, at, cause.reason())),
            Change::Covering { .. } => holding.part = Some((Role::Covering, at, "SpeakerSilent")),
            Change::Withdrawn(_) | Change::Uncovered => holding.part = None,
            Change::Found(finding) => holding.findings.push((finding.clone(), at)),
            Change::Over(finding) => holding.findings.retain(|(found, _)| found != finding),
        }
        holding.interface = interface;
        if holding.role().is_none() {
            self.addresses.remove(&key);
        }
    }

    /// How many addresses the node owns.
    pub fn count(&self) -> usize {
        let owned = self.addresses.iter().filter(|(_, it)| matches!(it.part, Some((Role::Owner, ..))));
        let mut last = None;
        // Each address comes once for each link.
        owned.filter(|((address, _), _)| last.replace(*address) != Some(*address)).count()
    }

    /// The reports on all Services for whose addresses the node does something. `known` gives a Service's name as it is
    /// in memory already, and its UID.
    pub fn reports(
        &self,
        desired: &Desired,
        known: impl Fn(&ServiceName) -> Option<(Arc<ServiceName>, Arc<str>)>,
    ) -> BTreeMap<Arc<ServiceName>, ServiceReport> {
        let mut reports: BTreeMap<Arc<ServiceName>, ServiceReport> = BTreeMap::new();
        for ((address, _), holding) in &self.addresses {
            let Some((role, since, reason)) = holding.role() else { continue };
            let services = desired.get(address).into_iter().flat_map(|wanted| wanted.services.iter());
            for name in services {
                let (service, uid) = known(name).unzip();
                let service = service.unwrap_or_else(|| Arc::new(name.clone()));
                let report = reports.entry(service).or_insert_with(|| ServiceReport {
                    uid,
                    role,
                    ips: Vec::with_capacity(1),
                    interfaces: Vec::with_capacity(1),
                    reason,
                    since,
                    findings: BTreeMap::new(),
                });
                for (finding, since) in &holding.findings {
                    let (ips, latest) =
                        report.findings.entry(finding.clone()).or_insert_with(|| (Vec::new(), *since));
                    if ips.last() != Some(address) {
                        ips.push(*address);
                    }
                    *latest = (*latest).max(*since);
                }
                if weight(role) > weight(report.role) {
                    report.ips.clear();
                    report.interfaces.clear();
                    (report.role, report.reason, report.since) = (role, reason, since);
                }
                if role != report.role {
                    continue;
                }
                // Each address comes once for each link.
                if report.ips.last() != Some(address) {
                    report.ips.push(*address);
                }
                if let Err(place) = report.interfaces.binary_search(&holding.interface) {
                    report.interfaces.insert(place, holding.interface.clone());
                }
                if since > report.since {
                    (report.since, report.reason) = (since, reason);
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

fn weight(role: Role) -> u8 {
    match role {
        Role::Owner => 3,
        Role::Covering => 2,
        Role::Blocked => 1,
        Role::Watching => 0,
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_placement::InterfaceFilter;

    use super::*;
    use crate::ownership::{DesiredAddress, GainCause, LossCause};
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
                role: Role::Owner,
                ips: [v4, v6].into(),
                interfaces: ["eth2".into(), "eth3".into()].into(),
                reason: "Unclaimed",
                since: at(3),
                findings: BTreeMap::new(),
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
        let withdrawn = Event { change: Change::Withdrawn(LossCause::NotAdvertised), ..announcing(v4, 2) };
        owned.apply(&withdrawn, at(2));
        assert!(owned.reports(&desired([(v4, &["web"][..])]), |_| None).is_empty());
    }

    #[test]
    fn an_address_that_a_stranger_has_is_reported_as_a_conflict() {
        let mut owned = Owned::default();
        let (v4, v6): (IpAddr, IpAddr) = ("192.168.1.240".parse().unwrap(), "fd00::240".parse().unwrap());
        let desired = desired([(v4, &["web"][..]), (v6, &["web"])]);
        let conflict = Finding::AddressConflict { mac: Mac([2, 0, 0, 0, 0, 9]) };
        let change = |change: Change| Event { change, ..announcing(v4, 2) };
        owned.apply(&change(Change::Found(conflict.clone())), at(1));
        let blocked = owned.reports(&desired, |_| None)[&name("web")].clone();
        assert_eq!(
            (blocked.role, blocked.reason, blocked.ips),
            (Role::Blocked, "AddressConflict", [v4].into())
        );
        assert_eq!(blocked.findings[&conflict], (vec![v4], at(1)));
        owned.apply(&announcing(v6, 2), at(2));
        let owner = owned.reports(&desired, |_| None)[&name("web")].clone();
        assert_eq!((owner.role, owner.ips, owned.count()), (Role::Owner, [v6].into(), 1));
        assert_eq!(owner.findings[&conflict], (vec![v4], at(1)));
        owned.apply(&change(Change::Over(conflict)), at(3));
        assert!(owned.reports(&desired, |_| None)[&name("web")].findings.is_empty());
    }

    #[test]
    fn who_only_saw_that_something_is_wrong_reports_that_it_watches() {
        let mut owned = Owned::default();
        let (v4, v6): (IpAddr, IpAddr) = ("192.168.1.240".parse().unwrap(), "fd00::240".parse().unwrap());
        let desired = desired([(v4, &["web"][..]), (v6, &["web"])]);
        let wrong = Finding::WrongAnswer { owner: "node-2".into(), mac: None };
        for (address, link, second) in [(v4, 2, 1), (v4, 3, 2), (v6, 2, 3)] {
            let change = Change::Found(wrong.clone());
            owned.apply(&Event { change, ..announcing(address, link) }, at(second));
        }
        let report = owned.reports(&desired, |_| None)[&name("web")].clone();
        assert_eq!((report.role, report.reason, report.since), (Role::Watching, "WrongAnswer", at(3)));
        assert_eq!(report.findings[&wrong], (vec![v4, v6], at(3)));
        assert_eq!(owned.count(), 0);
    }

    fn announcing(address: IpAddr, link: u32) -> Event {
        Event {
            address,
            link: LinkId(link),
            interface: format!("eth{link}").into(),
            services: [].into(),
            change: Change::Announcing {
                mac: Mac([2, 0, 0, 0, 0, 1]),
                cause: GainCause::Unclaimed,
                silence: None,
            },
        }
    }

    fn desired<'a>(addresses: impl IntoIterator<Item = (IpAddr, &'a [&'a str])>) -> Desired {
        let wanted = |services: &[&str]| DesiredAddress {
            services: services.iter().copied().map(name).collect::<Arc<[_]>>(),
            interfaces: InterfaceFilter::All,
            candidates: [].into(),
            excluded: None,
            first_address: "192.168.1.240".parse().unwrap(),
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
