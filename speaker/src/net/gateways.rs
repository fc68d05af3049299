//! The default gateways of links.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

use crate::link::LinkId;

/// IPv4 default routes as the kernel last told them.
#[derive(Clone, Debug, Default)]
pub(super) struct Gateways(BTreeMap<Route, Vec<(LinkId, Ipv4Addr)>>);

/// Table and priority: of each there is one default route, and a new one takes its place.
type Route = (u32, u32);

impl Gateways {
    /// Takes up a route that is new, or changed.
    pub(super) fn add(&mut self, message: &RouteMessage) {
        let Some((route, hops)) = read(message) else { return };
        self.0.insert(route, hops);
    }

    /// Takes up that a route is gone.
    pub(super) fn remove(&mut self, message: &RouteMessage) {
        let Some((route, hops)) = read(message) else { return };
        if self.0.get(&route) == Some(&hops) {
            self.0.remove(&route);
        }
    }

    /// Forgets the gateways of a link that is down or gone: the kernel removes their routes without a word.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.0.values_mut().for_each(|hops| hops.retain(|(via, _)| *via != link));
    }

    /// Forgets everything, before a fresh dump.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The gateways of a link, each once.
    pub(super) fn of(&self, link: LinkId) -> Vec<Ipv4Addr> {
        let hops = self.0.values().flatten().filter(|(via, _)| *via == link);
        let mut gateways: Vec<_> = hops.map(|(_, gateway)| *gateway).collect();
        gateways.sort_unstable();
        gateways.dedup();
        gateways
    }
}

/// A default route and its next hops; `None` for other routes.
fn read(message: &RouteMessage) -> Option<(Route, Vec<(LinkId, Ipv4Addr)>)> {
    let header = &message.header;
    if header.address_family != AddressFamily::Inet || header.destination_prefix_length != 0 {
        return None;
    }
    let (mut table, mut priority, mut hops) = (header.table.into(), 0, Vec::new());
    for attribute in &message.attributes {
        if let RouteAttribute::Table(number) = attribute {
            table = *number;
        } else if let RouteAttribute::Priority(number) = attribute {
            priority = *number;
        } else if let RouteAttribute::MultiPath(paths) = attribute {
            hops.extend(
                paths.iter().filter_map(|hop| Some((LinkId(hop.interface_index), gateway(&hop.attributes)?))),
            );
        }
    }
    let link = message.attributes.iter().find_map(|attribute| {
        let RouteAttribute::Oif(index) = attribute else { return None };
        Some(LinkId(*index))
    });
    hops.extend(link.zip(gateway(&message.attributes)));
    Some(((table, priority), hops))
}

fn gateway(attributes: &[RouteAttribute]) -> Option<Ipv4Addr> {
    attributes.iter().find_map(|attribute| {
        let RouteAttribute::Gateway(RouteAddress::Inet(address)) = attribute else { return None };
        Some(*address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: LinkId = LinkId(2);
    const ETH1: LinkId = LinkId(3);

    #[test]
    fn the_gateways_of_default_routes_are_known() {
        let mut gateways = Gateways::default();
        gateways.add(&route(0, 100, ETH0, 1));
        gateways.add(&route(0, 200, ETH1, 2));
        gateways.add(&route(16, 0, ETH0, 9));
        assert_eq!((gateways.of(ETH0), gateways.of(ETH1)), (vec![host(1)], vec![host(2)]));
        gateways.add(&route(0, 100, ETH0, 3));
        assert_eq!(gateways.of(ETH0), [host(3)], "it takes the place of the other one");
        gateways.remove(&route(0, 100, ETH0, 1));
        assert_eq!(gateways.of(ETH0), [host(3)], "the one before goes");
        gateways.remove(&route(0, 100, ETH0, 3));
        gateways.forget(ETH1);
        assert!(gateways.of(ETH0).is_empty() && gateways.of(ETH1).is_empty());
    }

    #[test]
    fn each_path_of_a_route_has_a_gateway() {
        let mut message = route(0, 0, ETH0, 1);
        let hop = |link: LinkId, last: u8| {
            let mut hop = netlink_packet_route::route::RouteNextHop::default();
            hop.interface_index = link.0;
            hop.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(host(last)))];
            hop
        };
        message.attributes = vec![RouteAttribute::MultiPath(vec![hop(ETH0, 1), hop(ETH0, 2), hop(ETH1, 3)])];
        let mut gateways = Gateways::default();
        gateways.add(&message);
        assert_eq!((gateways.of(ETH0), gateways.of(ETH1)), (vec![host(1), host(2)], vec![host(3)]));
    }

    fn route(prefix_length: u8, priority: u32, link: LinkId, last: u8) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = prefix_length;
        message.header.table = 254;
        message.attributes = vec![
            RouteAttribute::Priority(priority),
            RouteAttribute::Oif(link.0),
            RouteAttribute::Gateway(RouteAddress::Inet(host(last))),
        ];
        message
    }

    fn host(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 1, last)
    }
}
