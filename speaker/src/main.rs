//! The `ferrolb-speaker` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use ferrolb_runtime::{admin, logs};
use ferrolb_speaker::args::{AskArgs, Cli, Command, RunArgs};
use ferrolb_speaker::ask::{Answers, ask};
use ferrolb_speaker::config::Config;
use ferrolb_speaker::run::run;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Health(args)) => {
            admin::check(&args.health_socket, &args.path).map_err(anyhow::Error::from)
        }
        Some(Command::Ask(args)) => tell(args),
        None => speak(cli.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrolb-speaker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Asks who has an address, and prints what was answered.
fn tell(args: AskArgs) -> anyhow::Result<()> {
    let all = ask(args.address, args.exclude_interfaces)?;
    let mut out = std::io::stdout().lock();
    all.iter().try_for_each(|answers| writeln!(out, "{answers}"))?;
    anyhow::ensure!(all.iter().any(Answers::is_answered), "nobody answers for {}", args.address);
    anyhow::ensure!(!all.iter().any(Answers::is_contested), "several hosts answer for {}", args.address);
    Ok(())
}

/// One thread for the API here, one for the wire, and one that follows the links: none has enough to do for more.
fn speak(args: RunArgs) -> anyhow::Result<()> {
    let logs = args.logs.clone();
    let config = Config::try_from(args)?;
    logs::init(&logs)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(config))
}
