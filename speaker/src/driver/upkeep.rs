//! What the loop keeps up beside frames: sockets, groups, and what the kernel counts.

use tracing::{debug, info, warn};

use super::Driver;
use crate::link::Links;
use crate::net::{Opened, Port, Protocol};

impl Driver {
    /// Opens what sockets are missing; says by the gate whether all are there.
    pub(super) fn open_sockets(&mut self) {
        let name = |port: Port| self.links.get(&port.0).map_or("", |link| link.name.as_str());
        let metrics = &self.wiring.metrics;
        let opened =
            self.sockets.sync(&self.links, &self.wiring.promiscuous, |port| metrics.port(name(port), port.1));
        let mut complete = true;
        for (port, result) in opened {
            let (interface, protocol) = (name(port), port.1);
            match (result, protocol) {
                (Opened::Yes, Protocol::Arp) => {
                    info!(event = "createARPResponder", interface, "answering ARP")
                }
                (Opened::Yes, Protocol::Ndp) => {
                    info!(event = "createNDPResponder", interface, "answering NDP")
                }
                (Opened::No(error), _) => {
                    complete = false;
                    let protocol = protocol.name();
                    warn!(event = "socketFailed", interface, protocol, %error, "can't open a packet socket (it needs the capability NET_RAW); retrying");
                }
            }
        }
        self.wiring.gate.set(complete);
    }

    /// Reads what the kernel counted, and tries again what failed.
    pub(super) fn maintain(&mut self) {
        for (port, socket, metrics) in self.sockets.iter_mut() {
            match socket.take_drops() {
                Ok(new) => {
                    metrics.kernel_drops.inc_by(new);
                    if new > 0
                        && let Err(error) = socket.shuffle()
                    {
                        debug!(link = %port.0, %error, "can't divide the receive queues anew");
                    }
                }
                Err(error) => debug!(link = %port.0, %error, "can't read the kernel's drops"),
            }
        }
        for ((link, is_ipv4), missed) in self.machine.take_missed() {
            let protocol = if is_ipv4 { Protocol::Arp } else { Protocol::Ndp };
            if let Some(metrics) = self.sockets.value((link, protocol)) {
                metrics.missed.inc_by(missed);
            }
        }
        if !self.links.is_empty() {
            self.open_sockets();
        }
        self.retry_groups();
        self.show_waiting();
    }

    pub(super) fn show_waiting(&self) {
        let waiting = self.machine.waiting();
        let named = waiting.filter_map(|(link, count)| Some((self.links.get(&link)?.name.as_str(), count)));
        self.wiring.metrics.set_waiting(named);
    }

    /// Joins groups again where a link lost IPv6 while it was up, and has it again. A link that is only down keeps its groups.
    pub(super) fn notice_ipv6(&mut self, links: &Links) {
        for (&id, link) in links {
            let before = self.links.get(&id).filter(|before| before.up);
            match (link.up, link.link_local()) {
                (true, None) if before.is_some_and(|before| before.link_local().is_some()) => {
                    self.without_ipv6.insert(id);
                }
                (true, Some(_)) if self.without_ipv6.remove(&id) => self.groups.join_again(id),
                (_, _) => {}
            }
        }
    }

    pub(super) fn retry_groups(&mut self) {
        for (link, address) in self.groups.retry() {
            let interface = self.links.get(&link).map_or("", |link| link.name.as_str());
            info!(event = "groupJoined", %address, interface, "joined the address's solicited-node group at last");
        }
    }
}
