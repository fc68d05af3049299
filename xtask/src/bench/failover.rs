//! What a client misses when something fails: the longest time without an answer or a connection, for each fault, on bare
//! nodes and on full ones.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use ferrolb_lab::LabBuilder;
use ferrolb_lab::failover::{Fault, Kind, Outcome, Stage};

use super::plot;
use super::report::{Bounds, Reach, Report};
use crate::cargo::{release_binaries, target_dir, workspace};
use crate::spinner::Spinner;
use crate::{demo, image};

/// A fault with so many trials that come to nothing is not tried further.
const GIVES_UP: u32 = 3;
/// How long two owners may be, once they can hear each other, in milliseconds.
const HEALS: f64 = 2000.0;
/// Full nodes: two announce, and one serves.
const FULL: u16 = 3;

#[derive(Args, Clone)]
pub(super) struct FailoverArgs {
    /// Trials of a lost node and of a killed speaker
    #[arg(long, default_value_t = 100)]
    trials: u32,
    /// Trials of each other fault
    #[arg(long, default_value_t = 20)]
    others: u32,
    /// Only faults whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// How many bare nodes there are. With one of four lost, and the next one's speaker dead, two are left
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=100))]
    nodes: u16,
    /// Only on bare nodes
    #[arg(long)]
    bare: bool,
    /// File to draw all samples to, as SVG
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// One fault, under the same circumstances in all its trials.
struct Series {
    fault: Fault,
    kind: Kind,
    with_api: bool,
    trials: u32,
}

impl Series {
    fn name(&self) -> String {
        let nodes = match self.kind {
            Kind::Bare => "",
            Kind::Full => ", pods",
        };
        format!("{}{}{}", self.fault, nodes, if self.with_api { "" } else { ", API stopped" })
    }
}

pub(super) fn run(args: &FailoverArgs) -> Result<Report> {
    let spinner = Arc::new(Spinner::default());
    let mut report = Report::new("failover")?;
    let mut rows = Vec::new();
    let of_kind = |kind| -> Vec<Series> { series(args).into_iter().filter(|it| it.kind == kind).collect() };
    let manifest = workspace().join("deploy/install.yaml");
    let bare = of_kind(Kind::Bare);
    if !bare.is_empty() {
        let binaries = release_binaries()?;
        let lab = LabBuilder::new().bare_nodes(args.nodes).progress(spinner.clone()).start()?;
        let stage = spinner.step("come to rest", || Stage::bare(lab, &binaries, &manifest))?;
        rows.extend(play_all(&spinner, &stage, &bare, &mut report)?);
        stage.lab().end()?;
    }
    let full = of_kind(Kind::Full);
    if !args.bare && !full.is_empty() {
        let images = image::write(&demo::images_dir()?)?;
        let nginx = ferrolb_lab::image::nginx(spinner.as_ref())?;
        let lab = LabBuilder::new().full_nodes(FULL).progress(spinner.clone()).start()?;
        let stage = spinner.step("come to rest", || Stage::full(lab, &images.folder, &manifest, &nginx))?;
        rows.extend(play_all(&spinner, &stage, &full, &mut report)?);
        stage.lab().end()?;
    }
    let path = match &args.svg {
        Some(path) => path.clone(),
        None => target_dir()?.join("bench-failover.svg"),
    };
    plot::write(&path, "longest time without an answer", &rows)?;
    Ok(report)
}

