//! What a benchmark found, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

/// What one run of a benchmark found.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The benchmark's name.
    pub(crate) bench: &'static str,
    /// The machine that it ran on.
    pub(crate) machine: Machine,
    /// Versions of what was measured and of what it ran on.
    pub(crate) versions: BTreeMap<&'static str, String>,
    /// The figures.
    pub(crate) rows: Vec<Row>,
    #[serde(skip)]
    samples: BTreeMap<String, Vec<f64>>,
}

/// A machine, as far as it explains figures.
#[derive(Serialize)]
pub(crate) struct Machine {
    cpus: usize,
    kernel: String,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// The figure.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What is promised, as in `<= 80`; `None` where nothing is.
    pub(crate) reach: Option<String>,
    /// Whether the promise holds in this run.
    pub(crate) holds: Option<bool>,
}

/// What a figure may be at most, at the 50th and the 99th percentile.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// Of half of the samples.
    pub(crate) p50: Option<f64>,
    /// Of 99 % of the samples.
    pub(crate) p99: Option<f64>,
}

/// What is promised of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    AtMost(f64),
    AtLeast(f64),
}

impl Reach {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
        }
    }
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Result<Self> {
        let versions = BTreeMap::from([
            ("ferrolb", env!("CARGO_PKG_VERSION").to_owned()),
            ("kubernetes", ferrolb_lab::DEFAULT_KUBERNETES.to_owned()),
        ]);
        Ok(Self { bench, machine: Machine::this()?, versions, rows: Vec::new(), samples: BTreeMap::new() })
    }

    /// Adds the rows of a distribution, keeps its samples, and returns its median.
    pub(crate) fn distribution(
        &mut self,
        name: &str,
        unit: &'static str,
        samples: Vec<f64>,
        bounds: Bounds,
    ) -> Option<f64> {
        let rows = rows(name, unit, &samples, bounds);
        let median = rows.first().map(|row| row.value);
        self.rows.extend(rows);
        self.samples.insert(name.to_owned(), samples);
        median
    }

    /// Adds a single figure.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &'static str, reach: Option<Reach>) {
        self.rows.push(Row {
            name: name.to_owned(),
            value,
            unit,
            reach: reach.map(|reach| reach.to_string()),
            holds: reach.map(|reach| reach.holds(value)),
        });
    }

    /// Writes the samples to a file, and prints the report.
    #[expect(clippy::print_stdout, reason = "what the command was run for")]
    pub(crate) fn publish(&self, json: bool, samples: &Path) -> Result<()> {
        fs::write(samples, serde_json::to_string(&self.samples)?)
            .with_context(|| format!("write {}", samples.display()))?;
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            print!("{}", self.table());
            println!("samples: {}", samples.display());
        }
        Ok(())
    }

    fn table(&self) -> String {
        let header = ["what", "value", "unit", "reach", "holds"].map(str::to_owned);
        let lines = self.rows.iter().map(|row| {
            let holds = row.holds.map_or("", |holds| if holds { "yes" } else { "no" });
            let reach = row.reach.clone().unwrap_or_default();
            [row.name.clone(), format!("{:.2}", row.value), row.unit.to_owned(), reach, holds.to_owned()]
        });
        let lines: Vec<_> = std::iter::once(header).chain(lines).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
        let [name, value, unit, reach, _] = [0, 1, 2, 3, 4].map(width);
        lines
            .iter()
            .map(|[n, v, u, r, h]| {
                format!("{n:name$}  {v:>value$}  {u:unit$}  {r:reach$}  {h}").trim_end().to_owned() + "\n"
            })
            .collect()
    }
}

impl Machine {
    fn this() -> Result<Self> {
        let uname = Command::new("uname").arg("-r").output().context("run uname")?;
        let kernel = String::from_utf8_lossy(&uname.stdout).trim().to_owned();
        Ok(Self { cpus: std::thread::available_parallelism()?.get(), kernel })
    }
}

/// The percentiles of a distribution, nearest rank; none without samples.
fn rows(name: &str, unit: &'static str, samples: &[f64], bounds: Bounds) -> Vec<Row> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    [("p50", 50, bounds.p50), ("p99", 99, bounds.p99), ("max", 100, None)]
        .into_iter()
        .filter_map(|(label, percent, bound)| {
            let value = at(percent)?;
            Some(Row {
                name: format!("{name} {label}"),
                value,
                unit,
                reach: bound.map(|bound| format!("<= {bound}")),
                holds: bound.map(|bound| value <= bound),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let values: Vec<_> =
            rows("x", "ms", &samples, Bounds::default()).into_iter().map(|row| row.value).collect();
        assert_eq!(values, [100.0, 198.0, 200.0]);
        assert_eq!(rows("x", "ms", &[7.0], Bounds::default())[0].value, 7.0);
        assert!(rows("x", "ms", &[], Bounds::default()).is_empty());
    }

    #[test]
    fn a_promise_holds_up_to_its_bound() {
        let bounds = Bounds { p50: Some(2.0), p99: Some(2.0) };
        let rows = rows("x", "ms", &[1.0, 2.0, 3.0], bounds);
        assert_eq!(rows.iter().map(|row| row.holds).collect::<Vec<_>>(), [Some(true), Some(false), None]);
        assert_eq!(rows[0].reach.as_deref(), Some("<= 2"));
    }

    #[test]
    fn the_json_has_the_fields_that_programs_read() {
        let mut report = Report::new("x").unwrap();
        report.distribution("d", "ms", vec![1.0], Bounds { p50: Some(2.0), p99: None });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rows"][0]["name"], "d p50");
        assert_eq!(json["rows"][0]["holds"], true);
        assert!(json["rows"][2]["reach"].is_null() && json["rows"][2]["holds"].is_null());
        assert!(json["machine"]["cpus"].is_u64() && json["versions"]["ferrolb"].is_string());
        assert!(json.get("samples").is_none());
    }
}
