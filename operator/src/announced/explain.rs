//! What to say of addresses that can't be announced.

use std::net::IpAddr;

use ferrolb_placement::{Exclusion, Hindrance, Unannounced};

/// The reason and the message of what hinders addresses of a Service that has `of` of them. Which one is meant is said
/// where it is not the same for all.
pub(super) fn explain(hindrances: &[(IpAddr, Hindrance)], of: usize, shared: bool) -> (&'static str, String) {
    let mut told = hindrances.iter().map(|(address, hindrance)| (address, explain_one(hindrance, shared)));
    let Some((_, first)) = told.next() else { return Default::default() };
    if hindrances.len() == of && told.clone().all(|(_, other)| other == first) {
        return first;
    }
    let (reason, _) = first;
    let texts = hindrances
        .iter()
        .map(|(address, hindrance)| format!("{address}: {}", explain_one(hindrance, shared).1))
        .collect::<Vec<_>>();
    (reason, texts.join("; "))
}

fn explain_one(hindrance: &Hindrance, shared: bool) -> (&'static str, String) {
    match hindrance {
        Hindrance::Unannounced(Unannounced::NoAddress | Unannounced::NoPool) => {
            ("NoAdvertisement", "no pool contains the address, so no L2Advertisement can select it".to_owned())
        }
        Hindrance::Unannounced(Unannounced::NoAdvertisement) if shared => (
            "NoAdvertisement",
            "no L2Advertisement selects the address's pool and every Service that shares the address: create one"
                .to_owned(),
        ),
        Hindrance::Unannounced(Unannounced::NoAdvertisement) => (
            "NoAdvertisement",
            "no L2Advertisement selects this Service and the address's pool: create one".to_owned(),
        ),
        Hindrance::NoNode(excluded) if excluded.contains_key(&Exclusion::NoLocalEndpoint) => (
            "NoServingEndpoint",
            "externalTrafficPolicy is Local, and no node that may announce the address has a serving endpoint"
                .to_owned(),
        ),
        Hindrance::NoNode(excluded) => {
            let reasons: Vec<_> = excluded.keys().map(ToString::to_string).collect();
            let reasons = if reasons.is_empty() { "there is no node".to_owned() } else { reasons.join("; ") };
            ("NoEligibleNode", format!("no node may announce the address: {reasons}"))
        }
    }
}