fn series(args: &FailoverArgs) -> Vec<Series> {
    let often = [Fault::NodeLost, Fault::SpeakerKilled];
    let trials = |fault| if often.contains(&fault) { args.trials } else { args.others };
    let of = |kind, with_api, trials, fault| Series { fault, kind, with_api, trials };
    let bare = Fault::ALL.map(|fault| of(Kind::Bare, true, trials(fault), fault));
    let without_api = Fault::WITHOUT_API.map(|fault| of(Kind::Bare, false, args.others, fault));
    let full = Fault::ON_FULL_NODES.map(|fault| of(Kind::Full, true, args.others, fault));
    let full_without_api = Fault::ON_FULL_NODES_WITHOUT_API;
    let full_without_api = full_without_api.map(|fault| of(Kind::Full, false, args.others, fault));
    let all = bare.into_iter().chain(without_api).chain(full).chain(full_without_api);
    let named = |series: &Series| args.only.as_ref().is_none_or(|only| series.name().contains(only.as_str()));
    all.filter(|series| named(series) && series.trials > 0).collect()
}

/// Tries one fault after the other, up to one that can't be made good.
fn play_all(spinner: &Spinner, stage: &Stage, all: &[Series], report: &mut Report) -> Result<Vec<plot::Row>> {
    let mut rows = Vec::new();
    for series in all {
        rows.extend(play(spinner, stage, series, report)?);
        if !stage.rests() {
            eprintln!("the cluster does not come to rest after {:?}: the rest is not tried", series.name());
            break;
        }
    }
    Ok(rows)
}

/// Makes all trials of a fault, none of which is left out: those that come to nothing are told, and counted.
fn play(spinner: &Spinner, stage: &Stage, series: &Series, report: &mut Report) -> Result<Option<plot::Row>> {
    let name = series.name();
    let (mut outcomes, mut failures) = (Vec::new(), 0_u32);
    spinner.step(&name, || {
        for trial in 1..=series.trials {
            match stage.trial(series.fault, series.with_api) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    eprintln!("{name}, trial {trial}: {error:#}");
                    failures += 1;
                }
            }
            if failures == GIVES_UP || !stage.rests() {
                break;
            }
        }
        Ok(())
    })?;
    let made = outcomes.len() as u32 + failures;
    report.figure(&format!("{name}: failures of {made}"), failures.into(), "", Some(Reach::AtMost(0.0)));
    if outcomes.is_empty() {
        return Ok(None);
    }
    let (p50, p99) = series.fault.reach();
    let unanswered: Vec<f64> =
        outcomes.iter().map(|outcome| outcome.unanswered().as_secs_f64() * 1e3).collect();
    report.distribution(&format!("{name}: unanswered"), "ms", unanswered.clone(), Bounds { p50, p99 });
    let quarrel = outcomes.iter().map(|outcome| outcome.quarrel().as_secs_f64() * 1e3).collect();
    let heard = series.fault != Fault::NodeLostIsolated;
    let heals = Bounds { p50: None, p99: heard.then_some(HEALS) };
    report.distribution(&format!("{name}: two answers"), "ms", quarrel, heals);
    // Of a fault that must move nothing, a single answer with another node's address counts.
    let stays = series.fault.moves() == Some(false);
    let moved = outcomes.iter().map(if stays { Outcome::strayed } else { Outcome::moved });
    let moved = moved.sum::<usize>() as f64;
    let all = outcomes.iter().map(|outcome| outcome.seen.len()).sum::<usize>() as f64;
    let reach =
        series.fault.moves().map(|moves| if moves { Reach::AtLeast(all) } else { Reach::AtMost(0.0) });
    report.figure(&format!("{name}: moves of {all}"), moved, "", reach);
    if series.kind == Kind::Full {
        let unconnected = outcomes.iter().filter_map(Outcome::unconnected);
        let unconnected = unconnected.map(|gap| gap.as_secs_f64() * 1e3).collect();
        report.distribution(&format!("{name}: no new connection"), "ms", unconnected, Bounds::default());
        let broken = outcomes.iter().filter_map(Outcome::broken).sum::<usize>() as f64;
        let reach = stays.then_some(Reach::AtMost(0.0));
        report.figure(&format!("{name}: broken connections of {all}"), broken, "", reach);
    }
    Ok(Some(plot::Row { name, samples: unanswered, reach: p99 }))
}
