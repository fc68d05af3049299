//! Bare nodes: a Node object without a kubelet, so that a lab can have hundreds.
//!
//! One process on the control plane's host, `heartbeat`, registers all of them and renews their Leases, each
//! through connections of that node's own network: a bare node whose link is cut, or that is off, is
//! given up by the node lifecycle controller after its usual grace, and comes back as a real one does.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;

use crate::control_plane::ApiServer;
use crate::credentials::User;
use crate::host::Host;
use crate::service::{Process, Program};

/// Starts the heartbeats of all bare nodes.
pub(crate) fn start_heartbeats(control_plane: &Host, api: &ApiServer, nodes: &[Host]) -> Result<Process> {
    let tokens = api.tokens()?;
    let node = |host: &Host| -> Result<_> {
        Ok(json!({
            "name": host.name(),
            "token": tokens.of(&User::node(host.name()))?,
            "netns": host.netns(),
            "addresses": [host.plan().v4.to_string(), host.plan().v6.to_string()],
        }))
    };
    let nodes = nodes.iter().map(node).collect::<Result<Vec<_>>>()?;
    let config = json!({"server": api.url(), "caFile": api.ca_path(), "nodes": nodes});
    let path = control_plane.outside("/var/lib/kubernetes/heartbeat.json");
    fs::write(&path, config.to_string()).with_context(|| format!("write {}", path.display()))?;
    // Only the machine's own mounts show the network namespaces of the other hosts.
    let program = Program::new(["heartbeat".to_owned(), path.display().to_string()]).with_machine_files();
    control_plane.spawn("heartbeat", &program)
}
