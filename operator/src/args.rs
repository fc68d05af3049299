//! The operator's flags.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use clap::Parser;
use ferrolb_crds::names;
use ferrolb_runtime::client::ClientArgs;
use ferrolb_runtime::logs::LogArgs;

use crate::engine::Settings;
use crate::ledger::Policy;

/// Port of the endpoints, unless configured otherwise.
const PORT: u16 = 7472;

/// Gives Services of type LoadBalancer their addresses, from pools.
#[derive(Clone, Debug, Parser)]
#[command(version, name = "ferrolb-operator")]
pub struct Args {
    /// Namespace of the pools and advertisements
    #[arg(long, env = "FERROLB_NAMESPACE", default_value = names::NAMESPACE)]
    pub namespace: String,

    /// Serve Services with this loadBalancerClass only; without it, those that have none
    #[arg(long, env = "FERROLB_LB_CLASS", default_value = "")]
    pub lb_class: String,

    /// Seconds for which the addresses of a deleted Service are kept for one of the same namespace and name; others
    /// get them meanwhile only by asking for them, or when nothing else is left. 0: not at all
    #[arg(
        long,
        env = "FERROLB_HOLD_SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(..=604_800)
    )]
    pub hold_seconds: u64,

    /// Whether Services of different namespaces may share an address by the annotation ferrolb.io/allow-shared-ip.
    /// Who knows the key can join from any namespace
    #[arg(
        long,
        env = "FERROLB_SHARE_ACROSS_NAMESPACES",
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        default_value_t = true
    )]
    pub share_across_namespaces: bool,

    /// Whether the speakers announce also from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers;
    /// say it here and to them
    #[arg(long, env = "FERROLB_IGNORE_EXCLUDE_LB")]
    pub ignore_exclude_lb: bool,

    /// Address and port on which /healthz, /readyz and /metrics are served [default: port 7472 of all addresses]
    #[arg(long, env = "FERROLB_METRICS_BIND_ADDRESS")]
    pub metrics_bind_address: Option<SocketAddr>,

    /// The cluster
    #[command(flatten)]
    pub client: ClientArgs,

    /// Logs
    #[command(flatten)]
    pub logs: LogArgs,
}

/// What the flags come to.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace of the pools and advertisements.
    pub namespace: String,
    /// What the user decides for all Services.
    pub settings: Settings,
    /// Where the endpoints are served.
    pub metrics_bind_address: SocketAddr,
    /// The cluster.
    pub client: ClientArgs,
    /// Logs.
    pub logs: LogArgs,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let Args {
            namespace,
            lb_class,
            hold_seconds,
            share_across_namespaces,
            ignore_exclude_lb,
            metrics_bind_address,
            client,
            logs,
        } = args;
        Self {
            namespace,
            settings: Settings {
                class: Some(lb_class).filter(|class| !class.is_empty()),
                policy: Policy { hold: Duration::from_secs(hold_seconds), share_across_namespaces },
                ignore_exclude_label: ignore_exclude_lb,
            },
            metrics_bind_address: metrics_bind_address.unwrap_or_else(all_addresses),
            client,
            logs,
        }
    }
}

/// All addresses, of IPv4 only where the kernel has no IPv6.
fn all_addresses() -> SocketAddr {
    match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, PORT).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, PORT).into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn an_empty_class_means_services_without_one() {
        let class = |arguments: &[&str]| {
            let arguments = ["ferrolb-operator"].iter().chain(arguments);
            Config::from(Args::try_parse_from(arguments).unwrap()).settings.class
        };
        assert_eq!(class(&[]), None);
        assert_eq!(class(&["--lb-class="]), None);
        assert_eq!(class(&["--lb-class=ferrolb.io/lb"]), Some("ferrolb.io/lb".to_owned()));
    }

    #[test]
    fn addresses_are_held_and_shared_as_the_flags_say() {
        let policy = |arguments: &[&str]| {
            let arguments = ["ferrolb-operator"].iter().chain(arguments);
            Config::from(Args::try_parse_from(arguments).unwrap()).settings.policy
        };
        assert_eq!(policy(&[]), Policy::default());
        let strict = Policy { hold: Duration::ZERO, share_across_namespaces: false };
        assert_eq!(policy(&["--hold-seconds=0", "--share-across-namespaces=false"]), strict);
    }

    #[test]
    fn every_flag_is_explained() {
        Args::command().debug_assert();
        let help = Args::command().render_long_help().to_string();
        for flag in [
            "--namespace",
            "--lb-class",
            "--hold-seconds",
            "--share-across-namespaces",
            "--metrics-bind-address",
            "--kubeconfig",
            "--log-format",
        ] {
            assert!(help.contains(flag), "{flag}");
        }
    }
}
