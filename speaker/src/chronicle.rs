//! What Events tell about Services: where their addresses went, and why.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ferrolb_runtime::events::News;

use crate::finding::{Finding, list};
use crate::ownership::{Change, Event, GainCause, HandOver, LossCause, ServiceName};

/// What happened to Services since it was told last, kept from the machine's events. What one Service's addresses have
/// in common is told in one Event.
#[derive(Debug)]
pub struct Chronicle {
    node: String,
    /// Addresses that this node owns by the reports of its last process: that they are resumed changes nothing.
    reported: HashSet<IpAddr>,
    untold: BTreeMap<(ServiceName, Story), Places>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Story {
    Announcing,
    TookOver { from: Arc<str>, because: &'static str },
    HandedOver { to: Arc<str>, because: String },
    Found(Finding),
}

#[derive(Debug, Default)]
struct Places {
    addresses: BTreeSet<IpAddr>,
    interfaces: BTreeSet<Arc<str>>,
}

impl Chronicle {
    /// What a node has to tell: nothing yet.
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), reported: HashSet::new(), untold: BTreeMap::new() }
    }

    /// Says what the node owns by the reports of its last process. To be called before the first event.
    pub fn set_reported(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.reported = addresses.into_iter().collect();
    }

    /// Takes up an event.
    pub fn apply(&mut self, event: &Event) {
        let story = match &event.change {
            Change::Announcing { cause, .. } => self.gained(event.address, cause),
            Change::Withdrawn(cause) => {
                self.reported.remove(&event.address);
                self.lost(cause)
            }
            Change::Found(finding) => Some(Story::Found(finding.clone())),
            Change::Covering { .. } | Change::Uncovered | Change::Over(_) => None,
        };
        let Some(story) = story else { return };
        for service in event.services.iter() {
            let places = self.untold.entry((service.clone(), story.clone())).or_default();
            places.addresses.insert(event.address);
            places.interfaces.insert(event.interface.clone());
        }
    }

    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        self.untold.is_empty()
    }

    /// Tells what happened since the last time. `uid` gives a Service's UID, if it is known.
    pub fn tell(&mut self, uid: impl Fn(&ServiceName) -> Option<Arc<str>>) -> Vec<News> {
        let untold = std::mem::take(&mut self.untold);
        let news = untold.into_iter().map(|((service, story), places)| {
            let uid = uid(&service).as_deref().map(str::to_owned);
            let (reason, action, note) = story.words(&self.node, &places);
            let is_warning = matches!(story, Story::Found(_));
            News {
                namespace: service.namespace().to_owned(),
                service: service.name().to_owned(),
                uid,
                reason,
                action,
                note,
                is_warning,
            }
        });
        news.collect()
    }

    fn gained(&self, address: IpAddr, cause: &GainCause) -> Option<Story> {
        let took = |from: &Arc<str>, because| Some(Story::TookOver { from: from.clone(), because });
        match cause {
            GainCause::Resumed if self.reported.contains(&address) => None,
            GainCause::Unclaimed | GainCause::Resumed => Some(Story::Announcing),
            GainCause::NodeSilent(from) => took(from, "that node does not answer any more"),
            GainCause::LeaseEnded(from) => took(from, "the Lease of that node has ended"),
            GainCause::OwnerExcluded(from) => {
                took(from, "the speaker of that node does not answer, and the node may not announce any more")
            }
            GainCause::HandedOver(from) => took(from, "that node handed over"),
        }
    }

    fn lost(&self, cause: &LossCause) -> Option<Story> {
        let LossCause::HandedOver { to, because } = cause else { return None };
        let because = match because {
            HandOver::NoCandidate(reason) => format!("{} may not announce any more: {reason}", self.node),
            HandOver::Preference | HandOver::BetterCandidate | HandOver::Leaving => because.to_string(),
        };
        Some(Story::HandedOver { to: to.clone(), because })
    }
}

