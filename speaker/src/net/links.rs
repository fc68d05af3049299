//! Follows the node's links by netlink, as they change.

use std::collections::VecDeque;
use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tracing::{debug, warn};

use super::exclusion::Patterns;
use super::table::Table;
use crate::link::Links;

// Multicast groups of linux/rtnetlink.h.
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_NETCONF: u32 = 25;
/// Tells that a setting such as forwarding changed, which no other message does.
const RTM_NEWNETCONF: u16 = 80;
const HEADER_LEN: usize = 16;

/// The kernel can't be asked for links.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The netlink socket can't be opened or read.
    #[error("netlink: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused to list interfaces or addresses.
    #[error("the kernel refused to list links: {0}")]
    Refused(io::Error),
}

/// A subscription to the kernel's interfaces and addresses.
///
/// Notifications and dumps come through one socket, so that they are applied in the order in which the kernel
/// made them. When the kernel had to drop notifications, everything is asked for again.
pub struct LinkWatch {
    socket: TokioSocket,
    table: Table,
    /// Dumps still to be made before the table is whole; the first one is under way.
    pending: VecDeque<Dump>,
    /// The dump under way is inconsistent, or something changed that only a dump tells.
    stale: bool,
    current: Option<Links>,
}

#[derive(Clone, Copy, Debug)]
enum Dump {
    Interfaces,
    Addresses,
    Routes,
}

impl LinkWatch {
    /// Subscribes. Must be called within a runtime.
    ///
    /// # Errors
    /// When the netlink socket can't be opened.
    pub fn open(patterns: Patterns) -> Result<Self, LinkError> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let raw = socket.socket_mut();
        raw.bind(&SocketAddr::new(0, 0))?;
        for group in
            [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_NETCONF]
        {
            raw.add_membership(group)?;
        }
        let table = Table::new(patterns);
        Ok(Self { socket, table, pending: VecDeque::new(), stale: true, current: None })
    }

    /// Waits until the links differ from those returned last, and returns them. The first call returns what
    /// is there. A call that is dropped before it ends must not be followed by another one.
    ///
    /// # Errors
    /// When the socket fails for good.
    pub async fn changed(&mut self) -> Result<Links, LinkError> {
        loop {
            if self.pending.is_empty() {
                if self.stale {
                    self.stale = false;
                    self.table.clear();
                    self.pending.extend([Dump::Interfaces, Dump::Addresses, Dump::Routes]);
                    self.request().await?;
                } else {
                    let links = self.table.links();
                    if self.current.as_ref() != Some(&links) {
                        debug!(excluded = ?self.table.excluded().collect::<Vec<_>>(), "links changed");
                        self.current = Some(links.clone());
                        return Ok(links);
                    }
                }
            }
            match self.socket.recv_from_full().await {
                Ok((bytes, _)) => self.handle(&bytes).await?,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    warn!("the kernel dropped link notifications: asking for everything again");
                    self.stale = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn request(&self) -> Result<(), LinkError> {
        let message = match self.pending.front() {
            Some(Dump::Interfaces) => RouteNetlinkMessage::GetLink(LinkMessage::default()),
            Some(Dump::Addresses) => RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            Some(Dump::Routes) => {
                let mut message = RouteMessage::default();
                message.header.address_family = AddressFamily::Inet;
                RouteNetlinkMessage::GetRoute(message)
            }
            None => return Ok(()),
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes).await?;
        Ok(())
    }

    /// Takes up all messages of one datagram.
    async fn handle(&mut self, mut datagram: &[u8]) -> Result<(), LinkError> {
        while let Some((kind, bytes, rest)) = split_message(datagram) {
            datagram = rest;
            if kind == RTM_NEWNETCONF {
                self.stale = true;
                continue;
            }
            let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
                Ok(message) => message,
                Err(error) => {
                    warn!(%error, kind, "a netlink message can't be read: skipped");
                    continue;
                }
            };
            // The state changed while it was dumped.
            self.stale |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(message) => {
                    // IPv4 routes that need an address go with it, of which the kernel says nothing.
                    self.stale |= matches!(&message, RouteNetlinkMessage::DelAddress(address)
                        if address.header.family == AddressFamily::Inet);
                    self.table.apply(&message);
                }
                NetlinkPayload::Done(_) => {
                    self.pending.pop_front();
                    self.request().await?;
                }
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(LinkError::Refused(error.to_io()));
                }
                NetlinkPayload::Overrun(_) => self.stale = true,
                NetlinkPayload::Error(_) | NetlinkPayload::Noop | _ => {}
            }
        }
        Ok(())
    }
}

/// Splits the first message off a datagram: its type, its bytes, and what follows.
fn split_message(datagram: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = datagram.first_chunk::<HEADER_LEN>()?;
    let [a, b, c, d, kind_low, kind_high, ..] = *header;
    let length =
        usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok().filter(|&length| length >= HEADER_LEN)?;
    let message = datagram.get(..length)?;
    let rest = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes([kind_low, kind_high]), message, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_split_into_its_messages() {
        let mut datagram = Vec::new();
        for (kind, length) in [(16_u16, 18_u32), (80, 16)] {
            let start = datagram.len();
            datagram.extend(length.to_ne_bytes());
            datagram.extend(kind.to_ne_bytes());
            datagram.resize(start + usize::try_from(length).unwrap().next_multiple_of(4), 0);
        }
        let (kind, message, rest) = split_message(&datagram).unwrap();
        assert_eq!((kind, message.len()), (16, 18));
        let (kind, message, rest) = split_message(rest).unwrap();
        assert_eq!((kind, message.len(), rest.len()), (80, 16, 0));
        assert!(split_message(rest).is_none());
    }

    #[test]
    fn a_message_with_a_lying_length_ends_the_datagram() {
        for length in [0_u32, 15, 17, u32::MAX] {
            let mut datagram = vec![0; HEADER_LEN];
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(split_message(&datagram).is_none(), "{length}");
        }
    }
}
