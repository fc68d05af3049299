//! Which interfaces never announce.

use std::str::FromStr;

use ferrolb_placement::InterfaceFilter;

/// The names that are excluded unless configured otherwise: what container networks make on a node.
pub const DEFAULT_PATTERNS: &str = "antrea-*,br-int,cali*,cbr*,cilium*,cni*,docker*,dummy*,flannel*,genev_sys_*,kube-bridge,\
     kube-ipvs*,lxc*,nodelocaldns*,ovn*,ovs-system,podman*,tunl*,veth*,virbr*,vxlan*,weave*";

/// Why an interface never announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exclusion {
    /// It is a loopback interface.
    #[error("it is a loopback interface")]
    Loopback,
    /// It is no Ethernet interface, or has no usable hardware address.
    #[error("it is no Ethernet interface")]
    NotEthernet,
    /// The kernel does not resolve addresses on it.
    #[error("it does not use ARP (NOARP)")]
    NoArp,
    /// It is a port of a bridge, bond or team, which announces in its place.
    #[error("it is a port of a bridge, bond or team")]
    Enslaved,
    /// It is a macvlan or ipvlan child.
    #[error("it is a macvlan or ipvlan interface")]
    Child,
    /// Its name is on the list of `--exclude-interfaces`.
    #[error("its name is excluded by --exclude-interfaces")]
    Name,
}

/// Interface names that are excluded: exact ones, or globs in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns(InterfaceFilter);

impl Patterns {
    /// Whether one of the patterns matches this name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl Default for Patterns {
    /// None: no name matches.
    fn default() -> Self {
        Self(InterfaceFilter::Matching([].into()))
    }
}

impl FromStr for Patterns {
    type Err = PatternError;

    /// Parses a comma-separated list; blanks around names are trimmed, and an empty list excludes nothing.
    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let patterns = list.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        patterns
            .map(|pattern| {
                if pattern.contains(|c: char| c.is_whitespace() || c == '/') {
                    Err(PatternError(pattern.to_owned()))
                } else {
                    Ok(pattern.to_owned())
                }
            })
            .collect::<Result<_, _>>()
            .map(|patterns| Patterns(InterfaceFilter::Matching(patterns)))
    }
}

/// Text that can't be the name of an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't be the name of an interface; give names or globs separated by commas, such as docker*,cni0"
)]
pub struct PatternError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_list_spares_real_interfaces() {
        let patterns: Patterns = DEFAULT_PATTERNS.parse().unwrap();
        for name in
            ["eth0", "eno1", "enp3s0f1", "bond0", "br0", "vlan10", "eth0.10", "wlan0", "team0", "ens192"]
        {
            assert!(!patterns.matches(name), "{name} must not be excluded");
        }
        for name in ["docker0", "veth12ab34cd", "cni0", "cali123", "kube-ipvs0", "flannel.1", "cilium_host"] {
            assert!(patterns.matches(name), "{name} must be excluded");
        }
    }

    #[test]
    fn lists_are_trimmed_and_checked() {
        let patterns: Patterns = " docker* , ,cni0".parse().unwrap();
        assert!(patterns.matches("cni0") && patterns.matches("docker0") && !patterns.matches("cni1"));
        assert!("".parse::<Patterns>().is_ok_and(|none| !none.matches("eth0")));
        assert_eq!("eth0 eth1".parse::<Patterns>(), Err(PatternError("eth0 eth1".into())));
    }
}