impl Story {
    /// The Event's reason, action and note.
    fn words(&self, node: &str, places: &Places) -> (&'static str, &'static str, String) {
        let (ips, interfaces) = (list(&places.addresses), list(&places.interfaces));
        match self {
            Self::Announcing => {
                ("Announcing", "Announce", format!("announcing {ips} from node {node} on {interfaces}"))
            }
            Self::TookOver { from, because } => (
                "TookOver",
                "TakeOver",
                format!("node {node} took over {ips} from {from} on {interfaces}: {because}"),
            ),
            Self::HandedOver { to, because } => (
                "HandedOver",
                "HandOver",
                format!("node {node} handed over {ips} to {to} on {interfaces}: {because}"),
            ),
            Self::Found(finding) => (finding.condition(), "Announce", finding.message(&ips)),
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_placement::Exclusion;

    use super::*;
    use crate::link::LinkId;
    use crate::wire::Mac;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    #[test]
    fn a_first_placement_of_both_families_is_one_event_on_each_service() {
        let mut chronicle = Chronicle::new("node-1");
        for address in ["192.168.1.240", "fd00::240"] {
            chronicle.apply(&event(address, "eth0", announcing(GainCause::Unclaimed)));
        }
        chronicle.apply(&event("192.168.1.240", "eth1", announcing(GainCause::Unclaimed)));
        let news = chronicle.tell(|service| (service.name() == "web").then(|| "uid-web".into()));
        assert_eq!(
            news[1],
            News {
                namespace: "default".to_owned(),
                service: "web".to_owned(),
                uid: Some("uid-web".to_owned()),
                reason: "Announcing",
                action: "Announce",
                note: "announcing 192.168.1.240, fd00::240 from node node-1 on eth0, eth1".to_owned(),
                is_warning: false,
            }
        );
        assert_eq!((news.len(), &*news[0].service, &news[0].uid), (2, "shared", &None));
        assert!(chronicle.is_empty() && chronicle.tell(|_| None).is_empty(), "it is told once");
    }

    #[test]
    fn a_take_over_tells_from_whom_and_why() {
        type Cause = fn(Arc<str>) -> GainCause;
        let causes: [(Cause, &str); 4] = [
            (GainCause::NodeSilent, "that node does not answer any more"),
            (GainCause::LeaseEnded, "the Lease of that node has ended"),
            (
                GainCause::OwnerExcluded,
                "the speaker of that node does not answer, and the node may not announce any more",
            ),
            (GainCause::HandedOver, "that node handed over"),
        ];
        for (cause, because) in causes {
            let told = told(announcing(cause("node-2".into())));
            let note = format!("node node-1 took over 192.168.1.240 from node-2 on eth0: {because}");
            assert_eq!(told, [("TookOver", note, false)]);
        }
    }

    #[test]
    fn a_hand_over_tells_to_whom_and_why_and_no_other_loss_is_told() {
        let handed = |because| {
            told(Change::Withdrawn(LossCause::HandedOver { to: "node-2".into(), because })).remove(0)
        };
        let excluded = handed(HandOver::NoCandidate(Exclusion::ExcludeLabel));
        let note = "node node-1 handed over 192.168.1.240 to node-2 on eth0: node-1 may not announce any more: \
             the node is labelled node.kubernetes.io/exclude-from-external-load-balancers";
        assert_eq!(excluded, ("HandedOver", note.to_owned(), false));
        assert!(handed(HandOver::Preference).1.ends_with("eth0: it is preferred"));
        for cause in [LossCause::NotAdvertised, LossCause::LinkDown, LossCause::Yielded("node-2".into())] {
            assert_eq!(told(Change::Withdrawn(cause.clone())), [], "{cause:?}");
        }
    }

    #[test]
    fn a_conflict_is_a_warning_with_the_hardware_address_and_its_end_is_not_told() {
        let [(reason, note, is_warning)] = &told(Change::Found(Finding::AddressConflict { mac: MAC }))[..]
        else {
            panic!("not one")
        };
        assert_eq!((*reason, *is_warning), ("AddressConflict", true));
        assert!(
            note.starts_with("02:00:00:00:00:09, which is no speaker, answers for 192.168.1.240 too"),
            "{note}"
        );
        let over = Change::Over(Finding::AddressConflict { mac: MAC });
        for change in [over, Change::Uncovered, Change::Covering { owner: "node-2".into() }] {
            assert_eq!(told(change.clone()), [], "{change:?}");
        }
    }

    #[test]
    fn a_restart_that_changes_nothing_tells_nothing() {
        let mut chronicle = Chronicle::new("node-1");
        chronicle.set_reported(["192.168.1.240".parse().unwrap()]);
        let resumed = |address| event(address, "eth0", announcing(GainCause::Resumed));
        chronicle.apply(&resumed("192.168.1.240"));
        assert!(chronicle.is_empty());
        chronicle.apply(&resumed("192.168.1.241"));
        assert_eq!(reasons(&mut chronicle), ["Announcing"], "no report told that it owns this one");
        chronicle.apply(&event("192.168.1.240", "eth0", Change::Withdrawn(LossCause::LinkDown)));
        chronicle.apply(&resumed("192.168.1.240"));
        assert_eq!(reasons(&mut chronicle), ["Announcing"], "it was withdrawn meanwhile");
    }

    fn announcing(cause: GainCause) -> Change {
        Change::Announcing { mac: Mac([2, 0, 0, 0, 0, 1]), cause, silence: None }
    }

    fn event(address: &str, interface: &str, change: Change) -> Event {
        let service = |name: &str| ServiceName::new("default", name);
        let names: &[&str] = if address.contains(':') { &["web"] } else { &["shared", "web"] };
        Event {
            address: address.parse().unwrap(),
            link: LinkId(2),
            interface: interface.into(),
            services: names.iter().copied().map(service).collect(),
            change,
        }
    }

    /// What is told of a change to the Service that comes last.
    fn told(change: Change) -> Vec<(&'static str, String, bool)> {
        let mut chronicle = Chronicle::new("node-1");
        chronicle.apply(&event("192.168.1.240", "eth0", change));
        let news = chronicle.tell(|_| None).into_iter().filter(|news| news.service == "web");
        news.map(|news| (news.reason, news.note, news.is_warning)).collect()
    }

    fn reasons(chronicle: &mut Chronicle) -> Vec<&'static str> {
        let news = chronicle.tell(|_| None).into_iter().filter(|news| news.service == "web");
        news.map(|news| news.reason).collect()
    }
}
