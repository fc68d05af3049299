//! The cluster's own programs: etcd, API server, controller manager and scheduler, on one host.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::clock;
use crate::credentials::{Tokens, User, write_kubeconfig};
use crate::host::Host;
use crate::plan::{CONTROL_PLANE, POD_RANGES, SERVICE_RANGES};
use crate::service::{Process, Program};
use crate::shared::Shared;

/// Where the control plane keeps its files, on its host.
const DIR: &str = "/var/lib/kubernetes";
const API_SERVER: &str = "kube-apiserver";
const PORT: u16 = 6443;
/// How long the API server may take from its start to readiness.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API server of a lab.
#[derive(Debug, Clone)]
pub struct ApiServer {
    host: Host,
}

impl ApiServer {
    pub(crate) fn of(shared: &Arc<Shared>) -> Result<Self> {
        Ok(Self { host: Host::of(shared, CONTROL_PLANE)? })
    }

    /// Its URL, within the segment.
    pub fn url(&self) -> String {
        format!("https://{}:{PORT}", self.host.plan().v4)
    }

    /// Ends its process at once; its port is closed when this returns. The objects stay in etcd.
    pub fn stop(&self) -> Result<()> {
        self.host.process(API_SERVER)?.kill()
    }

    /// Starts it again after [`Self::stop`], and waits until it is ready.
    pub fn start(&self) -> Result<()> {
        Process::restart(&self.host, API_SERVER)?;
        self.await_ready()
    }

    /// Stops it from answering, with its port open (SIGSTOP).
    pub fn freeze(&self) -> Result<()> {
        self.host.process(API_SERVER)?.freeze()
    }

    /// Lets it answer again.
    pub fn thaw(&self) -> Result<()> {
        self.host.process(API_SERVER)?.thaw()
    }

    /// Reads a path of the API as the administrator; none unless it answers 200.
    pub(crate) fn get(&self, path: &str) -> Result<Option<String>> {
        Ok(self.ask(path, &[])?.ok())
    }

    /// How many requests it has answered since it started, by verb and resource, such as `PUT leases`.
    pub fn requests(&self) -> Result<BTreeMap<String, f64>> {
        let metrics = self.get("/metrics")?.context("the API server tells no metrics")?;
        Ok(parse_requests(&metrics))
    }

