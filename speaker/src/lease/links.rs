//! The links that a Lease tells.

use ferrolb_crds::lease::LeaseLink;

use crate::link::Links;

/// The links that a Lease tells: those that are up.
pub fn links(links: &Links) -> Vec<LeaseLink> {
    let up = links.values().filter(|link| link.up);
    up.map(|link| LeaseLink {
        name: link.name.clone(),
        macs: link.macs().map(|mac| mac.to_string()).collect(),
        ipv4: link.ipv4().collect(),
        link_local: link.link_local(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Link, LinkId};
    use crate::wire::Mac;

    #[test]
    fn links_that_are_up_are_told_with_their_own_addresses() {
        let eth0 = Link {
            name: "eth0".into(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            port_macs: vec![Mac([2, 0, 0, 0, 0, 2])],
            up: true,
            router: false,
            addresses: ["192.168.1.11", "fd00::11", "fe80::1"].map(|text| text.parse().unwrap()).to_vec(),
            gateways: vec![],
        };
        let eth1 = Link { name: "eth1".into(), up: false, ..eth0.clone() };
        let told = links(&[(LinkId(2), eth0), (LinkId(3), eth1)].into());
        let expected = LeaseLink {
            name: "eth0".into(),
            macs: ["02:00:00:00:00:01", "02:00:00:00:00:02"].map(str::to_owned).to_vec(),
            ipv4: vec!["192.168.1.11".parse().unwrap()],
            link_local: Some("fe80::1".parse().unwrap()),
        };
        assert_eq!(told, [expected]);
    }
}
