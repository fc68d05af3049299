//! Membership in solicited-node groups, so that the network card lets questions through and snooping switches
//! forward them here: the kernel sends the MLD reports.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv6Addr;

use socket2::{Domain, Socket, Type};

use crate::link::LinkId;
use crate::wire::solicited_node;

/// The groups that this process has joined.
///
/// Joins are charged to a socket's option memory, which is enough for some hundreds: when one socket is full,
/// the next is opened.
#[derive(Debug, Default)]
pub struct Groups {
    sockets: Vec<Member>,
    joined: BTreeMap<(LinkId, Ipv6Addr), Membership>,
    /// Addresses whose group could not be joined.
    missing: BTreeSet<(LinkId, Ipv6Addr)>,
}

#[derive(Debug)]
struct Member {
    socket: Socket,
    full: bool,
}

#[derive(Debug)]
struct Membership {
    /// Index of the socket that joined.
    socket: usize,
    /// The addresses that need it; groups are shared by addresses with the same last three octets.
    addresses: BTreeSet<Ipv6Addr>,
}

impl Groups {
    /// Joins the group of an address on a link, unless it is joined already. If it fails, it is one for
    /// [`retry`](Self::retry).
    ///
    /// # Errors
    /// `ENODEV` or `EINVAL` if the interface is gone or has no IPv6.
    pub fn join(&mut self, link: LinkId, address: Ipv6Addr) -> io::Result<()> {
        let result = self.try_join(link, address);
        if result.is_err() {
            self.missing.insert((link, address));
        }
        result
    }

    /// Tries again what failed, and returns the addresses whose groups are joined now.
    pub fn retry(&mut self) -> Vec<(LinkId, Ipv6Addr)> {
        let mut joined: Vec<_> = self.missing.iter().copied().collect();
        joined.retain(|&(link, address)| self.try_join(link, address).is_ok());
        for address in &joined {
            self.missing.remove(address);
        }
        joined
    }

    /// Has all groups of a link joined anew by [`retry`](Self::retry): the kernel forgets them, and does not say so, when it
    /// takes IPv6 off an interface.
    pub fn join_again(&mut self, link: LinkId) {
        let of_link = (link, Ipv6Addr::UNSPECIFIED)..=(link, Ipv6Addr::from_bits(u128::MAX));
        let groups: Vec<_> = self.joined.range(of_link).map(|(&(_, group), _)| group).collect();
        for group in groups {
            let Some(membership) = self.joined.remove(&(link, group)) else { continue };
            self.missing.extend(membership.addresses.iter().map(|address| (link, *address)));
            self.leave_group(link, group, &membership);
        }
    }

    fn try_join(&mut self, link: LinkId, address: Ipv6Addr) -> io::Result<()> {
        let group = solicited_node(address);
        if let Some(membership) = self.joined.get_mut(&(link, group)) {
            membership.addresses.insert(address);
            return Ok(());
        }
        let socket = self.join_somewhere(link, group)?;
        self.joined.insert((link, group), Membership { socket, addresses: BTreeSet::from([address]) });
        Ok(())
    }

    /// Leaves the group of an address on a link, unless another address needs it.
    pub fn leave(&mut self, link: LinkId, address: Ipv6Addr) {
        self.missing.remove(&(link, address));
        let group = solicited_node(address);
        let Some(membership) = self.joined.get_mut(&(link, group)) else { return };
        membership.addresses.remove(&address);
        if !membership.addresses.is_empty() {
            return;
        }
        if let Some(membership) = self.joined.remove(&(link, group)) {
            self.leave_group(link, group, &membership);
        }
    }

    fn leave_group(&mut self, link: LinkId, group: Ipv6Addr, membership: &Membership) {
        if let Some(member) = self.sockets.get_mut(membership.socket) {
            // It fails only where the interface is gone, and the membership with it.
            _ = member.socket.leave_multicast_v6(&group, link.0);
            member.full = false;
        }
    }

    fn join_somewhere(&mut self, link: LinkId, group: Ipv6Addr) -> io::Result<usize> {
        for (index, member) in self.sockets.iter_mut().enumerate().filter(|(_, member)| !member.full) {
            match member.socket.join_multicast_v6(&group, link.0) {
                Err(error) if is_full(&error) => member.full = true,
                result => return result.map(|()| index),
            }
        }
        let socket = Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?;
        socket.join_multicast_v6(&group, link.0)?;
        self.sockets.push(Member { socket, full: false });
        Ok(self.sockets.len() - 1)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS))
}
