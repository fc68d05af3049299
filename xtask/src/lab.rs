//! `cargo xtask lab`: a real cluster to work with.
#![expect(clippy::print_stdout, reason = "a command's answer goes to standard output")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use ferrolb_lab::{
    CONTROL_PLANE, Lab, LabBuilder, Process, Program, end_on_signal, remove, remove_abandoned,
};

use crate::spinner::Spinner;

/// Arguments of `cargo xtask lab`.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    /// The lab's name; several can run side by side
    #[arg(long, global = true, env = "FERROLB_LAB", default_value = "default")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster, and leave it running
    Up {
        /// Nodes with containerd, kubelet and kube-proxy: node-1, node-2 …
        #[arg(long, default_value_t = 3)]
        full: u16,
        /// Nodes that are a Node object and a network: bare-1, bare-2 …
        #[arg(long, default_value_t = 0)]
        bare: u16,
        /// Kubernetes' version: 1.33 to 1.37
        #[arg(long, default_value = ferrolb_lab::DEFAULT_KUBERNETES)]
        kubernetes: String,
    },
    /// End a cluster and remove everything that it made
    Down {
        /// All labs of this machine
        #[arg(long)]
        all: bool,
    },
    /// Show the labs of this machine, their hosts and what runs there
    Status,
    /// Print shell commands that make plain `kubectl` work: eval "$(cargo xtask lab env)"
    Env,
    /// Run a command on a host: lab exec client -- curl http://192.168.1.240
    Exec {
        /// client, control-plane, node-1, bare-1 …
        host: String,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run kubectl as the administrator: lab kubectl -- get nodes
    Kubectl {
        /// Its arguments
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Print the output of a program on a host, such as node-1 kubelet
    Logs {
        /// The host
        host: String,
        /// The program; without it, the names of those that there are
        program: Option<String>,
    },
    /// Break something, or mend it
    Fault {
        /// What to do
        #[arg(value_enum)]
        fault: Fault,
        /// The host; none for faults of the API server
        host: Option<String>,
        /// The program to kill, freeze or thaw
        program: Option<String>,
    },
}

/// What can be broken, and mended.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fault {
    /// Cut a host's link
    Cut,
    /// Restore a host's link
    Restore,
    /// Switch a host off: link and all processes at once
    PowerOff,
    /// Switch a host on again
    PowerOn,
    /// Kill a program on a host
    Kill,
    /// Freeze a program on a host
    Freeze,
    /// Let a frozen program run on
    Thaw,
    /// End the API server
    ApiStop,
    /// Start the API server again
    ApiStart,
}

/// Runs `cargo xtask lab …`.
pub(crate) fn run(args: LabArgs) -> Result<()> {
    let LabArgs { name, command } = args;
    match command {
        Command::Up { full, bare, kubernetes } => up(&name, full, bare, &kubernetes),
        Command::Down { all } => down(&name, all),
        Command::Status => status(),
        Command::Env => env(&Lab::attach(&name)?),
        Command::Exec { host, command } => {
            let lab = Lab::attach(&name)?;
            let mut program = Program::new(command);
            if host == CONTROL_PLANE {
                program = program.env("KUBECONFIG", lab.kubeconfig().to_string_lossy());
            }
            exit_as(lab.host(&host)?.exec_inherit(&program)?)
        }
        Command::Kubectl { arguments } => {
            let lab = Lab::attach(&name)?;
            let mut command = lab.kubectl_command(arguments)?;
            exit_as(lab.host(CONTROL_PLANE)?.run(|| command.status())?.context("run kubectl")?)
        }
        Command::Logs { host, program } => logs(&Lab::attach(&name)?, &host, program.as_deref()),
        Command::Fault { fault, host, program } => {
            break_or_mend(&Lab::attach(&name)?, fault, host.as_deref(), program.as_deref())
        }
    }
}

fn up(name: &str, full: u16, bare: u16, kubernetes: &str) -> Result<()> {
    end_on_signal()?;
    let builder = LabBuilder::new().name(name).full_nodes(full).bare_nodes(bare).kubernetes(kubernetes);
    let lab = builder.keep().progress(Arc::new(Spinner::default())).start()?;
    let flag = if name == "default" { String::new() } else { format!(" --name {name}") };
    println!("{}", lab.kubectl(["get", "nodes", "--output=wide"])?.trim_end());
    println!("\nGo on with:");
    println!("  eval \"$(cargo xtask lab{flag} env)\"   # kubectl works in this shell");
    println!("  cargo xtask lab{flag} exec client -- ip address");
    println!("  cargo xtask lab{flag} down");
    Ok(())
}

