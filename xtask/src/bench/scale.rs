//! What hundreds of nodes and thousands of addresses cost while nothing fails, and how long it takes until each address is
//! answered by one live node again after much has happened at once.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use ferrolb_lab::scale::{Crowd, Settled};
use ferrolb_lab::{Lab, LabBuilder, NeighborFrames, Process, Traffic};

use super::process::{cpu_seconds, resident_memory};
use super::report::{Bounds, Reach, Report};
use crate::cargo::{release_binaries, workspace};
use crate::spinner::Spinner;

/// How long nothing happens before it is measured what that costs: announcements and placement have ended by then.
const QUIET: Duration = Duration::from_secs(35);
/// How long it is measured.
const SPAN: Duration = Duration::from_secs(30);
/// Requests a second that are promised of a speaker while nothing fails.
const REQUESTS: Reach = Reach::AtMost(0.2);

#[derive(Args, Clone)]
pub(super) struct ScaleArgs {
    /// How many bare nodes there are
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(10..=500))]
    nodes: u16,
    /// How many Services there are, each with an address
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    services: u32,
}

/// What there was at a moment.
struct Moment {
    at: Instant,
    requests: f64,
    frames: NeighborFrames,
    speakers: f64,
    machine: Busy,
}

/// The processor time of the whole machine, in clock ticks.
struct Busy {
    all: f64,
    idle: f64,
}

pub(super) fn run(args: &ScaleArgs) -> Result<Report> {
    let binaries = release_binaries()?;
    let spinner = Arc::new(Spinner::default());
    let mut report = Report::new("scale")?;
    let lab = LabBuilder::new().bare_nodes(args.nodes).progress(spinner.clone()).start()?;
    let traffic = lab.count_traffic()?;
    let install = workspace().join("deploy/install.yaml");
    let crowd = spinner.step("plant Services", || Crowd::gather(lab, &binaries, &install, args.services))?;
    let lab = crowd.lab();
    let start = now();
    spinner.step("start all speakers", || crowd.start())?;
    report.figure("all speakers started and ready after", start.elapsed().as_secs_f64(), "s", None);
    let advertised = spinner.step("advertise all addresses", || crowd.advertise())?;
    tell(&mut report, "advertised, 100 at a time", &advertised);
    let before = spinner.step("come to rest", || {
        std::thread::sleep(QUIET);
        crowd.settle()
    })?;
    report.figure("addresses at one node, at most", before.most_at_a_node() as f64, "", None);
    let speakers = crowd.speakers()?;
    let steady = spinner.step("watch it rest", || watch(lab, &traffic, &speakers))?;
    steady.tell(&mut report, &speakers)?;

    let lost = spinner.step("switch off a tenth of the nodes", || crowd.lose_a_tenth(&before))?;
    tell(&mut report, "a tenth of the nodes lost", &lost);
    let moved = lost.moved_since(&before) as f64;
    let owned = lost.after.len() as f64;
    report.figure(
        &format!("a tenth of the nodes lost: moves of {owned}"),
        moved,
        "",
        Some(Reach::AtMost(owned)),
    );
    let restarted = spinner.step("restart all speakers", || crowd.restart())?;
    report.figure("all speakers restarted: settled after", restarted.last().as_secs_f64(), "s", None);
    let moved = restarted.moved_since(&lost) as f64;
    let all = restarted.owners.len();
    report.figure(&format!("all speakers restarted: moves of {all}"), moved, "", Some(Reach::AtMost(0.0)));

    spinner.step("stop FerroLB", || crowd.stop())?;
    let alone = spinner.step("watch the cluster alone", || watch(lab, &traffic, &[]))?;
    report.figure("at rest, without FerroLB: API requests", alone.requests, "1/s", None);
    let requests = (steady.requests - alone.requests) / speakers.len() as f64;
    report.figure("at rest: API requests for each speaker", requests, "1/s", Some(REQUESTS));
    lab.end()?;
    Ok(report)
}

fn tell(report: &mut Report, name: &str, settled: &Settled) {
    let after = settled.after.iter().map(Duration::as_secs_f64).collect();
    report.distribution(&format!("{name}: settled after"), "s", after, Bounds::default());
}

/// What a second of nothing took.
struct Rates {
    requests: f64,
    arp: f64,
    nd: f64,
    /// Processor time of all speakers, in seconds.
    speakers: f64,
    /// The part of the machine's processors that was busy.
    busy: f64,
}

fn watch(lab: &Lab, traffic: &Traffic, speakers: &[Process]) -> Result<Rates> {
    let before = Moment::of(lab, traffic, speakers)?;
    std::thread::sleep(SPAN);
    let after = Moment::of(lab, traffic, speakers)?;
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let rate = |after: u64, before: u64| (after - before) as f64 / seconds;
    let all = after.machine.all - before.machine.all;
    Ok(Rates {
        requests: (after.requests - before.requests) / seconds,
        arp: rate(after.frames.arp, before.frames.arp),
        nd: rate(after.frames.nd, before.frames.nd),
        speakers: (after.speakers - before.speakers) / seconds,
        busy: 1.0 - (after.machine.idle - before.machine.idle) / all,
    })
}

impl Rates {
    fn tell(&self, report: &mut Report, speakers: &[Process]) -> Result<()> {
        let count = speakers.len() as f64;
        report.figure("at rest: API requests", self.requests, "1/s", None);
        report.figure("at rest: ARP frames", self.arp, "1/s", None);
        report.figure("at rest: Neighbor Discovery frames", self.nd, "1/s", None);
        report.figure("at rest: frames of both for each node", (self.arp + self.nd) / count, "1/s", None);
        report.figure("at rest: a core's time for each speaker", self.speakers / count * 100.0, "%", None);
        report.figure("at rest: the machine's time for all", self.busy * 100.0, "%", None);
        let memory = speakers.iter().map(|speaker| resident_memory(speaker.id())).collect::<Result<_>>()?;
        report.distribution("at rest: memory of a speaker", "MiB", memory, Bounds::default());
        Ok(())
    }
}

impl Moment {
    fn of(lab: &Lab, traffic: &Traffic, speakers: &[Process]) -> Result<Self> {
        let times = speakers.iter().map(|speaker| cpu_seconds(speaker.id())).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            at: now(),
            requests: lab.api()?.requests()?.values().sum(),
            frames: traffic.read()?,
            speakers: times.iter().sum(),
            machine: Busy::now()?,
        })
    }
}

impl Busy {
    fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no processors")?;
        // user, nice, system, idle, iowait, irq, softirq, steal (proc(5)); the rest is in user already.
        let ticks = line.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        Ok(Self { all: ticks.iter().sum(), idle: ticks.iter().skip(3).take(2).sum() })
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
