//! What frames mean to the machine, and the frames that it sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::announcer::Form;
use crate::link::Link;
use crate::wire::{
    ALL_NODES, Advertisement, Arp, Frame, Mac, Operation, Packet, Solicitation, solicited_node,
};

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// Somebody asks who has an address.
    Question {
        address: IpAddr,
        /// It claims no address of its own.
        probe: bool,
    },
    /// Somebody says who has an address.
    Statement {
        address: IpAddr,
        /// Where its traffic is to go.
        receiver: Mac,
        /// It claims the address unasked, or may do so.
        claim: bool,
    },
    /// Nothing that matters here.
    Nothing,
}

/// Reads a frame. Announcements ask nothing, and an answer to a group address would go to everybody.
pub(crate) fn speech(packet: &Packet) -> Speech {
    match packet {
        Packet::Arp(arp) if !arp.sender_mac.is_unicast() => Speech::Nothing,
        Packet::Arp(arp) if arp.is_gratuitous() => {
            Speech::Statement { address: arp.sender_ip.into(), receiver: arp.sender_mac, claim: true }
        }
        Packet::Arp(arp) => match arp.operation {
            Operation::Request => Speech::Question { address: arp.target_ip.into(), probe: arp.is_probe() },
            Operation::Reply => {
                Speech::Statement { address: arp.sender_ip.into(), receiver: arp.sender_mac, claim: false }
            }
        },
        Packet::Solicitation(solicitation) => {
            if solicitation.source_link_layer.is_none_or(Mac::is_unicast) {
                Speech::Question {
                    address: solicitation.target.into(),
                    probe: solicitation.is_duplicate_check(),
                }
            } else {
                Speech::Nothing
            }
        }
        Packet::Advertisement(advertisement) => match advertisement.target_link_layer {
            Some(receiver) if receiver.is_unicast() => Speech::Statement {
                address: advertisement.target.into(),
                receiver,
                claim: !advertisement.solicited,
            },
            Some(_) | None => Speech::Nothing,
        },
    }
}

/// The answer to a question that came by a link: `receiver` gets the traffic. Where that is not the link itself, the
/// frame and its IPv6 source still are those of the link, and say who speaks.
pub(super) fn answer(question: &Frame, here: &Link, receiver: Mac) -> Option<Frame> {
    match &question.packet {
        Packet::Arp(arp) => Some(Frame { source: here.mac, ..arp.reply_from(receiver) }),
        Packet::Solicitation(solicitation) => {
            let mut answer = solicitation.answer_from(receiver, here.router, question.source);
            if receiver != here.mac
                && let Packet::Advertisement(advertisement) = &mut answer.packet
            {
                advertisement.source = here.link_local()?;
            }
            Some(Frame { source: here.mac, ..answer })
        }
        Packet::Advertisement(_) => None,
    }
}

/// The frame that announces an address on a link. There is none where the form is not one of the address's family.
pub(super) fn announcement(address: IpAddr, form: Form, here: &Link) -> Option<Frame> {
    match (address, form) {
        (IpAddr::V4(address), Form::Request) => Some(Arp::announcement(here.mac, address)),
        (IpAddr::V4(address), Form::Reply) => Some(Arp::announcement_reply(here.mac, address)),
        (IpAddr::V4(address), Form::Question(gateway)) => Some(Arp::question(here.mac, address, gateway)),
        (IpAddr::V6(address), Form::Advertisement) => {
            Some(Advertisement::announcement(here.mac, address, here.router))
        }
        (IpAddr::V4(_), Form::Advertisement)
        | (IpAddr::V6(_), Form::Request | Form::Reply | Form::Question(_)) => None,
    }
}

/// The first announcement of an address on a link.
pub(super) fn first_announcement(address: IpAddr, here: &Link) -> Option<Frame> {
    let form = if address.is_ipv4() { Form::Request } else { Form::Advertisement };
    announcement(address, form, here)
}

/// Asks everybody who has an address, without claiming one.
pub(super) fn probe(address: IpAddr, here: &Link) -> Frame {
    match address {
        IpAddr::V4(address) => Arp::probe(here.mac, address),
        IpAddr::V6(address) => to_all_nodes(Solicitation::duplicate_check(here.mac, address)),
    }
}

/// Asks everybody who has an address, in the name of this node's own address.
pub(crate) fn question(address: IpAddr, here: &Link) -> Frame {
    match address {
        IpAddr::V4(address) => {
            let own = here.ipv4().next().unwrap_or(Ipv4Addr::UNSPECIFIED);
            Arp::question(here.mac, own, address)
        }
        IpAddr::V6(address) => match here.link_local() {
            Some(own) => to_all_nodes(solicitation(here.mac, own, address)),
            None => probe(address.into(), here),
        },
    }
}

/// Whether a link has an address in whose name it can ask for others.
pub(crate) fn can_ask(address: IpAddr, here: &Link) -> bool {
    if address.is_ipv4() { here.ipv4().next().is_some() } else { here.link_local().is_some() }
}

/// Asks one host.
pub(super) fn ask(address: IpAddr, here: &Link, host: Mac) -> Frame {
    Frame { destination: host, ..question(address, here) }
}

/// Offers an address to one host.
pub(super) fn offer(address: IpAddr, here: &Link, host: Mac) -> Frame {
    Frame { destination: host, ..probe(address, here) }
}

/// Nodes that back an address up are not in its solicited-node group, but hear what goes to all nodes.
fn to_all_nodes(frame: Frame) -> Frame {
    Frame { destination: Mac::multicast(ALL_NODES), ..frame }
}

fn solicitation(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Frame {
    let destination = solicited_node(target);
    Frame {
        source: mac,
        destination: Mac::multicast(destination),
        packet: Packet::Solicitation(Solicitation {
            source,
            destination,
            target,
            source_link_layer: Some(mac),
        }),
    }
}

/// Accepts an address that a host offered.
pub(super) fn acceptance(address: IpAddr, here: &Link, host: Mac) -> Frame {
    let frame = match address {
        IpAddr::V4(address) => Arp {
            operation: Operation::Request,
            sender_mac: host,
            sender_ip: Ipv4Addr::UNSPECIFIED,
            target_mac: Mac::ZERO,
            target_ip: address,
        }
        .reply_from(here.mac),
        IpAddr::V6(address) => Advertisement::announcement(here.mac, address, here.router),
    };
    Frame { destination: host, ..frame }
}
