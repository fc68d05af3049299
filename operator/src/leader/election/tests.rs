use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lease_that_nobody_has_is_created() {
    let mut candidate = Scene::new("a");
    assert_eq!(candidate.ask(), Some(Request::Read));
    assert_eq!(candidate.ask(), None, "one request at a time");
    candidate.found(None);
    assert_eq!(candidate.ask(), Some(Request::Create(record("a", 0))));
    candidate.written("1", record("a", 0));
    assert_eq!(candidate.events(), [elected(candidate.now + SECOND * 10, 0)]);
    assert!(candidate.election.leads(candidate.now));
}

#[test]
fn a_candidate_takes_over_when_the_lease_has_not_changed_for_its_duration() {
    let mut candidate = Scene::new("b");
    candidate.see("7", "a");
    candidate.pass(SECOND * 14);
    candidate.see("8", "a");
    let seen = candidate.now;
    while candidate.now < seen + SECOND * 15 {
        assert!(!candidate.election.leads(candidate.now));
        assert_eq!(candidate.election.other_leader(), Some("a"));
        candidate.pass(SECOND);
        candidate.see("8", "a");
    }
    assert_eq!(candidate.ask(), Some(Request::Replace("8".to_owned(), record("b", 4))));
    candidate.written("9", record("b", 4));
    assert_eq!(candidate.events(), [elected(candidate.now + SECOND * 10, 4)]);
}

#[test]
fn the_duration_that_counts_is_the_holders() {
    let mut candidate = Scene::new("b");
    let patient = Record { duration: Some(SECOND * 60), ..record("a", 3) };
    let found = Versioned { version: "7".to_owned(), record: patient };
    for _ in 0..60 {
        assert_eq!(candidate.ask(), Some(Request::Read));
        candidate.found(Some(found.clone()));
        candidate.pass(SECOND * 2);
        if candidate.now >= candidate.start + SECOND * 60 {
            break;
        }
    }
    candidate.ask();
    candidate.found(Some(found));
    assert!(matches!(candidate.ask(), Some(Request::Replace(..))));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut candidate = Scene::new("b");
    candidate.see("7", "a");
    candidate.pass(SECOND * 2);
    candidate.see("8", "");
    assert_eq!(candidate.ask(), Some(Request::Replace("8".to_owned(), record("b", 4))));
}

#[test]
fn a_deleted_lease_keeps_others_away_as_long_as_it_would_have() {
    let mut candidate = Scene::new("b");
    candidate.see("7", "a");
    candidate.pass(SECOND * 13);
    assert_eq!(candidate.ask(), Some(Request::Read));
    candidate.found(None);
    candidate.pass(SECOND * 2);
    assert_eq!(candidate.ask(), Some(Request::Read));
    candidate.found(None);
    assert_eq!(candidate.ask(), Some(Request::Create(record("b", 0))));
}

#[test]
fn a_leader_renews_every_two_seconds_and_leads_from_before_it_asked() {
    let mut leader = Scene::leader("a");
    leader.pass(SECOND * 2);
    let sent = leader.now;
    let request = leader.ask();
    assert_eq!(request, Some(Request::Replace("1".to_owned(), record("a", 0))));
    leader.pass(SECOND * 3);
    leader.answer(Versioned { version: "2".to_owned(), record: record("a", 0) }, sent);
    assert_eq!(leader.events(), [Event::Renewed { until: sent + SECOND * 10 }]);
    assert_eq!(leader.election.poll_timeout(), Some(sent + SECOND * 2), "at once, as it is late");
}

#[test]
fn a_leader_whose_renewals_fail_leads_until_the_deadline_only() {
    let mut leader = Scene::leader("a");
    let until = leader.now + SECOND * 10;
    leader.pass(SECOND * 2);
    while leader.now < until {
        assert!(leader.election.leads(leader.now) && leader.events().is_empty());
        assert!(leader.now + leader.election.patience(leader.now) <= until);
        leader.ask();
        leader.pass(SECOND);
        leader.election.handle_failure(leader.now);
        leader.pass(SECOND);
    }
    leader.election.handle_timeout(leader.now);
    assert_eq!(leader.events(), [Event::Lost(Loss::Deadline)]);
}

