//! Labs as their users see them. Each test starts real clusters: they need root, and take a minute.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ferrolb_lab::image::nginx;
use ferrolb_lab::probe::{ConnectProbe, EstablishedProbe, Exchange, Gap, ResolveProbe};
use ferrolb_lab::{Lab, LabBuilder, Silent};

use self::support::{eventually, moment};

#[test]
fn pods_of_two_nodes_serve_a_dual_stack_service_to_the_client() -> Result<()> {
    let lab = LabBuilder::new().full_nodes(2).start()?;
    lab.load_image(&nginx(&Silent)?)?;
    lab.kubectl_stdin(["apply", "--filename=-"], WEB)?;
    lab.kubectl(["rollout", "status", "deployment/web", "--timeout=60s"])?;

    let nodes = lab.kubectl(["get", "pods", "--output=jsonpath={.items[*].spec.nodeName}"])?;
    assert!(nodes.contains("node-1") && nodes.contains("node-2"), "{nodes}");
    for host in ["node-1", "node-2"] {
        let plan = lab.host(host)?.plan().clone();
        for url in [format!("http://{}:30080", plan.v4), format!("http://[{}]:30080", plan.v6)] {
            // kube-proxy may need a moment for its rules.
            let page = eventually(|| lab.client()?.exec_ok(["curl", "--silent", "--max-time", "2", &url]))?;
            assert!(page.contains("Welcome to nginx!"), "{url}: {page}");
        }
    }
    let logs = lab.kubectl(["logs", "deployment/web", "--all-pods=true"])?;
    assert!(logs.contains("curl/"), "nginx logs to standard output: {logs}");
    Ok(())
}

#[test]
fn a_node_that_is_switched_off_takes_everything_along_and_comes_back_as_it_was() -> Result<()> {
    let lab = LabBuilder::new().full_nodes(1).start()?;
    lab.load_image(&nginx(&Silent)?)?;
    lab.kubectl_stdin(["apply", "--filename=-"], WEB)?;
    lab.kubectl(["rollout", "status", "deployment/web", "--timeout=60s"])?;
    let node = lab.host("node-1")?;
    let (kubelet, containerd) = (node.process("kubelet")?, node.process("containerd")?);

    node.power_off()?;

    assert!(!kubelet.is_alive() && !containerd.is_alive());
    assert!(!node.netns().exists());
    let error = node.exec(["true"]).unwrap_err().to_string();
    assert!(error.contains("switched off"), "{error}");

    lab.power_on("node-1")?;
    eventually(|| {
        let page =
            lab.client()?.exec_ok(["curl", "--silent", "--max-time", "2", "http://192.168.1.11:30080"])?;
        page.contains("Welcome to nginx!").then_some(()).context("not nginx's page")
    })
}

#[test]
fn a_bare_node_behind_a_cut_link_is_given_up_and_comes_back() -> Result<()> {
    let lab = LabBuilder::new().bare_nodes(2).start()?;
    let ready = |node: &str| {
        lab.kubectl([
            "get",
            "node",
            node,
            "--output=jsonpath={.status.conditions[?(@.type=='Ready')].status}",
        ])
    };
    assert_eq!((ready("bare-1")?, ready("bare-2")?), ("True".into(), "True".into()));
    let expect = |wanted: &'static str| {
        eventually(|| {
            (ready("bare-1")? == wanted).then_some(()).with_context(|| format!("bare-1 is not {wanted}"))
        })
    };

    lab.host("bare-1")?.cut_link()?;
    expect("Unknown")?;
    assert_eq!(ready("bare-2")?, "True");

    lab.host("bare-1")?.restore_link()?;
    expect("True")
}

#[test]
fn objects_outlive_a_stopped_api_server() -> Result<()> {
    let lab = LabBuilder::new().start()?;
    lab.kubectl(["create", "namespace", "kept"])?;
    let api = lab.api()?;

    api.stop()?;
    let error = lab.kubectl(["get", "namespace", "kept"]).unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");

    api.start()?;
    lab.kubectl(["get", "namespace", "kept"])?;
    Ok(())
}

#[test]
fn a_speaker_of_a_bare_node_has_a_token_bound_to_it_and_can_be_frozen_and_killed() -> Result<()> {
    let lab = LabBuilder::new().bare_nodes(1).start()?;
    lab.kubectl(["create", "namespace", "ferrolb-system"])?;
    lab.kubectl(["create", "serviceaccount", "ferrolb-speaker", "--namespace=ferrolb-system"])?;
    let script = "kubectl auth whoami --output=json; echo $NODE_NAME; exec sleep 600";

    let speaker = lab.start_speaker("bare-1", Path::new("/bin/sh"), &["-c", script])?;

    let log = eventually(|| {
        let log = speaker.log()?;
        log.ends_with("bare-1\n").then_some(log).context("not yet")
    })?;
    let (who, _) = log.rsplit_once("bare-1").context("no name")?;
    let who: serde_json::Value = serde_json::from_str(who).with_context(|| log.clone())?;
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "system:serviceaccount:ferrolb-system:ferrolb-speaker");
    assert_eq!(user["extra"]["authentication.kubernetes.io/node-name"][0], "bare-1");

    let status = || std::fs::read_to_string(format!("/proc/{}/status", speaker.id().pid()));
    speaker.freeze()?;
    eventually(|| status()?.contains("T (stopped)").then_some(()).context("not frozen"))?;
    speaker.thaw()?;
    eventually(|| status()?.contains("S (sleeping)").then_some(()).context("not thawed"))?;
    speaker.kill()?;
    assert!(!speaker.is_alive());
    assert!(lab.host("bare-1")?.exec(["true"])?.status.success(), "the node lives on");
    Ok(())
}

