//! Samples as a picture: a line for each row, a dot for each sample, on a logarithmic scale.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A distribution in milliseconds.
pub(super) struct Row {
    /// What was measured.
    pub(super) name: String,
    /// All samples.
    pub(super) samples: Vec<f64>,
    /// What is promised of 99 % of them.
    pub(super) reach: Option<f64>,
}

const LEFT: f64 = 260.0;
const WIDTH: f64 = 640.0;
const LINE: f64 = 22.0;
const TOP: f64 = 50.0;
/// The scale, in milliseconds.
const TICKS: [f64; 5] = [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

pub(super) fn write(path: &Path, title: &str, rows: &[Row]) -> Result<()> {
    fs::write(path, draw(title, rows)).with_context(|| format!("write {}", path.display()))
}

fn draw(title: &str, rows: &[Row]) -> String {
    let height = TOP + LINE * rows.len() as f64 + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"18\">{}</text>\n",
        LEFT + WIDTH + 40.0,
        escape(title)
    );
    for tick in TICKS {
        let (x, label) =
            (place(tick), if tick < 1000.0 { format!("{tick} ms") } else { format!("{} s", tick / 1e3) });
        line(&mut svg, x, TOP - 10.0, height - 20.0, "#ddd");
        _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"34\" text-anchor=\"middle\" fill=\"#666\">{label}</text>");
    }
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + LINE * (number as f64 + 0.5);
        let name = escape(&row.name);
        _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 10.0,
            y + 4.0
        );
        for sample in &row.samples {
            let x = place(*sample);
            _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1f77b4\" fill-opacity=\"0.4\"/>"
            );
        }
        if let Some(reach) = row.reach {
            line(&mut svg, place(reach), y - 8.0, y + 8.0, "#d62728");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn line(svg: &mut String, x: f64, from: f64, to: f64, color: &str) {
    _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\" stroke=\"{color}\"/>"
    );
}

/// Where a sample is on the scale; those beyond its ends are at them.
fn place(sample: f64) -> f64 {
    let (first, last) = (TICKS[0].log10(), TICKS[TICKS.len() - 1].log10());
    let part = (sample.max(TICKS[0]).log10() - first) / (last - first);
    LEFT + WIDTH * part.clamp(0.0, 1.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_is_a_dot_at_its_place() {
        let row = Row { name: "a < b".to_owned(), samples: vec![10.0, 1_000.0, 0.1], reach: Some(100.0) };
        let svg = draw("title", &[row]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches("cx=\"260.0\"").count(), 2, "beyond the scale is at its end");
        assert!(svg.contains("cx=\"580.0\"") && svg.contains("a &lt; b"));
    }
}
