//! The frames of the machine: which questions it answers, and what it says.

use std::net::IpAddr;

use crate::announcer::Form;
use crate::link::Link;
use crate::wire::{Advertisement, Arp, Frame, Mac, Operation, Packet};

/// The address that a packet asks for, if it is a question that can be answered. Announcements ask nothing, and
/// an answer to a group address would go to everybody.
pub(super) fn asked_for(packet: &Packet) -> Option<IpAddr> {
    match packet {
        Packet::Arp(arp) => {
            let question =
                arp.operation == Operation::Request && !arp.is_gratuitous() && arp.sender_mac.is_unicast();
            question.then_some(arp.target_ip.into())
        }
        Packet::Solicitation(solicitation) => {
            let question = solicitation.source_link_layer.is_none_or(Mac::is_unicast);
            question.then_some(solicitation.target.into())
        }
        Packet::Advertisement(_) => None,
    }
}

/// The answer to a question that came by a link.
pub(super) fn answer(question: &Frame, here: &Link) -> Option<Frame> {
    match &question.packet {
        Packet::Arp(arp) => Some(arp.reply_from(here.mac)),
        Packet::Solicitation(solicitation) => {
            Some(solicitation.answer_from(here.mac, here.router, question.source))
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
