//! What makes the kernel answer ARP by itself: the addresses of all interfaces, and `arp_ignore`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Once};

use netlink_packet_route::address::{AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use tracing::debug;

use super::messages::{self, Told};
use super::table::{in_use, own_address};
use crate::link::{LinkId, Links};
use crate::strict_arp::answers::{Holder, Listener, Local};

/// Settings of IPv4 by interface; see ip-sysctl of the kernel's documentation.
const SETTINGS: &str = "/proc/sys/net/ipv4/conf";
/// How often a dump is made that is no picture of one moment.
const ATTEMPTS: u8 = 5;

/// The node's addresses can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The netlink socket can't be opened or read.
    #[error("netlink: {0}")]
    Socket(#[from] io::Error),
    /// The kernel refused to list interfaces or addresses.
    #[error("the kernel refused to list addresses: {0}")]
    Refused(io::Error),
    /// Something changed whenever they were read.
    #[error("the addresses did not stay the same while they were listed")]
    Unsteady,
}

/// The wanted ones of the addresses that any interface of the node has and that are in use. VRFs are not told apart.
/// Blocks while the kernel lists them.
///
/// # Errors
/// When they can't be read.
pub fn local_addresses(wanted: impl Fn(IpAddr) -> bool) -> Result<Local, LocalError> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut names: BTreeMap<LinkId, Arc<str>> = BTreeMap::new();
    for message in dump(&socket, RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
        if let RouteNetlinkMessage::NewLink(message) = message
            && message.header.interface_family == AddressFamily::Unspec
            && let Some(name) = name(&message)
        {
            names.insert(LinkId(message.header.index), name.into());
        }
    }
    let mut local = Local::new();
    for message in dump(&socket, RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        if let RouteNetlinkMessage::NewAddress(message) = message
            && in_use(&message)
            && let Some(address) = own_address(&message).filter(|address| wanted(*address))
            && let Some(interface) = names.get(&LinkId(message.header.index))
        {
            local.entry(address).or_default().push(Holder {
                link: LinkId(message.header.index),
                interface: interface.clone(),
                is_host_scope: message.header.scope == AddressScope::Host,
            });
        }
    }
    Ok(local)
}

/// The links that are up, and `arp_ignore` of each; those without IPv4 in the kernel are left out.
pub fn listeners(links: &Links) -> Vec<Listener> {
    let all = arp_ignore("all").unwrap_or(0);
    let up = links.iter().filter(|(_, link)| link.up);
    let listener = |(&link, known): (&LinkId, &crate::link::Link)| {
        let own = arp_ignore(&known.name)?;
        Some(Listener { link, interface: known.name.as_str().into(), arp_ignore: all.max(own) })
    };
    up.filter_map(listener).collect()
}

/// An interface's setting; `None` where there is none, as the kernel has no IPv4 there. One that can't be read counts as
/// the kernel's default.
fn arp_ignore(interface: &str) -> Option<i32> {
    static UNREADABLE: Once = Once::new();
    let read = fs::read_to_string(Path::new(SETTINGS).join(interface).join("arp_ignore"));
    let parsed = read.and_then(|text| text.trim().parse().map_err(io::Error::other));
    match parsed {
        Ok(value) => Some(value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            UNREADABLE.call_once(|| debug!(interface, %error, "can't read arp_ignore: it counts as 0"));
            Some(0)
        }
    }
}

/// Everything of a kind, as it was at one moment.
fn dump(socket: &Socket, request: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, LocalError> {
    let request = messages::dump(request);
    for _ in 0..ATTEMPTS {
        socket.send(&request, 0)?;
        let (mut items, mut is_stale, mut is_done) = (Vec::new(), false, false);
        while !is_done {
            let (datagram, _) = socket.recv_from_full()?;
            for told in messages::read(&datagram) {
                match told {
                    Told::Changed(message) => items.push(message),
                    Told::Stale => is_stale = true,
                    Told::Done => is_done = true,
                    Told::Refused(error) => return Err(LocalError::Refused(error)),
                    // The watch of links meets the same message, and warns.
                    Told::Unreadable(kind, error) => debug!(%error, kind, "a netlink message can't be read"),
                }
            }
        }
        if !is_stale {
            return Ok(items);
        }
    }
    Err(LocalError::Unsteady)
}

fn name(message: &LinkMessage) -> Option<&str> {
    message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::IfName(name) = attribute else { return None };
        Some(name.as_str())
    })
}
