//! Logs, as text for people or JSON for collectors.
//!
//! Levels: per-packet TRACE; small steps DEBUG; a change that users see INFO, one line each with a stable `event`
//! field; WARN for what is worth an alert; ERROR for what is broken. Values are fields, not prose.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Flags that say what is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Form of the log lines
    #[arg(long, env = "FERROLB_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Least severe level that is logged, or a filter of several, as in info,kube=debug
    #[arg(long, env = "FERROLB_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// Text with fields at the end
    Text,
}

/// The log level could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "--log-level {level:?} is not a filter: write a level (info) or targets with levels (info,kube=debug)"
)]
pub struct LogError {
    level: String,
    #[source]
    source: ParseError,
}

/// Starts logging to standard error, for the whole process and once.
///
/// # Errors
/// When the level is not a filter.
pub fn init(args: &LogArgs) -> Result<(), LogError> {
    let filter = EnvFilter::builder()
        .parse(&args.log_level)
        .map_err(|source| LogError { level: args.log_level.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
    Ok(())
}
