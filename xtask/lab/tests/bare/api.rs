//! The API as `kubectl apply` meets it.

use anyhow::{Context, Result, bail, ensure};
use ferrolb_crds::service_l2_status::object_name;
use ferrolb_lab::Lab;

use crate::Fixture;
use crate::manifests::{ADDRESSES, ADVERTISEMENTS, Case, POOLS};

pub(crate) fn addresses_are_accepted_or_refused_with_what_to_write(
    Fixture { lab, .. }: &Fixture,
) -> Result<()> {
    check(lab, ADDRESSES)
}

pub(crate) fn pools_are_accepted_or_refused_with_what_to_write(Fixture { lab, .. }: &Fixture) -> Result<()> {
    check(lab, POOLS)
}

pub(crate) fn advertisements_are_accepted_or_refused_with_what_to_write(
    Fixture { lab, .. }: &Fixture,
) -> Result<()> {
    check(lab, ADVERTISEMENTS)
}

pub(crate) fn kinds_are_refused_outside_their_namespace(Fixture { lab, .. }: &Fixture) -> Result<()> {
    for (kind, spec) in [("IPAddressPool", "{addresses: [10.0.0.1]}"), ("L2Advertisement", "{}")] {
        let refusal = create(lab, &manifest(kind, "default", spec)).err().context("it was accepted")?;
        let expected = format!("a {kind} has an effect in namespace ferrolb-system only");
        ensure!(format!("{refusal:#}").contains(&expected), "{refusal:#}");
    }
    Ok(())
}

pub(crate) fn explain_tells_the_forms_of_an_address(Fixture { lab, .. }: &Fixture) -> Result<()> {
    let text = lab.kubectl(["explain", "ipaddresspool.spec.addresses"])?;
    ensure!(text.contains("192.168.1.240-192.168.1.250") && text.contains("192.168.1.0/24"), "{text}");
    Ok(())
}

pub(crate) fn a_speaker_writes_objects_of_its_own_node_only(Fixture { lab, .. }: &Fixture) -> Result<()> {
    let own = lab.service_account_kubeconfig("ferrolb-system", "ferrolb-speaker", Some("bare-1"))?;
    let own = own.to_string_lossy();
    let lease = |node: &str| {
        format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, \
             metadata: {{name: ferrolb-speaker-{node}, namespace: ferrolb-system}}, spec: {{}}}}"
        )
    };
    let report_as = |name: &str, label: &str, node: &str| {
        format!(
            "{{apiVersion: ferrolb.io/v1beta1, kind: ServiceL2Status, metadata: {{name: {name}, \
             namespace: ferrolb-system, labels: {{ferrolb.io/node: {label}}}}}, status: {{node: {node}, \
             serviceName: a, serviceNamespace: b, role: Owner, ips: [], interfaces: [], reason: Test, \
             since: '2026-01-01T00:00:00Z'}}}}"
        )
    };
    let name = |node: &str| object_name(node, "b", "a");
    let report = |node: &str| report_as(&name(node), node, node);
    let write = |manifest: &str| {
        let host = lab.host("bare-1")?;
        let kubectl = lab.state()?.programs.join("kubectl");
        let script = format!(
            "echo \"{manifest}\" | {} --kubeconfig={own} apply --server-side --force-conflicts --field-manager=test --dry-run=server --validate=ignore --filename=-",
            kubectl.display()
        );
        host.exec_ok(["sh", "-c", &script])
    };
    for manifest in [lease("bare-1"), report("bare-1")] {
        write(&manifest)?;
    }
    for (manifest, expected) in [
        (lease("bare-2"), "the speaker on node bare-1 may write Lease ferrolb-speaker-bare-1 only"),
        (report("bare-2"), "the speaker on node bare-1 may write reports of that node only"),
        (
            report_as(&name("bare-2"), "bare-1", "bare-1"),
            "the speaker on node bare-1 may write this report as b.a.bare-1-HASH only",
        ),
        (
            report_as(&format!("{}0", name("bare-1")), "bare-1", "bare-1"),
            "the speaker on node bare-1 may write this report as b.a.bare-1-HASH only",
        ),
        (
            report_as(&name("bare-1"), "bare-2", "bare-1"),
            "a report of node bare-1 is labelled ferrolb.io/node=bare-1",
        ),
    ] {
        let refusal = write(&manifest).err().with_context(|| format!("{manifest} was accepted"))?;
        ensure!(format!("{refusal:#}").contains(expected), "{refusal:#}");
    }
    // Whoever is impersonated has nothing but a name.
    let arguments = [
        "--as=system:serviceaccount:ferrolb-system:ferrolb-speaker",
        "apply",
        "--server-side",
        "--dry-run=server",
        "--filename=-",
    ];
    for manifest in [lease("bare-1"), report("bare-1")] {
        let refusal = lab.kubectl_stdin(arguments, &manifest).err().context("it was accepted")?;
        ensure!(format!("{refusal:#}").contains("the speaker's token names no node"), "{refusal:#}");
    }
    Ok(())
}

/// Applies every manifest without storing it, and reports all that went wrong at once.
fn check(lab: &Lab, cases: &[Case]) -> Result<()> {
    let failures: Vec<_> = cases.iter().filter_map(|case| failure(lab, case)).collect();
    if !failures.is_empty() {
        bail!("{} of {} manifests:\n{}", failures.len(), cases.len(), failures.join("\n"));
    }
    Ok(())
}

fn failure(lab: &Lab, case: &Case) -> Option<String> {
    let answer = create(lab, &manifest(case.kind, "ferrolb-system", case.spec));
    match (case.refusal, answer) {
        (None, Ok(_)) => None,
        (None, Err(refusal)) => Some(format!("{}: refused: {refusal:#}", case.spec)),
        (Some(_), Ok(_)) => Some(format!("{}: accepted", case.spec)),
        (Some(expected), Err(refusal)) => {
            let refusal = format!("{refusal:#}");
            (!refusal.contains(expected)).then(|| format!("{}: not {expected:?}, but {refusal}", case.spec))
        }
    }
}

fn create(lab: &Lab, manifest: &str) -> Result<String> {
    lab.kubectl_stdin(["create", "--dry-run=server", "--filename=-"], manifest)
}

fn manifest(kind: &str, namespace: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: ferrolb.io/v1beta1, kind: {kind}, metadata: {{name: test, namespace: {namespace}}}, \
         spec: {spec}}}"
    )
}
