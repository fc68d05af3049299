//! What a watcher finds that asks everybody for what an owner has.

use super::peers::{PEER_MAC, PEER4, beside_owner_of, says};
use super::*;

const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

#[test]
fn an_address_that_its_owner_alone_answers_for_is_right() {
    let mut node = watcher();
    let asked = play(&mut node, Duration::from_secs(30), |_| vec![answer(PEER_MAC)]);
    assert!((4..=6).contains(&asked), "asked everybody {asked} times in 30 s");
    assert_eq!(node.events(), [""; 0]);
}

#[test]
fn a_host_that_answers_beside_the_owner_is_told_until_it_is_gone() {
    let mut node = watcher();
    let both = |to_all: bool| {
        let answers = [PEER_MAC, STRANGER].map(answer);
        answers.into_iter().take(if to_all { 2 } else { 1 }).collect()
    };
    play(&mut node, Duration::from_secs(20), both);
    let told = node.events();
    let said = format!("WrongAnswer: {STRANGER} answers for 192.168.1.240 beside its owner peer");
    assert!(told.len() == 1 && told[0].starts_with(&said), "{told:?}");
    play(&mut node, Duration::from_secs(30), both);
    assert_eq!(node.events(), [""; 0], "it is told once");
    play(&mut node, Duration::from_secs(20), |_| vec![answer(PEER_MAC)]);
    assert_eq!(node.events(), ["no WrongAnswer of 192.168.1.240 on eth0"]);
}

#[test]
fn questions_to_everybody_that_nobody_answers_are_told() {
    let mut node = watcher();
    let heard_alone = |to_all: bool| if to_all { vec![] } else { vec![answer(PEER_MAC)] };
    play(&mut node, Duration::from_secs(20), heard_alone);
    let told = node.events();
    let said = "WrongAnswer: peer answers for 192.168.1.240 when it is asked alone";
    assert!(told.len() == 1 && told[0].starts_with(said), "{told:?}");
}

#[test]
fn one_question_that_gets_lost_is_nothing_to_tell() {
    let mut node = watcher();
    for _ in 0..4 {
        let lost = std::cell::Cell::new(false);
        play(&mut node, Duration::from_secs(6), |to_all| {
            if to_all && !lost.replace(true) { vec![] } else { vec![answer(PEER_MAC)] }
        });
    }
    assert_eq!(node.events(), [""; 0]);
}

#[test]
fn what_was_wrong_about_an_owner_is_over_when_another_takes_the_address() {
    let mut node = watcher();
    play(&mut node, Duration::from_secs(20), |_| vec![answer(PEER_MAC), answer(STRANGER)]);
    node.events();
    assert!(node.hears(&Frame { destination: MAC0, ..Arp::probe(PEER_MAC, VIP) }), "the offer");
    node.listen();
    assert_eq!(
        node.events(),
        ["no WrongAnswer of 192.168.1.240 on eth0", "announcing 192.168.1.240 on eth0: HandedOver"]
    );
}

/// A node with an address of its own that watches the owner.
fn watcher() -> Node {
    let mut node = beside_owner_of(&[VIP]);
    let addresses = vec![Ipv4Addr::new(192, 168, 1, 11).into()];
    node.links([(ETH0, Link { addresses, ..link("eth0", MAC0) })]);
    node
}

/// Lets time pass while the node's questions for the address are answered like that, to everybody where everybody was
/// asked, and those for the peer by it. Says how often everybody was asked.
fn play(node: &mut Node, time: Duration, answers: impl Fn(bool) -> Vec<Frame>) -> usize {
    let end = node.now + time;
    let mut asked = 0;
    while let Some(due) = node.machine.poll_timeout().filter(|due| *due <= end) {
        node.now = node.now.max(due);
        node.machine.handle_timeout(node.now);
        for sent in std::iter::from_fn(|| node.machine.poll_transmit(node.now)).collect::<Vec<_>>() {
            let to_all = sent.frame.destination.is_group();
            asked += usize::from(to_all && sent.kind == TransmitKind::Probe);
            let answers = if sent.address == VIP { answers(to_all) } else { vec![says(PEER4, PEER_MAC)] };
            for answer in answers {
                let announcement = Arp::announcement(answer.source, VIP);
                let answer = if to_all && answer.source == PEER_MAC { announcement } else { answer };
                node.machine.handle_frame(ETH0, &answer, node.now);
            }
        }
        node.listen();
    }
    node.now = end;
    asked
}

/// A host says that it has the address.
fn answer(host: Mac) -> Frame {
    Frame { source: host, ..says(VIP, host) }
}
