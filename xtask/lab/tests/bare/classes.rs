//! Two operators on the same pools, each for its class.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::support::{addresses, await_addresses, await_field, eventually, field};
use crate::{Fixture, service};

const CLASS: &str = "example.org/second";
/// Services of each class.
const COUNT: usize = 4;
/// Several rounds of the operators, who write to a pool at most once a second.
const ROUNDS: Duration = Duration::from_secs(4);

pub(crate) fn two_operators_give_no_address_twice_and_undo_nothing_of_each_other(
    fixture: &Fixture,
) -> Result<()> {
    let lab = &fixture.lab;
    let second = fixture.ferrolb().start_operator_of(CLASS, 1)?;
    // The Role names the Lease of operators without a class only, and the operator says what is missing.
    let missing = eventually(|| {
        let log = second.log()?;
        let words = log.split_whitespace().find_map(|word| word.strip_prefix("lease=")).unwrap_or_default();
        ensure!(!words.is_empty(), "the operator does not tell its Lease:\n{log}");
        Ok(words.trim_matches('"').to_owned())
    })?;
    let patch = format!(
        "--patch=[{{\"op\":\"add\",\"path\":\"/rules/-\",\"value\":{{\"apiGroups\":[\"coordination.k8s.io\"],\
         \"resources\":[\"leases\"],\"resourceNames\":[\"{missing}\"],\"verbs\":[\"get\",\"update\"]}}}}]"
    );
    let role = ["role", "ferrolb-operator", "--namespace=ferrolb-system", "--type=json", patch.as_str()];
    lab.kubectl(["patch"].into_iter().chain(role))?;

    let names: Vec<String> = (0..COUNT).flat_map(|n| [format!("first-{n}"), format!("second-{n}")]).collect();
    for name in &names {
        let spec =
            if name.starts_with("second") { format!("loadBalancerClass: {CLASS}, ") } else { String::new() };
        fixture.apply(
            &service(name, "{}").replace("type: LoadBalancer, ", &format!("type: LoadBalancer, {spec}")),
        )?;
    }
    names.iter().try_for_each(|name| await_addresses(lab, name).map(drop))?;
    // Where both gave one address in the same moment, the younger Service gets another.
    eventually(|| {
        let held = names.iter().map(|name| addresses(lab, name)).collect::<Result<Vec<_>>>()?.concat();
        let distinct: BTreeSet<_> = held.iter().collect();
        ensure!(held.len() == 4 * COUNT && distinct.len() == held.len(), "{held:?}");
        Ok(())
    })?;

    let pool = ["ipaddresspool", "main", "--namespace=ferrolb-system"];
    await_field(lab, &pool, "{.status.assignedIPv4}", &(2 * COUNT).to_string())?;
    let versions = || -> Result<Vec<String>> {
        let version = |object: &[&str]| field(lab, object, "{.metadata.resourceVersion}");
        let of_services = names.iter().map(|name| version(&["service", name]));
        of_services.chain([version(&pool)]).collect()
    };
    eventually(|| {
        let before = versions()?;
        std::thread::sleep(ROUNDS);
        ensure!(before == versions()?, "they go on writing");
        Ok(())
    })?;

    second.terminate(Duration::from_secs(30))?;
    names.iter().try_for_each(|name| fixture.delete_service(name))?;
    await_field(lab, &pool, "{.status.assignedIPv4}", "0")
}
