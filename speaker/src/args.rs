//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ferrolb_crds::names;
use ferrolb_runtime::client::ClientArgs;
use ferrolb_runtime::logs::LogArgs;

use crate::net::exclusion::{DEFAULT_PATTERNS, Patterns};
use crate::timing::TimingArgs;

/// Answers ARP and NDP for the load-balancer addresses that this node announces
///
/// One speaker runs on every node. Together they decide which node announces each address; that node then receives
/// the address's traffic. It needs the capability NET_RAW and the host's network.
#[derive(Debug, Parser)]
#[command(name = "ferrolb-speaker", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of speaking.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to speak.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the binary does besides speaking.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Asks a running speaker whether it is ready: the probe of its pod
    Health(HealthArgs),
    /// Asks the segment who has an address: what to run in a pod when a client does not get there
    ///
    /// It asks on each interface that is up and has an address of its own of the family (for IPv6 a link-local one), and prints
    /// who answered within a second. It fails when nobody did, or answers name different hosts. A node does not hear itself: ask
    /// from one that does not own the address.
    Ask(AskArgs),
}

/// Flags of a question.
#[derive(Args, Debug)]
pub struct AskArgs {
    /// The address
    pub address: IpAddr,

    /// Interfaces to leave out: names or globs, separated by commas
    #[arg(long, env = "FERROLB_EXCLUDE_INTERFACES", default_value = DEFAULT_PATTERNS)]
    pub exclude_interfaces: Patterns,
}

/// Flags of the probe.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// Unix socket of the running speaker
    #[arg(long, env = "FERROLB_HEALTH_SOCKET", default_value = DEFAULT_HEALTH_SOCKET)]
    pub health_socket: PathBuf,

    /// What to ask for: /readyz or /healthz
    #[arg(default_value = "/readyz")]
    pub path: String,
}

/// Flags of the speaker.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Name of the Node that this speaker runs on; required
    #[arg(long, env = "NODE_NAME")]
    pub node_name: Option<String>,

    /// Namespace of the pools, advertisements and Leases
    #[arg(long, env = "FERROLB_NAMESPACE", default_value = names::NAMESPACE)]
    pub namespace: String,

    /// loadBalancerClass of the Services to announce; empty: Services without a class
    #[arg(long, env = "FERROLB_LB_CLASS", default_value = "")]
    pub lb_class: String,

    /// Interfaces that never announce: names or globs, separated by commas; loopback, bridge and bond ports,
    /// macvlan and ipvlan interfaces never do anyway
    #[arg(long, env = "FERROLB_EXCLUDE_INTERFACES", default_value = DEFAULT_PATTERNS)]
    pub exclude_interfaces: String,

    /// Interfaces whose card is made to pass on all frames, for those (mostly Wi-Fi) that drop broadcasts otherwise: names
    /// or globs, separated by commas
    #[arg(long, env = "FERROLB_PROMISCUOUS_INTERFACES", default_value = "")]
    pub promiscuous_interfaces: String,

    /// Announce also from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers
    #[arg(long, env = "FERROLB_IGNORE_EXCLUDE_LB")]
    pub ignore_exclude_lb: bool,

    /// Address and port to serve /metrics, /healthz and /readyz on, as in 127.0.0.1:7472; without it, only the Unix
    /// socket serves them
    #[arg(long, env = "FERROLB_METRICS_BIND_ADDRESS")]
    pub metrics_bind_address: Option<SocketAddr>,

    /// Unix socket to serve health and metrics on, for the pod's probes; empty: none
    #[arg(long, env = "FERROLB_HEALTH_SOCKET", default_value = DEFAULT_HEALTH_SOCKET)]
    pub health_socket: String,

    /// Which cluster to talk to.
    #[command(flatten)]
    pub client: ClientArgs,

    /// How to log.
    #[command(flatten)]
    pub logs: LogArgs,

    /// How patient the protocol is.
    // What came after it would be under its heading.
    #[command(flatten)]
    pub timing: TimingArgs,
}

const DEFAULT_HEALTH_SOCKET: &str = "/run/ferrolb/speaker.sock";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_flag_has_an_environment_variable() {
        let command = Cli::command();
        for flag in command.get_arguments() {
            assert!(flag.get_env().is_some(), "--{}", flag.get_id());
        }
        assert!(command.get_arguments().any(|flag| flag.get_id() == "kubeconfig"));
    }
}
