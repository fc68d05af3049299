//! Who is answered, in simulated time.

use std::net::Ipv4Addr;

use super::*;

const FLOODER: u32 = 1;
const ASKER: u32 = 2;
/// The first of the flooders with many addresses.
const SPOOFED: u32 = 1000;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_asker_gets_forty_answers_for_an_address_at_once_and_a_hundred_a_second() {
    let mut link = Link::new();
    assert_eq!((0..100).filter(|_| link.ask(ASKER, 0)).count(), 40);
    assert!(link.ask(ASKER, 1), "another address");
    assert!(link.ask(FLOODER, 0), "another asker");
    let mut answers = vec![];
    for _ in 0..10_000 {
        link.pass(SECOND / 1000);
        if link.ask(ASKER, 0) {
            answers.push(link.now);
        }
    }
    let within = |first| answers.iter().filter(|&&at| first <= at && at < first + SECOND).count();
    assert_eq!(answers.len(), 1000);
    assert!(answers.iter().all(|&first| within(first) <= 101));
}

#[test]
fn who_asks_as_the_protocols_tell_is_always_answered() {
    for (name, every, burst) in [
        ("a resolver", SECOND, 1),
        ("a watching peer", SECOND / 10, 1),
        ("a watching peer in a hurry", SECOND / 20, 1),
        ("who measures a take-over", SECOND / 50, 1),
        ("a router with the questions of many hosts", SECOND / 2, 8),
    ] {
        let mut link = Link::new();
        for _ in 0..1000 {
            assert!((0..burst).all(|_| link.ask(ASKER, 0)), "{name}");
            link.pass(every);
        }
    }
}

#[test]
fn a_rebooted_gateway_gets_ten_thousand_answers_at_once_twice_over() {
    let mut link = Link::new();
    assert!((0..20_000).all(|n| link.ask(ASKER, n % 10_000)));
}

#[test]
fn all_together_are_bounded() {
    let mut link = Link::new();
    let (mut answered, start) = (0, link.now);
    while link.now < start + 4 * SECOND {
        answered += (0..100).filter(|n| link.ask(SPOOFED + n, link.count)).count();
        link.pass(SECOND / 5000);
    }
    assert!((200_000..250_000).contains(&answered), "{answered} of 2 000 000 in four seconds");
}

#[test]
fn an_asker_is_answered_whoever_floods() {
    let floods: [(&str, Flood); 5] = [
        ("one asker, for one address", |_| (FLOODER, 0)),
        ("one asker, for ten thousand addresses", |n| (FLOODER, n % 10_000)),
        ("a thousand askers, for one address", |n| (SPOOFED + n % 1000, 0)),
        ("a thousand askers, for a hundred addresses", |n| (SPOOFED + n % 1000, n / 1000 % 100)),
        ("one and a thousand askers", |n| match n % 2 {
            0 => (FLOODER, n / 2 % 10_000),
            _ => (SPOOFED + n / 2 % 1000, n / 2000 % 100),
        }),
    ];
    for (name, flood) in floods {
        let mut link = Link::new();
        let flooded = link.survives(flood, |second, answered| assert!(answered, "{name}: second {second}"));
        assert!(flooded < 600_000, "{name}: {flooded} of 2 000 000 answered");
    }
}

#[test]
fn a_flood_from_more_askers_than_are_remembered_does_not_displace_a_known_one() {
    let floods: [(&str, Flood); 3] = [
        ("ever new ones", |n| (SPOOFED + n, n % 100)),
        ("a hundred thousand", |n| (SPOOFED + n % 100_000, n % 97)),
        ("six thousand", |n| (SPOOFED + n % 6000, n % 97)),
    ];
    for (name, flood) in floods {
        let mut link = Link::new();
        for _ in 0..20 {
            assert!(link.ask(ASKER, 0));
            link.pass(SECOND);
        }
        let flooded = link.survives(flood, |second, answered| assert!(answered, "{name}: second {second}"));
        assert!((450_000..600_000).contains(&flooded), "{name}: {flooded} of 2 000 000 answered");
    }
}

#[test]
fn who_stopped_flooding_is_one_among_others_again() {
    let mut link = Link::new();
    for n in 0..100_000 {
        link.ask(FLOODER, n % 10_000);
    }
    assert!(!link.ask(FLOODER, 10_001), "nothing is left for the flooder");
    assert!(link.ask(ASKER, 10_001), "but for others");
    link.pass(SECOND);
    assert!((0..10_000).all(|n| link.ask(FLOODER, n)));
}

/// Who asks for which address in the question with this number.
type Flood = fn(u32) -> (u32, u32);

/// A responder, its clock, and how often it was asked.
struct Link {
    responder: Responder,
    now: Instant,
    count: u32,
}

impl Link {
    #[expect(clippy::disallowed_methods, reason = "only differences from this instant matter")]
    fn new() -> Self {
        let now = Instant::now();
        Self { responder: Responder::new(1, now), now, count: 0 }
    }

    /// Lets others ask 200 000 times a second for ten seconds, and the asker at the end of each of them, when nothing is
    /// left; says how many of the others are answered.
    fn survives(&mut self, flood: Flood, asker: impl Fn(u32, bool)) -> usize {
        let mut flooded = 0;
        for hundredth in 1..=1000 {
            self.pass(SECOND / 100);
            for _ in 0..2000 {
                let (source, address) = flood(self.count);
                flooded += usize::from(self.ask(source, address));
            }
            if hundredth % 100 == 0 {
                asker(hundredth / 100, self.ask(ASKER, 0));
            }
        }
        flooded
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Whether the asker with this number is answered for the address with that number.
    fn ask(&mut self, source: u32, address: u32) -> bool {
        self.count += 1;
        let [a, b, c, d] = source.to_be_bytes();
        let address = Ipv4Addr::from_bits(0x0a64_0000 + address);
        self.responder.admit(Mac([2, 0, a, b, c, d]), address.into(), self.now)
    }
}
