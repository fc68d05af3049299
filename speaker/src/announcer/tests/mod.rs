//! What is announced when, in simulated time.

mod properties;

use std::time::{Duration, Instant};

use super::*;

const ETH0: LinkId = LinkId(2);
const ETH1: LinkId = LinkId(3);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_frames_are_sent_at_once_and_the_others_in_rounds() {
    let gateways = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    let burst = |gateways: &[Ipv4Addr]| {
        let mut forms = vec![(0, Form::Request), (0, Form::Reply)];
        forms.extend(gateways.iter().map(|&gateway| (0, Form::Question(gateway))));
        forms.extend((1..5).flat_map(|round| [(1100 * round, Form::Request), (1100 * round, Form::Reply)]));
        forms
    };
    for (address, gateways, expected) in [
        (v4(0), &[][..], burst(&[])),
        (v4(0), &gateways, burst(&gateways)),
        (v6(0), &gateways, [0, 1100, 2200].map(|at| (at, Form::Advertisement)).to_vec()),
    ] {
        let mut node = Node::new();
        node.announcer.set_link(ETH0, gateways.to_vec());
        node.start(ETH0, address);
        node.run_for(Duration::from_secs(30));
        let sent = node.sent.iter().map(|(at, sent)| (at.as_millis(), sent.form));
        assert_eq!(sent.collect::<Vec<_>>(), expected, "{address} with {} gateways", gateways.len());
    }
}

#[test]
fn refreshes_are_in_one_form_one_to_two_minutes_apart() {
    for (address, form, burst) in [(v4(0), Form::Request, 10), (v6(0), Form::Advertisement, 3)] {
        let mut node = Node::new();
        node.start(ETH0, address);
        node.run_for(Duration::from_secs(3600));
        let refreshes = &node.sent[burst..];
        assert!(
            refreshes.iter().all(|(_, sent)| (sent.kind, sent.form) == (Kind::Refresh, form)),
            "{refreshes:?}"
        );
        let gaps: Vec<_> =
            node.sent[burst - 1..].windows(2).map(|two| (two[1].0 - two[0].0).as_secs()).collect();
        assert!(gaps.iter().all(|gap| (60..=120).contains(gap)), "{gaps:?}");
        assert!(gaps.iter().min() < Some(&75) && gaps.iter().max() > Some(&105), "{gaps:?}");
    }
}

#[test]
fn ten_thousand_addresses_are_announced_once_within_twenty_seconds() {
    let mut node = Node::new();
    for n in 0..10_000 {
        node.start(ETH0, v4(n));
    }
    node.run_for(Duration::from_secs(20));
    assert_eq!(node.sent[0].0, Duration::ZERO);
    let first: Vec<_> = node.sent.iter().take(10_000).collect();
    let in_order = first.iter().enumerate().all(|(n, (_, sent))| sent.address == v4(n as u32));
    assert!(in_order && first.iter().all(|(_, sent)| sent.kind == Kind::First));
    assert!(first[9_999].0 < Duration::from_secs(20), "{:?}", first[9_999].0);
    node.run_for(Duration::from_secs(3600));
    assert!(node.most_within(SECOND, |_| true) <= 500);
    let refreshes = node.most_within(SECOND, |sent| sent.kind == Kind::Refresh);
    assert!((10..=20).contains(&refreshes), "{refreshes} in a second");
    let waiting: usize = node.announcer.waiting().map(|(_, count)| count).sum();
    assert!(waiting < 100, "{waiting} refreshes can't keep up");
    let mut frames = HashMap::new();
    for (_, sent) in node.sent.iter().filter(|(_, sent)| sent.kind != Kind::Refresh) {
        *frames.entry(sent.address).or_insert(0) += 1;
    }
    assert!(frames.len() == 10_000 && frames.values().all(|&count| count == 10), "each burst is whole");
}

#[test]
fn a_timer_that_is_late_does_not_make_the_last_address_late() {
    let mut node = Node { lateness: Duration::from_millis(3), ..Node::new() };
    for n in 0..10_000 {
        node.start(ETH0, v4(n));
    }
    node.run_for(Duration::from_secs(20));
    assert_eq!(node.sent.iter().filter(|(_, sent)| sent.kind == Kind::First).count(), 10_000);
    assert!(node.most_within(SECOND, |_| true) <= 500);
}

