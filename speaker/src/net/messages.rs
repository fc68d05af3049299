//! What a datagram of netlink says, and how a dump is asked for. Pure.

use std::io;

use netlink_packet_core::{
    DecodeError, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

/// Tells that a setting such as forwarding changed, which no other message does.
const RTM_NEWNETCONF: u16 = 80;
const HEADER_LEN: usize = 16;

/// What a message says.
#[derive(Debug)]
pub(super) enum Told {
    /// A link, an address or a route is there, has changed, or is gone.
    Changed(RouteNetlinkMessage),
    /// Something happened that only a fresh dump shows.
    Stale,
    /// The dump under way is at its end.
    Done,
    /// The kernel refused a request.
    Refused(io::Error),
    /// A message of this type can't be read.
    Unreadable(u16, DecodeError),
}

/// The datagram that asks for everything of the request's kind.
pub(super) fn dump(request: RouteNetlinkMessage) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// What the messages of a datagram say, in their order.
pub(super) fn read(mut datagram: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some((kind, bytes, rest)) = split_message(datagram) {
        datagram = rest;
        if kind == RTM_NEWNETCONF {
            told.push(Told::Stale);
            continue;
        }
        let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
            Ok(message) => message,
            Err(error) => {
                told.push(Told::Unreadable(kind, error));
                continue;
            }
        };
        // The state changed while it was dumped.
        if message.header.flags & NLM_F_DUMP_INTR != 0 {
            told.push(Told::Stale);
        }
        match message.payload {
            NetlinkPayload::InnerMessage(message) => {
                // IPv4 routes that need an address go with it, of which the kernel says nothing.
                if matches!(&message, RouteNetlinkMessage::DelAddress(address)
                    if address.header.family == AddressFamily::Inet)
                {
                    told.push(Told::Stale);
                }
                told.push(Told::Changed(message));
            }
            NetlinkPayload::Done(_) => told.push(Told::Done),
            NetlinkPayload::Error(error) if error.code.is_some() => told.push(Told::Refused(error.to_io())),
            NetlinkPayload::Overrun(_) => told.push(Told::Stale),
            NetlinkPayload::Error(_) | NetlinkPayload::Noop | _ => {}
        }
    }
    told
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
