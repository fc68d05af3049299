//! Which nodes a set of advertisements lets announce, whatever the Service.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ferrolb_crds::L2AdvertisementSpec;
use ferrolb_crds::selector::matches;

use crate::facts::{NodeFacts, Speaker};
use crate::interfaces::InterfaceFilter;
use crate::select::Selection;

/// All nodes, judged for the addresses of one [`Selection`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Those that may announce, as far as the Service lets them.
    pub(crate) eligible: Vec<Eligible>,
    /// Those that may not, each with the first reason that was found.
    pub(crate) excluded: BTreeMap<Arc<str>, Exclusion>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Eligible {
    pub(crate) node: Arc<str>,
    pub(crate) interfaces: InterfaceFilter,
    pub(crate) demoted: bool,
    pub(crate) weight: i64,
}

/// Why a node may not announce an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// No advertisement of the Service selects the node.
    NotSelected,
    /// The node's label takes it out of load balancing.
    ExcludeLabel,
    /// The node's network is not set up.
    NetworkUnavailable,
    /// The node was declared out of service.
    OutOfService,
    /// The node's speaker has no live Lease.
    NoSpeaker,
    /// None of the node's interfaces that may announce is up.
    NoInterface,
    /// externalTrafficPolicy is Local, and the node has no endpoint that serves.
    NoLocalEndpoint,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSelected => "no L2Advertisement of the Service selects the node",
            Self::ExcludeLabel => {
                "the node is labelled node.kubernetes.io/exclude-from-external-load-balancers"
            }
            Self::NetworkUnavailable => "the node's condition NetworkUnavailable is True",
            Self::OutOfService => "the node has the taint node.kubernetes.io/out-of-service",
            Self::NoSpeaker => "the node's speaker has no live Lease",
            Self::NoInterface => "no interface of the node that may announce is up",
            Self::NoLocalEndpoint => "externalTrafficPolicy is Local, and the node has no serving endpoint",
        })
    }
}

impl Roster {
    pub(crate) fn new<'a>(
        nodes: impl IntoIterator<Item = (&'a Arc<str>, &'a NodeFacts)>,
        selection: &Selection,
    ) -> Self {
        let mut roster = Self::default();
        for (name, node) in nodes {
            match consider(name, node, selection) {
                Ok(eligible) => roster.eligible.push(eligible),
                Err(exclusion) => _ = roster.excluded.insert(name.clone(), exclusion),
            }
        }
        roster
    }
}

fn consider(name: &Arc<str>, node: &NodeFacts, selection: &Selection) -> Result<Eligible, Exclusion> {
    let selecting = selection.selecting(node);
    let interfaces = selecting
        .clone()
        .map(|spec| InterfaceFilter::from_patterns(&spec.interfaces))
        .reduce(InterfaceFilter::union)
        .ok_or(Exclusion::NotSelected)?;
    if node.excluded {
        return Err(Exclusion::ExcludeLabel);
    }
    if node.network_unavailable {
        return Err(Exclusion::NetworkUnavailable);
    }
    if node.out_of_service {
        return Err(Exclusion::OutOfService);
    }
    match &node.speaker {
        Speaker::Absent => return Err(Exclusion::NoSpeaker),
        Speaker::Live { interfaces: up } if !up.iter().any(|name| interfaces.matches(name)) => {
            return Err(Exclusion::NoInterface);
        }
        Speaker::Live { .. } => {}
    }
    let weight = selecting.map(|spec| weight(spec, node)).sum();
    Ok(Eligible { node: name.clone(), interfaces, demoted: node.demoted(), weight })
}

fn weight(spec: &L2AdvertisementSpec, node: &NodeFacts) -> i64 {
    let preferences = spec.preferred_node_selectors.iter();
    let matching = preferences.filter(|preference| matches(&preference.preference, Some(&node.labels)));
    matching.map(|preference| i64::from(preference.weight)).sum()
}