#[test]
fn a_renewal_that_is_answered_after_a_freeze_begins_nothing() {
    let mut leader = Scene::leader("a");
    leader.pass(SECOND * 2);
    let sent = leader.now;
    leader.ask();
    leader.pass(SECOND * 60);
    leader.answer(Versioned { version: "2".to_owned(), record: record("a", 0) }, sent);
    assert_eq!(leader.events(), [Event::Lost(Loss::Deadline)]);
    assert!(!leader.election.leads(leader.now));
    assert!(matches!(leader.ask(), Some(Request::Replace(version, _)) if version == "2"));
}

#[test]
fn a_renewal_after_the_deadline_is_a_new_election() {
    let mut leader = Scene::leader("a");
    leader.pass(SECOND * 9);
    let sent = leader.now;
    leader.ask();
    leader.pass(SECOND * 2);
    leader.answer(Versioned { version: "2".to_owned(), record: record("a", 0) }, sent);
    assert_eq!(leader.events(), [Event::Lost(Loss::Deadline), elected(sent + SECOND * 10, 0)]);
}

#[test]
fn a_leader_that_reads_of_another_one_leads_no_more() {
    for (holder, other) in [("b", Some("b")), ("", None)] {
        let mut leader = Scene::leader("a");
        leader.pass(SECOND * 2);
        leader.ask();
        leader.election.handle_failure(leader.now);
        leader.pass(SECOND * 2);
        leader.see("5", holder);
        assert_eq!(leader.events(), [Event::Lost(Loss::Taken(holder.to_owned()))]);
        assert_eq!(leader.election.other_leader(), other);
    }
}

#[test]
fn a_write_whose_answer_was_lost_is_found_and_continued() {
    let mut candidate = Scene::new("a");
    candidate.ask();
    candidate.found(None);
    candidate.ask();
    candidate.election.handle_failure(candidate.now);
    assert_eq!(candidate.ask(), None, "not before the next turn");
    candidate.pass(SECOND * 2);
    assert_eq!(candidate.ask(), Some(Request::Read));
    candidate.found(Some(Versioned { version: "1".to_owned(), record: record("a", 6) }));
    assert!(candidate.events().is_empty(), "what was read renews nothing");
    assert_eq!(candidate.ask(), Some(Request::Replace("1".to_owned(), record("a", 6))));
}

#[test]
fn a_leader_releases_what_it_has_and_nobody_elses() {
    let mut leader = Scene::leader("a");
    let released = Record { duration: Some(SECOND), ..record("", 0) };
    assert_eq!(leader.election.release(), Some(Request::Replace("1".to_owned(), released)));
    assert!(!leader.election.leads(leader.now));

    let mut candidate = Scene::new("b");
    candidate.see("7", "a");
    assert_eq!(candidate.election.release(), None);
}

fn record(holder: &str, transitions: i32) -> Record {
    Record { holder: holder.to_owned(), duration: Some(SECOND * 15), acquired: None, transitions }
}

fn elected(until: Instant, transitions: i32) -> Event {
    Event::Elected { until, transitions }
}

/// A candidate and its clock.
struct Scene {
    election: Election,
    start: Instant,
    now: Instant,
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn new(identity: &str) -> Self {
        let now = Instant::now();
        Self { election: Election::new(identity.to_owned(), Timing::default(), now), start: now, now }
    }

    fn leader(identity: &str) -> Self {
        let mut leader = Self::new(identity);
        leader.ask();
        leader.found(None);
        leader.ask();
        leader.written("1", record(identity, 0));
        leader.events();
        leader
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn ask(&mut self) -> Option<Request> {
        self.election.poll_request(self.now)
    }

    fn found(&mut self, found: Option<Versioned>) {
        self.election.handle_read(found, self.now);
    }

    /// Lets a turn pass in which the Lease is read.
    fn see(&mut self, version: &str, holder: &str) {
        self.pass(SECOND * 2);
        assert_eq!(self.ask(), Some(Request::Read));
        self.found(Some(Versioned { version: version.to_owned(), record: record(holder, 3) }));
    }

    fn written(&mut self, version: &str, record: Record) {
        self.answer(Versioned { version: version.to_owned(), record }, self.now);
    }

    fn answer(&mut self, written: Versioned, sent: Instant) {
        self.election.handle_written(written, sent, self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.election.poll_event()).collect()
    }
}
