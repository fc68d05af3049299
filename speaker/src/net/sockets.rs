//! The packet sockets of all links.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound::{Excluded, Unbounded};
use std::task::{Context, Poll};

use super::exclusion::Patterns;
use super::{FrameSocket, Protocol};
use crate::link::{LinkId, Links};
use crate::wire::Packet;

/// One socket for each link and protocol.
///
/// With each socket comes a value `T`, made when it is opened.
#[derive(Debug)]
pub struct Sockets<T> {
    open: BTreeMap<Port, (FrameSocket, T)>,
    /// The port that received last: the others come first next time.
    last: Option<Port>,
}

/// A link and a protocol on it.
pub type Port = (LinkId, Protocol);

/// What became of a socket.
#[derive(Debug)]
pub enum Opened {
    /// It is open.
    Yes,
    /// It could not be opened, and is worth another try.
    No(io::Error),
}

impl<T> Default for Sockets<T> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), last: None }
    }
}

impl<T> Sockets<T> {
    /// Closes the sockets of links that are gone and opens those that are missing, promiscuously where the link's name
    /// matches; gives those that it tried to open. Must be called within a runtime.
    pub fn sync(
        &mut self,
        links: &Links,
        promiscuous: &Patterns,
        make: impl Fn(Port) -> T,
    ) -> Vec<(Port, Opened)> {
        self.open.retain(|(link, _), _| links.contains_key(link));
        let wanted = links.keys().flat_map(|&link| Protocol::ALL.map(|protocol| (link, protocol)));
        let missing: Vec<Port> = wanted.filter(|port| !self.open.contains_key(port)).collect();
        let named = |link: LinkId| links.get(&link).is_some_and(|link| promiscuous.matches(&link.name));
        let open_one = |(link, protocol): Port| {
            let socket = FrameSocket::open(link, protocol)?;
            if named(link) {
                socket.set_promiscuous(link)?;
            }
            Ok(socket)
        };
        let open = |port: Port| match open_one(port) {
            Ok(socket) => {
                self.open.insert(port, (socket, make(port)));
                (port, Opened::Yes)
            }
            Err(error) => (port, Opened::No(error)),
        };
        missing.into_iter().map(open).collect()
    }

    /// Receives a frame from any socket, in turn.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(Port, io::Result<usize>)> {
        let others = self.open.range((self.last.map_or(Unbounded, Excluded), Unbounded));
        let rest = self.last.map(|last| self.open.range(..=last)).into_iter().flatten();
        for (&port, (socket, _)) in others.chain(rest) {
            if let Poll::Ready(result) = socket.poll_receive(cx, buffer) {
                self.last = Some(port);
                return Poll::Ready((port, result));
            }
        }
        Poll::Pending
    }

    /// The socket on which a packet is sent, and the value that came with it.
    pub fn get(&self, link: LinkId, packet: &Packet) -> Option<(&FrameSocket, &T)> {
        let protocol = match packet {
            Packet::Arp(_) => Protocol::Arp,
            Packet::Solicitation(_) | Packet::Advertisement(_) => Protocol::Ndp,
        };
        self.open.get(&(link, protocol)).map(|(socket, value)| (socket, value))
    }

    /// The value that came with a socket.
    pub fn value(&self, port: Port) -> Option<&T> {
        self.open.get(&port).map(|(_, value)| value)
    }

    /// All sockets, with their values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Port, &mut FrameSocket, &T)> {
        self.open.iter_mut().map(|(&port, (socket, value))| (port, socket, &*value))
    }
}
