//! Configuration of a full node's programs. Pure.

use serde_json::{Value, json};

use crate::image::PAUSE_IMAGE;
use crate::plan::{HostPlan, POD_RANGES};

pub(super) fn containerd(dir: &str, socket: &str) -> String {
    format!(
        r#"version = 2
# It would make /opt/containerd.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Containers' scores can't be lowered below containerd's own without CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{dir}/cni"
"#
    )
}

/// A veth pair a pod and addresses of both families; routes between nodes are the segment's.
pub(super) fn cni(node: &HostPlan) -> Value {
    let ranges: Vec<_> = node.pod_ranges().into_iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    json!({
        "cniVersion": "1.0.0",
        "name": format!("lab-{}", node.name),
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": ranges,
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }],
    })
}

pub(super) fn kubelet(cgroup: &str, socket: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // Whoever reaches a kubelet is inside the lab.
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{socket}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        // The machine's disk is not the lab's to judge.
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": false,
        "resolvConf": "",
        "serializeImagePulls": false,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    })
}

pub(super) fn kubelet_arguments(dir: &str, node: &HostPlan) -> Vec<String> {
    vec![
        format!("--config={dir}/kubelet.json"),
        format!("--kubeconfig={dir}/kubelet.kubeconfig"),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={},{}", node.v4, node.v6),
    ]
}

pub(super) fn proxy_arguments(dir: &str, node: &HostPlan) -> Vec<String> {
    vec![
        format!("--kubeconfig={dir}/kube-proxy.kubeconfig"),
        "--proxy-mode=nftables".into(),
        format!("--hostname-override={}", node.name),
        format!("--bind-address={}", node.v4),
        format!("--cluster-cidr={}", POD_RANGES.join(",")),
        // These settings belong to the machine, and are not writable in a namespace.
        "--conntrack-max-per-core=0".into(),
        "--conntrack-tcp-timeout-established=0".into(),
        "--conntrack-tcp-timeout-close-wait=0".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn each_node_has_a_pod_network_of_its_own_name_and_ranges() {
        let plan = Plan::new(2, 0).unwrap();
        let config = cni(plan.host("node-2").unwrap());
        assert_eq!(config["name"], "lab-node-2");
        assert_eq!(config["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.244.2.0/24");
        assert_eq!(config["plugins"][0]["ipam"]["ranges"][1][0]["subnet"], "fd00:10:244:2::/64");
    }

    #[test]
    fn the_kubelet_registers_both_addresses() {
        let plan = Plan::new(1, 0).unwrap();
        let arguments = kubelet_arguments("/etc", plan.host("node-1").unwrap());
        assert!(arguments.contains(&"--node-ip=192.168.1.11,fd00:192:168:1::11".to_owned()));
    }
}
