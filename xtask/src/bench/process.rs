//! What a process takes of the machine.

use std::fs;

use anyhow::{Context, Result};
use ferrolb_lab::ProcessId;

/// The most memory that was resident at a time, in MiB.
pub(super) fn peak_memory(process: ProcessId) -> Result<f64> {
    memory(process, "VmHWM:")
}

/// The memory that is resident, in MiB.
pub(super) fn resident_memory(process: ProcessId) -> Result<f64> {
    memory(process, "VmRSS:")
}

fn memory(process: ProcessId, field: &str) -> Result<f64> {
    let status = read(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("the field")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}

/// The processor time that it has had, in seconds.
pub(super) fn cpu_seconds(process: ProcessId) -> Result<f64> {
    let stat = read(process, "stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime are fields 14 and 15, of which the third is the first here; a tick is 10 ms.
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("a field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

fn read(process: ProcessId, file: &str) -> Result<String> {
    let path = format!("/proc/{}/{file}", process.pid());
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}
