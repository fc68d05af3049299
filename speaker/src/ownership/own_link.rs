//! Whether silence is others' or this node's own: is its link connected to anything?

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster::NodeId;
use super::frames;
use super::machine::Machine;
use super::mutation::Mutation;
use super::neighbour::Verdict;
use super::output::TransmitKind;
use crate::link::LinkId;
use crate::wire::Mac;

/// A host that was heard within this time should be heard again when it is asked.
const THIRD_HOST: Duration = Duration::from_secs(30);
/// A link on which somebody was heard within this time works.
const LATELY: Duration = Duration::from_secs(1);
/// Peers that are asked whether this node's own link works.
const OTHERS: usize = 3;

impl Machine {
    /// Whether some other host was heard from a time on when a peer was silent, so that the silence is not this node's
    /// own. If not, others are asked; where there were none lately the silence counts.
    pub(super) fn link_works(
        &mut self,
        link: LinkId,
        node: NodeId,
        meanwhile: Instant,
        now: Instant,
    ) -> bool {
        let (Some(here), Some(peer)) = (self.here.get(&link), self.peer(node)) else { return false };
        if self.breaks(Mutation::OwnLink) {
            return true;
        }
        let of_peer = |mac: Mac| peer.links.iter().any(|link| link.macs.contains(&mac));
        match here.hosts.last_other_than(of_peer) {
            Some(at) if at >= meanwhile => true,
            Some(at) if at + THIRD_HOST >= meanwhile => {
                self.ask_others(link, node, now);
                false
            }
            Some(_) | None => true,
        }
    }

    /// Asks the hosts that are sure to be there.
    pub(super) fn ask_gateways(&mut self, link: LinkId, now: Instant) {
        let Some(here) = self.link(link) else { return };
        let gateways: Vec<_> = here
            .gateways
            .iter()
            .map(|it| (IpAddr::from(*it), frames::question((*it).into(), here)))
            .collect();
        for (gateway, frame) in gateways {
            self.send_to_all(link, gateway, TransmitKind::Question, frame, now);
        }
    }

    /// Whether this node may be cut off: others were heard a while ago, and nobody lately.
    pub(super) fn is_cut_off(&self, link: LinkId, now: Instant) -> bool {
        if self.breaks(Mutation::OwnLink) {
            return false;
        }
        let dead = |mac: Mac| {
            let node = self.by_mac.get(&mac);
            node.is_some_and(|node| self.verdict(link, *node) == Verdict::Dead)
        };
        let last = self.here.get(&link).and_then(|here| here.hosts.last_other_than(dead));
        // What waited while this process was paused shows what was then.
        let works_since = now.checked_sub(LATELY).max(self.behind_until());
        last.is_some_and(|at| Some(at) <= works_since && now < at + THIRD_HOST)
    }

    /// Asks some hosts for a sign of life, unless that was done just now.
    pub(super) fn ask_whoever_is_there(&mut self, link: LinkId, now: Instant) {
        let again = self.timing.question;
        let Some(here) = self.here.get_mut(&link) else { return };
        if here.others_asked.is_none_or(|at| now >= at + again) {
            here.others_asked = Some(now);
            self.ask_others(link, NodeId::OWN, now);
        }
    }

    /// Asks everybody for a peer that is silent: a switch that answers from memory is somebody as well.
    fn ask_everybody_for(&mut self, link: LinkId, node: NodeId, now: Instant) {
        let links = self.peer(node).filter(|_| node != NodeId::OWN).map(|peer| peer.links.as_slice());
        let addresses: Vec<IpAddr> =
            links.unwrap_or_default().iter().filter_map(|link| link.addresses().next()).collect();
        for address in addresses {
            self.ask_everybody(link, address, now);
        }
    }

    pub(super) fn ask_others(&mut self, link: LinkId, except: NodeId, now: Instant) {
        if self.link(link).is_some_and(|here| here.gateways.is_empty()) {
            self.ask_everybody_for(link, except, now);
        } else {
            self.ask_gateways(link, now);
        }
        let others = self.neighbours_on(link).filter(|(node, it)| *node != except && it.takes_part());
        for node in others.map(|(node, _)| node).take(OTHERS).collect::<Vec<_>>() {
            self.ask_node(link, node);
        }
    }
}
