//! What is new about what the kernel answers for. Pure.

use super::answers::{Answer, Answers};
use crate::ownership::{Change, Event};

/// What was told last.
#[derive(Debug, Default)]
pub struct Told(Answers);

impl Told {
    /// Takes up what the kernel answers for now, and gives what is over and what is new.
    pub fn update(&mut self, now: Answers) -> Vec<Event> {
        let before = std::mem::replace(&mut self.0, now);
        let differs = |answer: &Answer, other: Option<&Answer>| {
            other.is_none_or(|other| {
                (&other.interface, &other.finding) != (&answer.interface, &answer.finding)
            })
        };
        let over = before.iter().filter(|(key, answer)| differs(answer, self.0.get(key)));
        let found = self.0.iter().filter(|(key, answer)| differs(answer, before.get(key)));
        let event = |(&(address, link), answer): (&_, &Answer), change: fn(_) -> Change| Event {
            address,
            link,
            interface: answer.interface.clone(),
            services: answer.services.clone(),
            change: change(answer.finding.clone()),
        };
        let over = over.map(|told| event(told, Change::Over));
        over.chain(found.map(|told| event(told, Change::Found))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;
    use crate::link::LinkId;
    use crate::ownership::ServiceName;

    #[test]
    fn what_is_found_is_told_once_until_it_is_over() {
        let mut told = Told::default();
        for (now, expected) in [
            (answers([]), ""),
            (answers([("240", "lo"), ("241", "lo")]), "Found 240 on lo, Found 241 on lo"),
            (answers([("240", "lo"), ("241", "lo")]), ""),
            (answers([("240", "lo")]), "Over 241 on lo"),
            (answers([("240", "kube-ipvs0")]), "Over 240 on lo, Found 240 on kube-ipvs0"),
            (answers([]), "Over 240 on kube-ipvs0"),
        ] {
            assert_eq!(words(&told.update(now)), expected);
        }
    }

    #[test]
    fn another_service_of_the_address_is_no_news_and_a_new_name_of_the_interface_is() {
        let mut told = Told::default();
        told.update(answers([("240", "lo")]));
        let mut shared = answers([("240", "lo")]);
        let service = ServiceName::new("default", "web");
        shared.values_mut().for_each(|answer| answer.services = [service.clone()].into());
        assert!(told.update(shared.clone()).is_empty());
        shared.values_mut().for_each(|answer| answer.interface = "lan0".into());
        let events = told.update(shared);
        assert_eq!(words(&events), "Over 240 on lo, Found 240 on lo");
        assert_eq!([&*events[0].interface, &*events[1].interface], ["eth0", "lan0"]);
        assert_eq!(*events[0].services, [service], "the end is told of those that have it then");
    }

    /// Answers on eth0 for addresses, by their last number, of interfaces.
    fn answers<const N: usize>(found: [(&str, &str); N]) -> Answers {
        let answer = |(last, interface): (&str, &str)| {
            let finding = Finding::StrictArpRequired { interface: interface.into(), is_announcing: false };
            let key = (format!("192.168.1.{last}").parse().unwrap(), LinkId(2));
            (key, Answer { interface: "eth0".into(), services: [].into(), finding })
        };
        found.into_iter().map(answer).collect()
    }

    fn words(events: &[Event]) -> String {
        let word = |event: &Event| {
            let (Change::Found(finding) | Change::Over(finding)) = &event.change else { panic!("{event:?}") };
            let word = if matches!(event.change, Change::Found(_)) { "Found" } else { "Over" };
            let Finding::StrictArpRequired { interface, .. } = finding else { panic!("{finding:?}") };
            format!("{word} {} on {interface}", event.address.to_string().rsplit('.').next().unwrap())
        };
        events.iter().map(word).collect::<Vec<_>>().join(", ")
    }
}
