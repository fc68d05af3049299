//! What is found to be wrong with who answers for an address: a condition of the report, an Event and a metric.

use std::sync::Arc;

use ferrolb_crds::service_l2_status::{ADDRESS_CONFLICT, PROXY_ARP, STRICT_ARP_REQUIRED, WRONG_ANSWER};

use crate::wire::Mac;

/// Something that users should mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// A host that is no speaker answers for the address, beside this node or in its place.
    AddressConflict {
        /// Its hardware address.
        mac: Mac,
    },
    /// A host answers that does so for other hosts' addresses as well (RFC 1027). The address is announced nevertheless.
    ProxyArp {
        /// Its hardware address.
        mac: Mac,
    },
    /// This node watches the owner, and asked everybody for the address: not the owner alone answered.
    WrongAnswer {
        /// The owner.
        owner: Arc<str>,
        /// The hardware address that somebody else named; `None`: nobody answered.
        mac: Option<Mac>,
    },
    /// The address is local to this node, and its kernel answers for it on interfaces that announce.
    StrictArpRequired {
        /// The interface that has the address.
        interface: Arc<str>,
        /// It is the one that announces as well.
        is_announcing: bool,
    },
}

impl Finding {
    /// Whether it keeps an address from being announced.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::AddressConflict { .. })
    }

    /// The type of the condition, which is the reason of the Event as well.
    pub fn condition(&self) -> &'static str {
        match self {
            Self::AddressConflict { .. } => ADDRESS_CONFLICT,
            Self::ProxyArp { .. } => PROXY_ARP,
            Self::WrongAnswer { .. } => WRONG_ANSWER,
            Self::StrictArpRequired { .. } => STRICT_ARP_REQUIRED,
        }
    }

    /// The reason of the condition: one CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AddressConflict { .. } => "AnsweredByStranger",
            Self::ProxyArp { .. } => "AnsweredByProxy",
            Self::WrongAnswer { mac: Some(_), .. } => "AnsweredByAnother",
            Self::WrongAnswer { mac: None, .. } => "Unanswered",
            Self::StrictArpRequired { .. } => "AnsweredByKernel",
        }
    }

    /// What there is to say to people, and what they can do about it.
    pub fn message(&self, addresses: &str) -> String {
        match self {
            Self::AddressConflict { mac } => format!(
                "{mac}, which is no speaker, answers for {addresses} too: find that host and give it another address, or exclude the address from its pool"
            ),
            Self::ProxyArp { mac } => format!(
                "{mac} answers for {addresses}, as it does for the addresses of nodes: switch proxy ARP off on that host's interface"
            ),
            Self::WrongAnswer { owner, mac: Some(mac) } => format!(
                "{mac} answers for {addresses} beside its owner {owner}: find that host, and give it another address; if it is a node, set arp_ignore (strictARP of kube-proxy) there"
            ),
            Self::WrongAnswer { owner, mac: None } => format!(
                "{owner} answers for {addresses} when it is asked alone, and not when everybody is asked: see that the network delivers broadcasts and multicasts between nodes"
            ),
            Self::StrictArpRequired { interface, is_announcing: false } => format!(
                "this node has {addresses} on {interface}, and its kernel answers for that: set strictARP of kube-proxy, or net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2"
            ),
            Self::StrictArpRequired { interface, is_announcing: true } => format!(
                "this node has {addresses} on {interface}, which announces, and its kernel answers for that: remove it there, or exclude the address from its pool; strictARP does not help"
            ),
        }
    }
}

/// Things with commas between them, as messages have them.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