#[test]
fn what_is_taken_over_goes_before_bursts_and_these_before_refreshes() {
    let mut node = Node::new();
    for n in 0..1000 {
        node.start(ETH0, v4(n));
    }
    node.run_for(Duration::from_secs(130));
    node.sent.clear();
    // A refresh is due about every tenth of a second.
    for n in 1000..2000 {
        node.start(ETH0, v4(n));
    }
    node.run_for(SECOND);
    for n in 2000..2100 {
        node.start(ETH0, v4(n));
    }
    node.run_for(Duration::from_secs(60));
    let kinds: Vec<Kind> = node.sent.iter().map(|(_, sent)| sent.kind).collect();
    let late = node.sent.iter().position(|(_, sent)| sent.address == v4(2000)).unwrap();
    let before = node.sent.iter().position(|(_, sent)| sent.kind == Kind::Repeat).unwrap();
    assert!(late < before + 10, "{late} after {before}");
    let refresh = kinds.iter().position(|kind| *kind == Kind::Refresh).unwrap();
    assert_eq!(kinds[..refresh].iter().filter(|kind| **kind == Kind::First).count(), 1100);
    let busy = kinds[..refresh].iter().filter(|kind| **kind == Kind::Repeat).count();
    assert!(busy > 1000, "refreshes wait while bursts do, but only {busy} repetitions were before them");
    assert!(kinds.contains(&Kind::Refresh));
}

#[test]
fn each_link_has_a_budget_of_its_own_and_refreshes_share_one() {
    let mut node = Node::new();
    for n in 0..1000 {
        node.start(ETH0, v4(n));
        node.start(ETH1, v4(n));
    }
    node.run_for(Duration::from_millis(999));
    for link in [ETH0, ETH1] {
        assert_eq!(node.sent.iter().filter(|(_, sent)| sent.link == link).count(), 500);
    }
    node.run_for(Duration::from_secs(600));
    assert!(node.most_within(SECOND, |sent| sent.kind == Kind::Refresh) <= 20);
    for link in [ETH0, ETH1] {
        let refreshed = node.sent.iter().any(|(_, sent)| sent.link == link && sent.kind == Kind::Refresh);
        assert!(refreshed, "{link}");
    }
}

#[test]
fn what_was_sent_on_a_link_counts_when_its_gateways_change() {
    let mut node = Node::new();
    for n in 0..200 {
        node.start(ETH0, v4(n));
    }
    node.run_for(Duration::ZERO);
    node.announcer.set_link(ETH0, vec![Ipv4Addr::new(10, 0, 0, 1)]);
    node.run_for(Duration::from_millis(249));
    assert_eq!(node.sent.len(), 125);
}

#[test]
fn a_round_ends_where_the_gateways_it_was_to_ask_are_gone() {
    let mut node = Node::new();
    node.announcer.set_link(ETH0, vec![Ipv4Addr::new(10, 0, 0, 1)]);
    node.start(ETH0, v4(0));
    let now = node.now;
    let mut form = || node.announcer.poll(now).map(|sent| sent.form);
    assert_eq!([form(), form()], [Some(Form::Request), Some(Form::Reply)]);
    node.announcer.set_link(ETH0, vec![]);
    node.run_for(Duration::from_millis(1100));
    assert_eq!(node.sent.len(), 2, "the next round");
}

/// An announcer, its clock, and all that it sent.
struct Node {
    announcer: Announcer,
    begin: Instant,
    now: Instant,
    /// How much later than asked for its timers fire.
    lateness: Duration,
    sent: Vec<(Duration, Announcement)>,
}

impl Node {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    fn new() -> Self {
        let begin = Instant::now();
        let mut announcer = Announcer::new(1);
        announcer.set_link(ETH0, vec![]);
        announcer.set_link(ETH1, vec![]);
        Self { announcer, begin, now: begin, lateness: Duration::ZERO, sent: vec![] }
    }

    fn start(&mut self, link: LinkId, address: IpAddr) {
        self.announcer.start(link, address, self.now);
    }

    /// Does what is due up to and at the end of this time.
    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.announcer.poll_timeout().map(|due| due.max(self.now) + self.lateness)
            && due <= end
        {
            self.now = due;
            self.announcer.handle_timeout(self.now);
            while let Some(sent) = self.announcer.poll(self.now) {
                self.sent.push((self.now - self.begin, sent));
            }
        }
        self.now = end;
    }

    /// The most frames within any half-open stretch of time.
    fn most_within(&self, time: Duration, which: impl Fn(&Announcement) -> bool) -> usize {
        let times: Vec<_> = self.sent.iter().filter(|(_, sent)| which(sent)).map(|(at, _)| *at).collect();
        let mut first = 0;
        let within = times.iter().enumerate().map(|(last, at)| {
            while times[first] + time <= *at {
                first += 1;
            }
            last + 1 - first
        });
        within.max().unwrap_or(0)
    }
}

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a64_0000 + n).into()
}

fn v6(n: u32) -> IpAddr {
    std::net::Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(n)).into()
}
