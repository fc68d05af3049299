//! Processes by identity: a number alone may by now name another process.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, told from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pid: i32,
    /// Clock ticks since boot (proc(5), `starttime`).
    started: u64,
}

impl ProcessId {
    /// Identifies the process that now has the number `pid`.
    pub fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).context("a process number beyond the kernel's range")?;
        let stat = read_stat(pid).with_context(|| format!("process {pid} is gone"))?;
        Ok(Self { pid, started: stat.started })
    }

    /// Identifies the calling process.
    pub fn current() -> Result<Self> {
        Self::of(std::process::id())
    }

    /// The number, as in `/proc`.
    pub fn pid(self) -> i32 {
        self.pid
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        read_stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.zombie)
    }

    /// Sends `signal`; to a process that has ended this does nothing.
    pub fn signal(self, signal: Signal) -> Result<()> {
        let Some(process) = self.open()? else { return Ok(()) };
        match pidfd_send_signal(process, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signal process {}", self.pid)),
        }
    }

    /// Waits until the process has ended; false if it still runs after `patience`.
    pub fn wait_gone(self, patience: Duration) -> Result<bool> {
        let Some(process) = self.open()? else { return Ok(true) };
        let timeout = Timespec::try_from(patience).context("a patience beyond the kernel's range")?;
        Ok(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout))? > 0)
    }

    /// Ends it at once, and waits until it has.
    pub fn kill(self) -> Result<()> {
        self.signal(Signal::KILL)?;
        anyhow::ensure!(
            self.wait_gone(Duration::from_secs(10))?,
            "process {} survived SIGKILL for 10 s",
            self.pid
        );
        Ok(())
    }

    fn open(self) -> Result<Option<rustix::fd::OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("open process {}", self.pid)),
        };
        // Checked after opening: from here on the descriptor names this process and no other.
        Ok(read_stat(self.pid).is_some_and(|stat| stat.started == self.started).then_some(process))
    }
}

struct Stat {
    zombie: bool,
    started: u64,
}

fn read_stat(pid: i32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `/proc/PID/stat`: the name, in brackets, may hold anything, so fields are counted from its end.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    // The state is field 3, the start time field 22.
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { zombie, started })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9911 1 2";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.started, 9911);
        assert!(!stat.zombie);
    }

    #[test]
    fn a_truncated_line_is_no_process() {
        assert!(parse_stat("7 (sh) S 1 7").is_none());
        assert!(parse_stat("").is_none());
    }

    #[test]
    fn a_killed_child_is_gone_and_another_process_of_its_number_is_not_it() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        let earlier = ProcessId { started: id.started - 1, ..id };
        earlier.signal(Signal::KILL).unwrap();
        assert!(id.is_alive(), "a signal to an earlier process must not reach this one");
        id.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(!id.is_alive());
        id.kill().expect("what is gone already is no error");
    }
}
