//! Follows the node's links by netlink, as they change.

use std::collections::VecDeque;
use std::io;

use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tracing::{debug, warn};

use super::exclusion::Patterns;
use super::messages::{self, Told};
use super::table::Table;
use crate::link::Links;

// Multicast groups of linux/rtnetlink.h.
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_NETCONF: u32 = 25;

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
        self.socket.send(&messages::dump(message)).await?;
        Ok(())
    }

    /// Takes up all messages of one datagram.
    async fn handle(&mut self, datagram: &[u8]) -> Result<(), LinkError> {
        for told in messages::read(datagram) {
            match told {
                Told::Changed(message) => self.table.apply(&message),
                Told::Stale => self.stale = true,
                Told::Done => {
                    self.pending.pop_front();
                    self.request().await?;
                }
                Told::Refused(error) => return Err(LinkError::Refused(error)),
                Told::Unreadable(kind, error) => {
                    warn!(%error, kind, "a netlink message can't be read: skipped")
                }
            }
        }
        Ok(())
    }
}