fn down(name: &str, all: bool) -> Result<()> {
    let known = Lab::names();
    let mut ended: BTreeSet<String> = remove_abandoned()?.into_iter().collect();
    let wanted = if all { known.clone() } else { vec![name.to_owned()] };
    for name in wanted {
        if !known.contains(&name) {
            bail!(
                "there is no lab {name:?}; {}",
                if known.is_empty() { "none runs".to_owned() } else { known.join(", ") }
            );
        }
        if ended.insert(name.clone()) {
            remove(&name)?;
        }
    }
    for name in ended {
        println!("ended lab {name}");
    }
    Ok(())
}

fn status() -> Result<()> {
    for name in Lab::names() {
        let state = match Lab::attach(&name).and_then(|lab| lab.state()) {
            Ok(state) => state,
            Err(error) => {
                println!("{name}: {error:#}");
                continue;
            }
        };
        let owner = if state.keep {
            "kept".to_owned()
        } else if state.owner.is_alive() {
            format!("owned by process {}", state.owner.pid())
        } else {
            "abandoned: the next start removes it".to_owned()
        };
        println!("{name}: Kubernetes {}, {owner}", state.kubernetes);
        for host in &state.plan.hosts {
            let running = state.hosts.get(&host.name);
            let condition = match running {
                Some(running) if running.init.is_some_and(|init| init.is_alive()) => {
                    if running.cut {
                        "link cut"
                    } else {
                        "on"
                    }
                }
                _ => "off",
            };
            let services = running.map(|running| &running.services).into_iter().flatten();
            let services: Vec<_> = services
                .map(|(name, service)| match service.process {
                    Some(process) if process.is_alive() => name.clone(),
                    _ => format!("{name} (ended)"),
                })
                .collect();
            println!(
                "  {:<14} {:<15} {:<24} {condition:<9} {}",
                host.name,
                host.v4,
                host.v6,
                services.join(" ")
            );
        }
    }
    Ok(())
}

fn env(lab: &Lab) -> Result<()> {
    println!("export FERROLB_LAB='{}'", lab.name());
    println!("export KUBECONFIG='{}'", lab.kubeconfig().display());
    println!("export PATH='{}':\"$PATH\"", lab.shims().display());
    Ok(())
}

fn logs(lab: &Lab, host: &str, program: Option<&str>) -> Result<()> {
    let host = lab.host(host)?;
    let Some(program) = program else {
        let state = lab.state()?;
        let services = state.hosts.get(host.name()).map(|host| &host.services).into_iter().flatten();
        services.for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let path = host.log_path(program);
    let mut file = std::fs::File::open(&path).with_context(|| no_log(&path))?;
    std::io::copy(&mut file, &mut std::io::stdout().lock())?;
    Ok(())
}

fn no_log(path: &Path) -> String {
    format!("no output of that program: {} is missing", path.display())
}

fn break_or_mend(lab: &Lab, fault: Fault, host: Option<&str>, program: Option<&str>) -> Result<()> {
    let host = || lab.host(host.context("name a host, such as node-1")?);
    let process = || -> Result<Process> {
        let host = host()?;
        let program =
            program.with_context(|| format!("name a program of {}, such as kubelet", host.name()))?;
        host.process(program)
    };
    match fault {
        Fault::Cut => host()?.cut_link(),
        Fault::Restore => host()?.restore_link(),
        Fault::PowerOff => host()?.power_off(),
        Fault::PowerOn => lab.power_on(host()?.name()),
        Fault::Kill => process()?.kill(),
        Fault::Freeze => process()?.freeze(),
        Fault::Thaw => process()?.thaw(),
        Fault::ApiStop => lab.api()?.stop(),
        Fault::ApiStart => lab.api()?.start(),
    }
}

/// Ends this process with the status of the one that it stood for.
fn exit_as(status: std::process::ExitStatus) -> Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    if code != 0 {
        std::process::exit(code);
    }
    Ok(())
}
