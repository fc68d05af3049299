//! What the loop keeps up beside frames: sockets, groups, and what the kernel counts.

use tracing::{debug, info, warn};

use super::Driver;
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
            match socket.drops() {
                Ok(drops) => {
                    let new = drops.saturating_sub(metrics.kernel_drops.get());
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

    pub(super) fn retry_groups(&mut self) {
        for (link, address) in self.groups.retry() {
            let interface = self.links.get(&link).map_or("", |link| link.name.as_str());
            info!(event = "groupJoined", %address, interface, "joined the address's solicited-node group at last");
        }
    }
}
