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
pub type Reports = Option<Arc<ServiceReports>>;

/// What the node does for each Service for whose addresses it does something. What did not change is shared with the
/// reports of before.
pub type ServiceReports = BTreeMap<ServiceName, Arc<ServiceReport>>;

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

    /// The reports on all Services for whose addresses the node does something, after those of before.
    pub fn reports(&self, desired: &Desired, before: Option<&ServiceReports>) -> ServiceReports {
        let holdings = self.addresses.iter().flat_map(|(&(address, _), holding)| {
            let services = desired.get(&address).into_iter().flat_map(|wanted| wanted.services.iter());
            services.map(move |service| (service, address, holding))
        });
        let mut holdings: Vec<(&ServiceName, IpAddr, &Holding)> = holdings.collect();
        // The addresses of each Service stay in their order.
        holdings.sort_by_key(|(service, ..)| *service);
        let of_service = |holdings: &[(&ServiceName, IpAddr, &Holding)]| {
            let &(service, ..) = holdings.first()?;
            let report =
                ServiceReport::new(holdings.iter().map(|(_, address, holding)| (*address, *holding)))?;
            let known = before.and_then(|before| before.get(service)).filter(|known| ***known == report);
            Some((service.clone(), known.cloned().unwrap_or_else(|| Arc::new(report))))
        };
        holdings.chunk_by(|one, next| one.0 == next.0).filter_map(of_service).collect()
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

impl ServiceReport {
    /// What the node does for a Service with these addresses, in ascending order, each once for each link.
    fn new<'a>(holdings: impl Iterator<Item = (IpAddr, &'a Holding)> + Clone) -> Option<Self> {
        let roles = holdings.clone().filter_map(|(_, holding)| holding.role());
        let (role, since, reason) = roles.max_by_key(|(role, since, _)| (weight(*role), *since))?;
        let mut report = Self {
            role,
            ips: Vec::with_capacity(1),
            interfaces: Vec::with_capacity(1),
            reason,
            since,
            findings: BTreeMap::new(),
        };
        for (address, holding) in holdings {
            for (finding, since) in &holding.findings {
                let (ips, latest) =
                    report.findings.entry(finding.clone()).or_insert_with(|| (Vec::new(), *since));
                if ips.last() != Some(&address) {
                    ips.push(address);
                }
                *latest = (*latest).max(*since);
            }
            if holding.role().is_none_or(|(role, ..)| role != report.role) {
                continue;
            }
            if report.ips.last() != Some(&address) {
                report.ips.push(address);
            }
            if let Err(place) = report.interfaces.binary_search(&holding.interface) {
                report.interfaces.insert(place, holding.interface.clone());
            }
        }
        Some(report)
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
        let reports = owned.reports(&desired, None);
        assert_eq!(
            *reports[&name("web")],
            ServiceReport {
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
    fn a_report_that_did_not_change_is_in_memory_once() {
        let mut owned = Owned::default();
        let (a, b): (IpAddr, IpAddr) = ("192.168.1.240".parse().unwrap(), "192.168.1.241".parse().unwrap());
        let desired = desired([(a, &["a"][..]), (b, &["b"])]);
        owned.apply(&announcing(a, 2), at(1));
        owned.apply(&announcing(b, 2), at(1));
        let before = owned.reports(&desired, None);
        owned.apply(&announcing(b, 3), at(2));
        let after = owned.reports(&desired, Some(&before));
        let is_shared = |service| Arc::ptr_eq(&before[&name(service)], &after[&name(service)]);
        assert_eq!((is_shared("a"), is_shared("b")), (true, false));
        assert_eq!(after, owned.reports(&desired, None));
    }

    #[test]
    fn what_is_withdrawn_or_has_no_service_any_more_is_not_reported() {
        let mut owned = Owned::default();
        let v4: IpAddr = "192.168.1.240".parse().unwrap();
        owned.apply(&announcing(v4, 2), at(1));
        assert!(owned.reports(&Desired::new(), None).is_empty());
        let withdrawn = Event { change: Change::Withdrawn(LossCause::NotAdvertised), ..announcing(v4, 2) };
        owned.apply(&withdrawn, at(2));
        assert!(owned.reports(&desired([(v4, &["web"][..])]), None).is_empty());
    }

    #[test]
    fn who_covers_for_one_address_of_a_service_and_owns_another_reports_what_it_owns() {
        let mut owned = Owned::default();
        let (v4, v6): (IpAddr, IpAddr) = ("192.168.1.240".parse().unwrap(), "fd00::240".parse().unwrap());
        let desired = desired([(v4, &["web"][..]), (v6, &["web"])]);
        owned.apply(
            &Event { change: Change::Covering { owner: "node-2".into() }, ..announcing(v4, 2) },
            at(1),
        );
        let covering = owned.reports(&desired, None)[&name("web")].clone();
        assert_eq!(
            (covering.role, covering.reason, &*covering.ips),
            (Role::Covering, "SpeakerSilent", &[v4][..])
        );
        owned.apply(&announcing(v6, 2), at(2));
        assert_eq!(owned.reports(&desired, None)[&name("web")].role, Role::Owner);
        owned.apply(&Event { change: Change::Uncovered, ..announcing(v4, 2) }, at(3));
        assert_eq!(owned.reports(&desired, None)[&name("web")].ips, [v6]);
        assert_eq!(owned.count(), 1);
    }

    #[test]
    fn an_address_that_a_stranger_has_is_reported_as_a_conflict() {
        let mut owned = Owned::default();
        let (v4, v6): (IpAddr, IpAddr) = ("192.168.1.240".parse().unwrap(), "fd00::240".parse().unwrap());
        let desired = desired([(v4, &["web"][..]), (v6, &["web"])]);
        let conflict = Finding::AddressConflict { mac: Mac([2, 0, 0, 0, 0, 9]) };
        let change = |change: Change| Event { change, ..announcing(v4, 2) };
        owned.apply(&change(Change::Found(conflict.clone())), at(1));
        let blocked = owned.reports(&desired, None)[&name("web")].clone();
        assert_eq!(
            (blocked.role, blocked.reason, &*blocked.ips),
            (Role::Blocked, "AddressConflict", &[v4][..])
        );
        assert_eq!(blocked.findings[&conflict], (vec![v4], at(1)));
        owned.apply(&announcing(v6, 2), at(2));
        let owner = owned.reports(&desired, None)[&name("web")].clone();
        assert_eq!((owner.role, &*owner.ips, owned.count()), (Role::Owner, &[v6][..], 1));
        assert_eq!(owner.findings[&conflict], (vec![v4], at(1)));
        owned.apply(&change(Change::Over(conflict)), at(3));
        assert!(owned.reports(&desired, None)[&name("web")].findings.is_empty());
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
        let report = owned.reports(&desired, None)[&name("web")].clone();
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
        ServiceName::new("default", service)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
