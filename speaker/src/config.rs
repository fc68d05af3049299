//! The command line, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use ferrolb_runtime::client::ClientArgs;

use crate::args::RunArgs;
use crate::kube::index::Scope;
use crate::net::exclusion::{PatternError, Patterns};
use crate::ownership::Timing;
use crate::timing::TimingError;

/// How the speaker is to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which objects count.
    pub scope: Scope,
    /// The namespace of our objects.
    pub namespace: String,
    /// Interfaces that never announce.
    pub patterns: Patterns,
    /// Interfaces whose card is to pass on everything.
    pub promiscuous: Patterns,
    /// Where health and metrics are served by TCP, if anywhere.
    pub metrics_bind_address: Option<SocketAddr>,
    /// Where they are served on a Unix socket, if anywhere.
    pub health_socket: Option<PathBuf>,
    /// Times of the protocol.
    pub timing: Timing,
    /// Which cluster to talk to.
    pub client: ClientArgs,
}

/// A flag has a value that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No node name.
    #[error(
        "--node-name is missing: set it, or NODE_NAME, to the name of the Node that this speaker runs on"
    )]
    NodeName,
    /// An empty namespace.
    #[error("--namespace is empty: set it to the namespace of the pools and advertisements")]
    Namespace,
    /// A bad list of interfaces.
    #[error("--exclude-interfaces: {0}")]
    ExcludeInterfaces(PatternError),
    /// Another one.
    #[error("--promiscuous-interfaces: {0}")]
    PromiscuousInterfaces(PatternError),
    /// Times of the protocol.
    #[error(transparent)]
    Timing(#[from] TimingError),
}

impl TryFrom<RunArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: RunArgs) -> Result<Self, ConfigError> {
        let RunArgs {
            node_name,
            namespace,
            lb_class,
            exclude_interfaces,
            promiscuous_interfaces,
            ignore_exclude_lb,
            metrics_bind_address,
            health_socket,
            timing,
            client,
            logs: _,
        } = args;
        let node = node_name.filter(|name| !name.is_empty()).ok_or(ConfigError::NodeName)?;
        if namespace.is_empty() {
            return Err(ConfigError::Namespace);
        }
        let class = Some(lb_class).filter(|class| !class.is_empty());
        Ok(Self {
            scope: Scope { node, class, ignore_exclude_label: ignore_exclude_lb },
            namespace,
            patterns: exclude_interfaces.parse().map_err(ConfigError::ExcludeInterfaces)?,
            promiscuous: promiscuous_interfaces.parse().map_err(ConfigError::PromiscuousInterfaces)?,
            metrics_bind_address,
            health_socket: Some(health_socket).filter(|path| !path.is_empty()).map(PathBuf::from),
            timing: Timing::try_from(&timing)?,
            client,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_node_name_alone_is_enough() {
        let config = config(&["--node-name", "node-1"]).unwrap();
        assert_eq!((config.scope.node.as_str(), config.scope.class), ("node-1", None));
        assert_eq!(config.namespace, "ferrolb-system");
        assert!(config.patterns.matches("docker0") && !config.patterns.matches("eth0"));
        assert_eq!(config.health_socket, Some("/run/ferrolb/speaker.sock".into()));
        assert_eq!(config.timing, Timing::default());
    }

    #[test]
    fn empty_values_stand_for_nothing_or_are_refused() {
        let config = |flags: &[&str]| config(&[&["--node-name", "node-1"], flags].concat());
        assert_eq!(config(&["--health-socket", ""]).unwrap().health_socket, None);
        assert!(!config(&["--exclude-interfaces", ""]).unwrap().patterns.matches("docker0"));
        assert_eq!(config(&["--lb-class", "a/b"]).unwrap().scope.class.as_deref(), Some("a/b"));
        assert_eq!(config(&["--namespace", ""]).unwrap_err(), ConfigError::Namespace);
        for flag in ["--exclude-interfaces", "--promiscuous-interfaces"] {
            let error = config(&[flag, "eth0 eth1"]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{flag}: ")), "{error}");
        }
        assert!(!config(&[]).unwrap().promiscuous.matches("wlan0"));
        assert!(config(&["--promiscuous-interfaces", "wlan*"]).unwrap().promiscuous.matches("wlan0"));
        let error = config(&["--retry-interval-ms", "200"]).unwrap_err();
        assert_eq!(error, ConfigError::Timing(TimingError::Retry { retry: 200, question: 100 }));
        assert_eq!(self::config(&[]).unwrap_err(), ConfigError::NodeName);
        assert_eq!(self::config(&["--node-name", ""]).unwrap_err(), ConfigError::NodeName);
    }

    #[test]
    fn the_probe_needs_no_node_name() {
        let cli = Cli::try_parse_from(["ferrolb-speaker", "health", "/healthz"]).unwrap();
        let Some(Command::Health(args)) = cli.command else { panic!("no probe") };
        assert_eq!(args.path, "/healthz");
    }

    fn config(flags: &[&str]) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from([&["ferrolb-speaker"], flags].concat()).unwrap();
        cli.run.try_into()
    }
}
