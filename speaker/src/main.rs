//! The `ferrolb-speaker` binary.

use std::process::ExitCode;

use clap::Parser;
use ferrolb_runtime::{admin, logs};
use ferrolb_speaker::args::{Cli, Command, RunArgs};
use ferrolb_speaker::config::Config;
use ferrolb_speaker::run::run;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Health(args)) => {
            admin::check(&args.health_socket, &args.path).map_err(anyhow::Error::from)
        }
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

/// One thread for the API here, one for the wire, and one that follows the links: none has enough to do for more.
fn speak(args: RunArgs) -> anyhow::Result<()> {
    let logs = args.logs.clone();
    let config = Config::try_from(args)?;
    logs::init(&logs)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(config))
}