#[test]
fn two_labs_do_not_see_each_other_and_leave_nothing_behind() -> Result<()> {
    let (one, two) = (LabBuilder::new().full_nodes(1).start()?, LabBuilder::new().full_nodes(1).start()?);
    one.kubectl(["create", "namespace", "of-one"])?;
    assert!(two.kubectl(["get", "namespace", "of-one"]).is_err());
    let mac = |lab: &Lab| lab.client()?.exec_ok(["cat", "/sys/class/net/eth0/address"]);
    assert_eq!(mac(&one)?, mac(&two)?, "the same addresses, on segments of their own");

    for lab in [one, two] {
        let name = lab.name().to_owned();
        let processes: Vec<_> = lab
            .state()?
            .hosts
            .values()
            .flat_map(|host| host.services.values().filter_map(|service| service.process).chain(host.init))
            .collect();
        assert!(processes.len() > 8);
        drop(lab);
        assert!(processes.iter().all(|process| !process.is_alive()));
        assert_eq!(traces(&name)?, Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn each_probe_sees_a_cut_link_in_its_own_way() -> Result<()> {
    let lab = LabBuilder::new().bare_nodes(1).start()?;
    let (node, client) = (lab.host("bare-1")?, lab.client()?);
    let listener = node.run(|| TcpListener::bind("[::]:80"))??;
    std::thread::spawn(move || serve(&listener));
    let (v4, v6) = (IpAddr::from(node.plan().v4), IpAddr::from(node.plan().v6));
    let neighbours = client.exec_ok(["ip", "neigh"])?;
    let resolve = [v4, v6].map(|address| ResolveProbe::start(&client, address));
    let answered =
        |probe: &Result<ResolveProbe>| probe.as_ref().is_ok_and(|probe| !probe.answers().is_empty());
    eventually(|| resolve.iter().all(answered).then_some(()).context("no answers"))?;
    assert_eq!(client.exec_ok(["ip", "neigh"])?, neighbours, "asking leaves the host's own cache alone");
    let connect = ConnectProbe::start(&client, SocketAddr::new(v4, 80))?;
    let established = EstablishedProbe::start(&client, SocketAddr::new(v6, 80))?;
    eventually(|| (established.events().len() > 10).then_some(()).context("few responses"))?;

    node.cut_link()?;
    std::thread::sleep(FAULT);
    node.restore_link()?;
    let restored = moment();

    eventually(|| {
        let answered = established
            .events()
            .iter()
            .any(|event| matches!(event, Exchange::Response(at) if *at > restored));
        let connected = connect.attempts().iter().any(|attempt| attempt.made && attempt.started > restored);
        (answered && connected).then_some(()).context("not through again")
    })?;
    for probe in resolve {
        let seen = probe?.stop()?;
        assert_gap(seen.longest_gap());
        assert_eq!(seen.macs(), [node.plan().mac()].into());
        assert!(seen.answers.iter().all(|answer| answer.source == answer.mac));
    }
    let connections = connect.stop()?;
    assert_gap(connections.longest_gap());
    let exchanges = established.stop()?;
    assert_gap(exchanges.longest_gap());
    assert_eq!(exchanges.breaks(), 0, "a short cut breaks no connection");
    Ok(())
}

/// How long the link is cut.
const FAULT: Duration = Duration::from_millis(600);

fn assert_gap(gap: Gap) {
    assert!(gap.length > FAULT.mul_f32(0.8) && gap.length < Duration::from_secs(5), "{gap:?}");
}

/// Answers every request of every connection.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        std::thread::spawn(move || {
            let mut request = [0; 1024];
            while let Ok(1..) = stream.read(&mut request) {
                if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
                    return;
                }
            }
        });
    }
}

/// What there still is of a lab: mounts, namespaces, folders, control groups.
fn traces(lab: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    found.extend(mounts.lines().filter(|line| line.contains(&format!("flb-{lab}."))).map(str::to_owned));
    for folder in ["/run/ferrolb-lab", "/var/lib/ferrolb-lab", "/sys/fs/cgroup/ferrolb-lab"] {
        let path = Path::new(folder).join(lab);
        found.extend(path.exists().then(|| path.display().to_string()));
    }
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup")?.flatten() {
        let path = hierarchy.path().join("ferrolb-lab").join(lab);
        found.extend(path.exists().then(|| path.display().to_string()));
    }
    Ok(found)
}

/// nginx on two nodes, by a port of each node.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers:
      - {name: nginx, image: "nginx:1", readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
"#;
