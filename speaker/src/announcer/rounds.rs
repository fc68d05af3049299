//! What is said in which round.
//!
//! | round | ARP | NDP |
//! |---|---|---|
//! | 0 | request; then reply, and a question to each gateway | advertisement |
//! | 1, 2 | request, reply | advertisement |
//! | 3, 4 | request, reply | advertisement (a refresh) |
//! | later | request (a refresh) | advertisement (a refresh) |

use std::net::{IpAddr, Ipv4Addr};

/// Rounds of the burst for IPv4.
const ARP_ROUNDS: u32 = 5;
/// Rounds of the burst for IPv6 (MAX_NEIGHBOR_ADVERTISEMENT, RFC 4861 section 10).
const NDP_ROUNDS: u32 = 3;

/// What an announcement is sent for. Where not all can be sent, what is less goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The first frame after the address was taken over or the link changed.
    First,
    /// Another frame of the burst.
    Repeat,
    /// A repetition for good measure, for as long as the address is owned.
    Refresh,
}

/// What an announcement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A gratuitous ARP request.
    Request,
    /// A gratuitous ARP reply.
    Reply,
    /// An ARP request from the address to a gateway, for gateways that take no gratuitous ARP.
    Question(Ipv4Addr),
    /// An unsolicited neighbour advertisement.
    Advertisement,
}

/// How far the announcing of an address has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    round: u32,
    /// Frames of the round that were sent.
    step: usize,
}

/// What follows a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another of the same round.
    Step,
    /// The next round.
    Round,
}

impl Kind {
    /// One lower-case word, for a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Kind::First => "first",
            Kind::Repeat => "repeat",
            Kind::Refresh => "refresh",
        }
    }
}

impl Progress {
    pub(super) fn round(self) -> u32 {
        self.round
    }

    /// What the next frame is sent for.
    pub(super) fn kind(self, address: IpAddr) -> Kind {
        if is_refresh(address, self.round) {
            Kind::Refresh
        } else if (self.round, self.step) == (0, 0) {
            Kind::First
        } else {
            Kind::Repeat
        }
    }

    /// What the next frame says. `None` if there is none, as there are less gateways than there were.
    pub(super) fn form(self, address: IpAddr, gateways: &[Ipv4Addr]) -> Option<Form> {
        match (address, self.step) {
            (IpAddr::V6(_), _) => Some(Form::Advertisement),
            (IpAddr::V4(_), 0) => Some(Form::Request),
            (IpAddr::V4(_), 1) => Some(Form::Reply),
            (IpAddr::V4(_), step) => gateways.get(step - 2).copied().map(Form::Question),
        }
    }

    /// Goes on by one frame.
    pub(super) fn advance(&mut self, address: IpAddr, gateways: usize) -> Next {
        let steps = match address {
            IpAddr::V4(_) if self.round == 0 => 2 + gateways,
            IpAddr::V4(_) if self.round < ARP_ROUNDS => 2,
            IpAddr::V4(_) | IpAddr::V6(_) => 1,
        };
        self.step += 1;
        if self.step < steps {
            return Next::Step;
        }
        *self = Progress { round: self.round.saturating_add(1), step: 0 };
        Next::Round
    }
}

/// Whether the burst is over in this round, counted from 0.
pub(super) fn is_refresh(address: IpAddr, round: u32) -> bool {
    match address {
        IpAddr::V4(_) => round >= ARP_ROUNDS,
        IpAddr::V6(_) => round >= NDP_ROUNDS,
    }
}