    /// A token of a ServiceAccount, bound to a Node if one is named. Hundreds are made: kubectl would take a minute.
    pub(crate) fn token(&self, namespace: &str, account: &str, node: Option<&str>) -> Result<String> {
        let uid = |node: &str| -> Result<Value> {
            let found = self.get(&format!("/api/v1/nodes/{node}"))?;
            let object: Value = serde_json::from_str(&found.with_context(|| format!("no Node {node}"))?)?;
            Ok(object["metadata"]["uid"].clone())
        };
        let bound = match node {
            Some(name) => json!({"kind": "Node", "apiVersion": "v1", "name": name, "uid": uid(name)?}),
            None => Value::Null,
        };
        let request = json!({"spec": {"audiences": [], "expirationSeconds": 86400, "boundObjectRef": bound}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let given =
            self.ask(&path, &["--header", "Content-Type: application/json", "--data", &request.to_string()])?;
        let given = given.map_err(|error| anyhow!("no token for {namespace}/{account}: {error}"))?;
        let given: Value = serde_json::from_str(&given)?;
        given["status"]["token"].as_str().map(str::to_owned).context("the API server's answer has no token")
    }

    /// Asks as the administrator, with further arguments for curl; within, what curl says unless the answer is 2xx.
    fn ask(&self, path: &str, arguments: &[&str]) -> Result<Result<String, String>> {
        let header = format!("Authorization: Bearer {}", self.tokens()?.of(&User::admin())?);
        let output = self.host.run(|| {
            std::process::Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--max-time", "30", "--header", &header])
                .args(arguments)
                .arg("--cacert")
                .arg(self.ca_path())
                .arg(format!("{}{path}", self.url()))
                .output()
        })?;
        let output = output.context("run curl")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
    }

    fn await_ready(&self) -> Result<()> {
        let process = self.host.process(API_SERVER)?;
        let ready = clock::poll(PATIENCE, Duration::from_millis(100), || match self.get("/readyz") {
            Ok(None) if process.is_alive() => None,
            Ok(Some(_)) => Some(Ok(())),
            Ok(None) => Some(Err(anyhow::anyhow!("the API server ended while it started"))),
            Err(error) => Some(Err(error)),
        });
        let log = self.host.log_path(API_SERVER);
        let ready =
            ready.with_context(|| format!("the API server was not ready in {} s", PATIENCE.as_secs()));
        ready.flatten().with_context(|| format!("its log is {}", log.display()))
    }

    /// Where the certificate lies that the API server is to be trusted by; it made it itself.
    pub(crate) fn ca_path(&self) -> PathBuf {
        self.host.outside(DIR).join("apiserver.crt")
    }

    /// That certificate.
    pub(crate) fn ca(&self) -> Result<Vec<u8>> {
        let path = self.ca_path();
        std::fs::read(&path).with_context(|| format!("read {}", path.display()))
    }

    /// The static tokens.
    pub(crate) fn tokens(&self) -> Result<Tokens> {
        Tokens::read(&self.host.outside(DIR).join("tokens.csv"))
    }

    /// Writes a kubeconfig for one of the cluster's components.
    pub(crate) fn write_kubeconfig(&self, path: &std::path::Path, user: &User) -> Result<()> {
        write_kubeconfig(path, &self.url(), &self.ca()?, &user.name, self.tokens()?.of(user)?)
    }
}

fn parse_requests(metrics: &str) -> BTreeMap<String, f64> {
    let mut requests = BTreeMap::new();
    for line in metrics.lines() {
        let Some((labels, value)) =
            line.strip_prefix("apiserver_request_total{").and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        let label = |name: &str| {
            let value = labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
            value.unwrap_or_default().trim_end_matches('"').to_owned()
        };
        let count: f64 = value.parse().unwrap_or_default();
        *requests.entry(format!("{} {}", label("verb"), label("resource"))).or_default() += count;
    }
    requests
}

/// Starts etcd and the API server, and returns when it is ready.
pub(crate) fn start_api(shared: &Arc<Shared>) -> Result<ApiServer> {
    let host = Host::of(shared, CONTROL_PLANE)?;
    let dir = host.outside(DIR);
    std::fs::create_dir_all(&dir)?;
    Tokens::create(&shared.store.read()?.plan, &dir.join("tokens.csv"))?;
    host.exec_ok(["signing-key", &format!("{DIR}/signing.key")])?;
    spawn(&host, "etcd", etcd())?;
    spawn(&host, API_SERVER, api_server(host.plan().v4))?;
    let api = ApiServer { host };
    api.await_ready()?;
    Ok(api)
}

/// Starts what acts on the API server's objects.
pub(crate) fn start_controllers(api: &ApiServer) -> Result<()> {
    for (name, user, arguments) in [
        ("kube-controller-manager", User::controller_manager(), controller_manager()),
        ("kube-scheduler", User::scheduler(), scheduler()),
    ] {
        api.write_kubeconfig(&api.host.outside(DIR).join(format!("{name}.kubeconfig")), &user)?;
        spawn(&api.host, name, arguments)?;
    }
    Ok(())
}

fn spawn(host: &Host, name: &str, arguments: Vec<String>) -> Result<Process> {
    host.spawn(name, &Program::new(std::iter::once(name.to_owned()).chain(arguments)))
}

fn etcd() -> Vec<String> {
    let client = "http://127.0.0.1:2379";
    vec![
        "--data-dir=/var/lib/etcd".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        // The lab's objects need not survive the machine's crash, and syncing costs seconds.
        "--unsafe-no-fsync".into(),
        // It warns of every request that takes longer than 100 ms.
        "--log-level=error".into(),
    ]
}

fn api_server(address: Ipv4Addr) -> Vec<String> {
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--secure-port={PORT}"),
        // It makes its serving certificate there.
        format!("--cert-dir={DIR}"),
        format!("--token-auth-file={DIR}/tokens.csv"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={DIR}/signing.key"),
        format!("--service-account-signing-key-file={DIR}/signing.key"),
        format!("--service-cluster-ip-range={}", SERVICE_RANGES.join(",")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--allow-privileged".into(),
        "--profiling=false".into(),
    ]
}

fn controller_manager() -> Vec<String> {
    vec![
        format!("--kubeconfig={DIR}/kube-controller-manager.kubeconfig"),
        // Pods' ranges are in the plan; clouds there are none, and load balancers are FerroLB's.
        "--controllers=*,-nodeipam,-cloud-node-lifecycle,-service-lb-controller".into(),
        "--use-service-account-credentials".into(),
        format!("--service-account-private-key-file={DIR}/signing.key"),
        format!("--root-ca-file={DIR}/apiserver.crt"),
        format!("--cluster-cidr={}", POD_RANGES.join(",")),
        "--leader-elect=false".into(),
    ]
}

fn scheduler() -> Vec<String> {
    vec![format!("--kubeconfig={DIR}/kube-scheduler.kubeconfig"), "--leader-elect=false".into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_summed_over_what_is_not_asked_for() {
        let metrics = "# HELP apiserver_request_total Counter\n\
            apiserver_request_total{code=\"200\",resource=\"leases\",verb=\"PUT\"} 3\n\
            apiserver_request_total{code=\"409\",resource=\"leases\",verb=\"PUT\"} 1\n\
            apiserver_request_total{code=\"200\",resource=\"nodes\",verb=\"GET\"} 2\n\
            apiserver_request_duration_seconds_sum{resource=\"nodes\"} 9\n";
        let requests = parse_requests(metrics);
        assert_eq!(requests, BTreeMap::from([("PUT leases".to_owned(), 4.0), ("GET nodes".to_owned(), 2.0)]));
    }
}
