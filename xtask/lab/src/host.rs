//! A host: a network, mounts and processes of its own, with `pause` as process 1.
//!
//! Ending process 1 ends everything in its PID namespace at once, containers included, and the
//! mount namespace with them: that is power-off, and it makes cleaning up certain.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use rustix::thread::LinkNameSpaceType;

use crate::namespace;
use crate::plan::HostPlan;
use crate::process_id::ProcessId;
use crate::service::{Process, Program};
use crate::shared::{Shared, starting};
use crate::store::{HostState, State};

/// Folders that each host has for itself; what a program keeps there stays apart from other hosts' and the machine's.
const PRIVATE: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// Refuses what hosts would not see, because they have folders of their own in its place.
pub(crate) fn ensure_visible(path: &Path) -> Result<()> {
    let hidden = PRIVATE.iter().find(|folder| path.starts_with(folder));
    hidden.map_or(Ok(()), |folder| {
        bail!(
            "{} is below {folder}, which each host has for itself: set FERROLB_CACHE to another folder",
            path.display()
        )
    })
}

/// Kernel settings that a kubelet insists on and would change for the whole machine. Inside a host they
/// read as it wants them, and nothing is changed.
const KUBELET_SETTINGS: [(&str, &str); 5] = [
    ("vm/overcommit_memory", "1"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs as the host's first process: tells its number as the machine counts, makes the mounts, becomes `pause`.
/// $1 is the host's folder, $2 its name, $3 `pause`.
const INIT: &str = r#"set -e
read -r pid _ </proc/self/stat
mount --make-rshared /
mount --bind "$1/run" /run
mount --bind "$1/var/log" /var/log
mount -t proc proc /proc
echo "$2" >/proc/sys/kernel/hostname
cd "$1/settings"
find . -type f | while read -r file; do mount --bind "$file" "/proc/sys/$file"; done
# Last, since it hides the sources of the others.
mount --bind "$1/var/lib" /var/lib
cd /
echo "$pid"
exec "$3" </dev/null >/dev/null 2>&1"#;

/// A host of a lab.
#[derive(Debug, Clone)]
pub struct Host {
    shared: Arc<Shared>,
    plan: HostPlan,
}

impl Host {
    pub(crate) fn of(shared: &Arc<Shared>, name: &str) -> Result<Self> {
        let plan = shared.store.read()?.host_plan(name)?.clone();
        Ok(Self { shared: shared.clone(), plan })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its role and addresses.
    pub fn plan(&self) -> &HostPlan {
        &self.plan
    }

    /// The path of its network namespace.
    pub fn netns(&self) -> PathBuf {
        namespace::path_of(&self.shared.store.netns(self.name()))
    }

    /// Runs `work` on a thread inside the host's network: sockets opened there stay there, and so do
    /// threads started there. A tokio runtime built inside belongs to the host's network as a whole.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        namespace::within_net(&self.shared.store.netns(self.name()), work)
    }

    /// Runs a program on the host and returns what it wrote; a status other than 0 is not an error here.
    pub fn exec<S: AsRef<str>>(&self, command: impl IntoIterator<Item = S>) -> Result<Output> {
        let program = Program::new(command.into_iter().map(|word| word.as_ref().to_owned()));
        let mut command = self.command(&program)?;
        let output = self.enter(|| command.stdin(Stdio::null()).output())?;
        output.with_context(|| format!("run {}", program.command.join(" ")))
    }

    /// Runs a program on the host and returns its standard output; the error holds what it wrote to the other one.
    pub fn exec_ok<S: AsRef<str>>(&self, command: impl IntoIterator<Item = S>) -> Result<String> {
        let words: Vec<String> = command.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let output = self.exec(&words)?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{} on {}: {}: {}", words.join(" "), self.name(), output.status, complaint.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a program on the host with the caller's standard input and outputs, and returns its exit status.
    pub fn exec_inherit(&self, program: &Program) -> Result<ExitStatus> {
        let mut command = self.command(program)?;
        self.enter(|| command.status())?.with_context(|| format!("run {}", program.command.join(" ")))
    }

    /// Starts a long-lived program under a name; its output goes to [`Self::log_path`].
    /// A program of that name that has ended is replaced, one that runs is an error.
    pub fn spawn(&self, name: &str, program: &Program) -> Result<Process> {
        Process::spawn(self, name, program)
    }

    /// The program that was started under that name.
    pub fn process(&self, name: &str) -> Result<Process> {
        Process::find(self, name)
    }

    /// Where a program's output goes.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.dir().join("var/log").join(format!("{name}.log"))
    }

    /// A path below one of the host's private folders (`/run`, `/var/lib`, `/var/log`), as seen from outside.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.dir().join(path.trim_start_matches('/'))
    }

    /// Cuts its link: the host runs on, and loses its carrier.
    pub fn cut_link(&self) -> Result<()> {
        self.set_link(false)
    }

    /// Restores a link that was cut.
    pub fn restore_link(&self) -> Result<()> {
        self.set_link(true)
    }

    fn set_link(&self, up: bool) -> Result<()> {
        self.shared.segment().set_link(self.name(), up)?;
        self.update(|host| {
            host.cut = !up;
            Ok(())
        })
    }

    /// Moves its link to another segment: 0 is the one that all hosts are on, others are made when they are first named.
    /// Its carrier stays.
    pub fn move_to(&self, segment: u8) -> Result<()> {
        self.shared.segment().move_to(self.name(), segment)
    }

    /// Keeps its link from exchanging frames with those of other isolated hosts, as switches do that isolate ports.
    pub fn isolate(&self, isolated: bool) -> Result<()> {
        self.shared.segment().isolate(self.name(), isolated)
    }

    /// Gives it a further link, `eth<number>` with [`HostPlan::mac_of`] and no addresses, to a segment: 0 is the one that all
    /// hosts are on, others are made when they are first named. Numbers are from 1 to 9; it lasts until power-off.
    pub fn add_link(&self, number: u8, segment: u8) -> Result<()> {
        ensure!((1..=9).contains(&number), "eth{number}: further links are eth1 to eth9");
        self.shared.segment().add_link(&self.plan, number, segment)
    }

    /// Takes a further link away.
    pub fn remove_link(&self, number: u8) -> Result<()> {
        self.shared.segment().remove_link(&self.plan, number)
    }

    /// Pulls its plug: the link and all processes, at once. The disk stays.
    pub fn power_off(&self) -> Result<()> {
        let init = self.state()?.init.with_context(|| format!("{} is off already", self.name()))?;
        // Told first and awaited last, so that link and processes go within a few milliseconds of each other.
        init.signal(Signal::KILL)?;
        self.shared.segment().unplug(self.name())?;
        init.kill()?;
        self.update(|host| {
            host.init = None;
            host.cut = false;
            host.services.values_mut().for_each(|service| service.process = None);
            Ok(())
        })
    }

    pub(crate) fn state(&self) -> Result<HostState> {
        let state = self.shared.store.read()?;
        state.hosts.get(self.name()).cloned().with_context(|| format!("{} was never started", self.name()))
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut HostState) -> Result<T>) -> Result<T> {
        self.shared.store.update(|state: &mut State| {
            ensure!(!state.ending, "lab {:?} is ending", state.id);
            change(state.hosts.entry(self.name().to_owned()).or_default())
        })
    }

    /// Plugs the host in and starts its process 1.
    pub(crate) fn switch_on(&self) -> Result<()> {
        let _starting = starting();
        let state = self.shared.store.read()?;
        ensure!(!state.ending, "lab {:?} is ending", state.id);
        self.prepare_dir()?;
        self.shared.segment().plug(&state.plan, &self.plan)?;
        let init = self.start_init(&state.programs.join("pause"))?;
        self.update(|host| {
            host.init = Some(init);
            Ok(())
        })
    }

    fn dir(&self) -> PathBuf {
        self.shared.store.host_dir(self.name())
    }

    fn prepare_dir(&self) -> Result<()> {
        for dir in PRIVATE {
            fs::create_dir_all(self.outside(dir))?;
        }
        // The machine's /run forgets at power-off, so a host's does.
        fs::remove_dir_all(self.outside("/run"))?;
        fs::create_dir_all(self.outside("/run/netns"))?;
        for (key, value) in KUBELET_SETTINGS {
            let file = self.dir().join("settings").join(key);
            fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
            fs::write(file, format!("{value}\n"))?;
        }
        Ok(())
    }

    fn start_init(&self, pause: &Path) -> Result<ProcessId> {
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", self.netns().display()))
            .args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--propagation", "private"])
            .args(["sh", "-c", INIT, "init"])
            .args([&self.dir(), Path::new(self.name()), pause])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn_in_background()
            .context("run nsenter (package util-linux)")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no pipe from init")?).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(pid) => {
                bury_in_time(child)?;
                ProcessId::of(pid)
            }
            Err(_) => {
                let output = child.wait_with_output()?;
                bail!("{} did not start: {}", self.name(), String::from_utf8_lossy(&output.stderr).trim())
            }
        }
    }

    /// Runs `work` on a thread whose child processes are born on the host.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        namespace::within(&[(LinkNameSpaceType::ProcessID, self.namespace("pid")?)], work)
    }

    /// Wraps a command so that, once started by [`Self::enter`], it runs in the host's network, mounts and name,
    /// in the caller's folder if the host has that too.
    pub(crate) fn command(&self, program: &Program) -> Result<Command> {
        ensure!(!program.command.is_empty(), "no command to run on {}", self.name());
        let mut command = Command::new("nsenter");
        for (kind, flag) in [("net", "net"), ("uts", "uts"), ("ipc", "ipc"), ("mnt", "mount")] {
            if flag != "mount" || !program.machine_files {
                command.arg(format!("--{flag}={}", self.namespace(kind)?.display()));
            }
        }
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        command.args(["--", "sh", "-c", r#"cd "$0" 2>/dev/null || cd /; exec "$@""#]).arg(here);
        command.args(&program.command);
        let programs = self.shared.store.read()?.programs;
        command.env("PATH", format!("{}:{SYSTEM_PATH}", programs.display()));
        command.envs(&program.env);
        Ok(command)
    }

    fn namespace(&self, kind: &str) -> Result<PathBuf> {
        let init = self.state()?.init.with_context(|| format!("{} is switched off", self.name()))?;
        Ok(PathBuf::from(format!("/proc/{}/ns/{kind}", init.pid())))
    }
}

/// Starting programs that outlive the call.
pub(crate) trait SpawnInBackground {
    /// Starts the program in a process group of its own, which Ctrl-C in the caller's terminal does not reach.
    fn spawn_in_background(&mut self) -> std::io::Result<Child>;
}

impl SpawnInBackground for Command {
    fn spawn_in_background(&mut self) -> std::io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        self.process_group(0).spawn()
    }
}

/// Buries the child once it has died, on a thread that waits for nothing else: a PID namespace
/// does not end while one of its processes is dead and not buried.
pub(crate) fn bury_in_time(mut child: Child) -> Result<()> {
    let thread = std::thread::Builder::new().name("burial".into()).stack_size(64 << 10);
    // Its status is of no use: what ends early is seen by its absence, and told by its log.
    thread.spawn(move || child.wait()).context("start a thread")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_hosts_would_not_see_are_refused() {
        let error = ensure_visible(Path::new("/var/lib/cache/kubernetes")).unwrap_err().to_string();
        assert!(error.contains("FERROLB_CACHE"), "{error}");
        ensure_visible(Path::new("/var/library/kubernetes")).expect("only whole names count");
        ensure_visible(Path::new("/home/user/.cache/ferrolb")).unwrap();
    }
}
