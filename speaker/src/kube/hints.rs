//! Who owned what before this process began, as the reports tell: a hint, which the wire has to confirm.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_crds::{Role, ServiceL2Status};
use ferrolb_runtime::watch::PAGE_SIZE;
use kube::api::{Api, ListParams};
use tokio::time::sleep;
use tracing::warn;

use super::request::{RequestError, answer};

/// A page that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between a failed attempt and the next.
const RETRY: Duration = Duration::from_secs(1);

/// The names of the nodes that own addresses by their reports.
pub type Hints = HashMap<IpAddr, String>;

/// Reads all reports, as often as it takes.
pub async fn read(api: Api<ServiceL2Status>) -> Hints {
    let mut failing = false;
    loop {
        match attempt(&api).await {
            Ok(hints) => return hints,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(event = "reportsNotRead", %error, "who owns what can't be read, and is tried again");
                }
                sleep(RETRY).await;
            }
        }
    }
}

async fn attempt(api: &Api<ServiceL2Status>) -> Result<Hints, RequestError> {
    let mut hints = Hints::new();
    let mut token = None;
    loop {
        let mut params = ListParams::default().limit(PAGE_SIZE);
        params.continue_token = token.take();
        let page = answer(TIMEOUT, api.list(&params)).await?;
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        let statuses = page.items.into_iter().filter_map(|report| report.status);
        for status in statuses.filter(|status| status.role == Role::Owner) {
            let addresses = status.ips.iter().filter_map(|ip| ip.parse().ok());
            hints.extend(addresses.map(|address: IpAddr| (address, status.node.clone())));
        }
        if token.is_none() {
            return Ok(hints);
        }
    }
}
