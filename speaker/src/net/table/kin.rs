//! How an interface lies on others.

use netlink_packet_route::link::{InfoKind, InfoPortKind, LinkAttribute, LinkInfo, LinkMessage};

use crate::link::LinkId;

/// What an interface is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kin {
    /// The interface that it is a port of.
    pub(super) master: Option<LinkId>,
    /// What leaves by its master leaves by it, with the hardware address that the master chooses: it is a port of a bond
    /// or team.
    pub(super) is_aggregated: bool,
    /// It is a port of a bridge, a bond or the like.
    pub(super) is_enslaved: bool,
    /// It is a macvlan, an ipvlan or the like.
    pub(super) is_child: bool,
    /// The interface that it is a VLAN of.
    pub(super) parent: Option<LinkId>,
    /// Others may lie below it.
    pub(super) is_upper: bool,
}

impl Kin {
    /// Reads a full description: what is not told of is not there.
    pub(super) fn read(link: &LinkMessage) -> Self {
        let (mut master, mut parent) = (None, None);
        for attribute in &link.attributes {
            if let LinkAttribute::Controller(index) = attribute {
                master = Some(LinkId(*index)).filter(|_| *index != 0);
            } else if let LinkAttribute::Link(index) = attribute {
                parent = Some(LinkId(*index));
            }
        }
        // Of other kinds it may be an interface of another network namespace.
        let parent = parent.filter(|_| is_kind(link, &[InfoKind::Vlan]));
        let port_of = |kind: InfoPortKind| infos(link).any(|info| *info == LinkInfo::PortKind(kind.clone()));
        Self {
            master,
            is_aggregated: master.is_some() && (port_of(InfoPortKind::Bond) || port_of(InfoPortKind::Team)),
            // A VRF leaves its interfaces to themselves.
            is_enslaved: master.is_some() && !port_of(InfoPortKind::Vrf),
            is_child: is_kind(
                link,
                &[InfoKind::MacVlan, InfoKind::MacVtap, InfoKind::IpVlan, InfoKind::IpVtap],
            ),
            parent,
            is_upper: is_kind(link, &[InfoKind::Bond, InfoKind::Team, InfoKind::Bridge, InfoKind::Vlan]),
        }
    }
}

fn is_kind(link: &LinkMessage, kinds: &[InfoKind]) -> bool {
    infos(link).any(|info| matches!(info, LinkInfo::Kind(kind) if kinds.contains(kind)))
}

fn infos(link: &LinkMessage) -> impl Iterator<Item = &LinkInfo> {
    let lists = link.attributes.iter().filter_map(|attribute| {
        let LinkAttribute::LinkInfo(infos) = attribute else { return None };
        Some(infos)
    });
    lists.flatten()
}
