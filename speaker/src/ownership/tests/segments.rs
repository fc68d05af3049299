//! Links of one node on one segment.

use std::time::Duration;

use super::*;

/// Longer than it takes to find that nobody answers.
const PROBING: Duration = Duration::from_millis(60);

#[test]
fn of_two_links_on_a_segment_the_first_answers() {
    let mut node = Node::on_one_segment();
    assert_eq!(node.events(), ["withdrawn 192.168.1.240 on eth1: SameSegment"]);
    assert_eq!(node.states(), (true, false));
}

#[test]
fn the_second_takes_over_when_the_first_goes_down() {
    let mut node = Node::on_one_segment();
    node.events();
    node.links([(ETH0, Link { up: false, ..link("eth0", MAC0) }), (ETH1, link("eth1", MAC1))]);
    node.run(PROBING);
    assert_eq!(
        node.events(),
        ["withdrawn 192.168.1.240 on eth0: LinkDown", "announcing 192.168.1.240 on eth1: Unclaimed"]
    );
}

#[test]
fn links_that_do_not_hear_each_other_any_more_both_answer() {
    let mut node = Node::on_one_segment();
    node.now += Duration::from_secs(301);
    node.events();
    node.run(PROBING);
    assert_eq!(node.events(), ["announcing 192.168.1.240 on eth1: Unclaimed"]);
    assert_eq!(node.states(), (true, true));
}

#[test]
fn links_that_go_on_hearing_each_other_stay_one_segment() {
    let mut node = Node::on_one_segment();
    for _ in 0..10 {
        while node.loop_back(ETH0, ETH1) == 0 {
            node.advance();
        }
    }
    assert_eq!(node.states(), (true, false));
}

#[test]
fn an_address_that_only_the_second_may_announce_stays_there() {
    let mut node = Node::on_one_segment();
    let interfaces = InterfaceFilter::from_patterns(&["eth1".to_owned()]);
    node.desire([(VIP.into(), DesiredAddress { interfaces, ..first() })]);
    node.run(PROBING);
    assert_eq!(node.states(), (false, true));
}

#[test]
fn a_frame_with_our_own_address_that_we_did_not_send_proves_nothing() {
    let mut node = Node::with_links();
    node.frames();
    let forged = Arp::announcement(MAC0, Ipv4Addr::new(192, 168, 1, 9));
    node.machine.handle_frame(ETH1, &forged, node.now);
    node.now += Duration::from_secs(2);
    node.machine.handle_frame(ETH1, &Arp::announcement(MAC0, VIP), node.now);
    assert_eq!(node.states(), (true, true), "forged, and repeated too late");
}

impl Node {
    /// Two links, and an address that was announced on both just now.
    fn with_links() -> Self {
        let mut node = Self::new();
        node.links([(ETH0, link("eth0", MAC0)), (ETH1, link("eth1", MAC1))]);
        node.desire([(VIP.into(), first())]);
        node.settle();
        node.events();
        node.settle();
        node.events();
        node
    }

    fn on_one_segment() -> Self {
        let mut node = Self::with_links();
        assert!(node.loop_back(ETH0, ETH1) > 0);
        node
    }

    /// Lets what is sent now on one link be heard on the other, and says how much that was.
    fn loop_back(&mut self, from: LinkId, to: LinkId) -> usize {
        self.collect();
        let sent: Vec<_> = self.sent.drain(..).filter(|transmit| transmit.link == from).collect();
        for transmit in &sent {
            self.machine.handle_frame(to, &transmit.frame, self.now);
        }
        self.listen();
        sent.len()
    }

    fn states(&self) -> (bool, bool) {
        (self.owns(ETH0), self.owns(ETH1))
    }
}
