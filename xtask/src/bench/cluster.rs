//! What is the same in all clusters that something is measured on.

use anyhow::Result;
use ferrolb_lab::{Ferrolb, Lab};

use crate::cargo::workspace;

/// Many addresses, announced everywhere.
const POOL: &str = "
apiVersion: ferrolb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: ferrolb-system}
spec: {addresses: [10.64.0.0/16]}
---
apiVersion: ferrolb.io/v1beta1
kind: L2Advertisement
metadata: {name: bench, namespace: ferrolb-system}
spec: {}
";

/// Installs FerroLB, of which nothing runs yet, and its pool and advertisement.
pub(super) fn install(ferrolb: &Ferrolb<'_>, lab: &Lab) -> Result<()> {
    ferrolb.install(&workspace().join("deploy/install.yaml"))?;
    lab.kubectl_stdin(["apply", "--filename=-"], POOL).map(drop)
}
