//! Rows of results: percentiles over all rounds, medians of rates.

use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// One result in `report.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub case: String,
    pub subject: String,
    pub size: usize,
    pub metric: &'static str,
    pub unit: &'static str,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

struct Series {
    case: String,
    subject: String,
    size: usize,
    unit: &'static str,
    /// Per round: p50, p99, p99.9 of latencies, or one rate three times.
    rounds: Vec<[f64; 3]>,
}

#[derive(Default)]
pub struct Report {
    series: Vec<Series>,
}

impl Report {
    /// Adds a round of latencies in nanoseconds.
    pub fn latencies(&mut self, case: &str, subject: &str, size: usize, mut nanos: Vec<f64>) {
        nanos.sort_by(f64::total_cmp);
        let at = |part: f64| nanos[((nanos.len() - 1) as f64 * part) as usize];
        self.add(case, subject, size, "ns", [at(0.5), at(0.99), at(0.999)]);
    }

    /// Adds a round's rate.
    pub fn rate(&mut self, case: &str, subject: &str, size: usize, unit: &'static str, rate: f64) {
        self.add(case, subject, size, unit, [rate; 3]);
    }

    fn add(&mut self, case: &str, subject: &str, size: usize, unit: &'static str, round: [f64; 3]) {
        let same =
            |s: &&mut Series| s.case == case && s.subject == subject && s.size == size && s.unit == unit;
        match self.series.iter_mut().find(same) {
            Some(series) => series.rounds.push(round),
            None => self.series.push(Series {
                case: case.into(),
                subject: subject.into(),
                size,
                unit,
                rounds: vec![round],
            }),
        }
    }

    /// The medians of the rounds.
    pub fn rows(&self) -> Vec<Row> {
        self.series
            .iter()
            .map(|s| {
                let median = |i: usize| {
                    let mut values: Vec<f64> = s.rounds.iter().map(|r| r[i]).collect();
                    values.sort_by(f64::total_cmp);
                    values[values.len() / 2]
                };
                let metric = if s.unit == "ns" { "latency" } else { "rate" };
                let (case, subject) = (s.case.clone(), s.subject.clone());
                Row {
                    case,
                    subject,
                    size: s.size,
                    metric,
                    unit: s.unit,
                    p50: median(0),
                    p99: median(1),
                    p999: median(2),
                }
            })
            .collect()
    }

    /// A Markdown table for people.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| case | subject | size | p50 | p99 | p99.9 | unit |\n|---|---|---:|---:|---:|---:|---|\n",
        );
        for row in self.rows() {
            let show = |v: f64| if v >= 1e6 { format!("{:.2} M", v / 1e6) } else { format!("{v:.0}") };
            let (p99, p999) =
                if row.unit == "ns" { (show(row.p99), show(row.p999)) } else { ("".into(), "".into()) };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {p99} | {p999} | {} |",
                row.case,
                row.subject,
                row.size,
                show(row.p50),
                row.unit
            );
        }
        text
    }

    /// Writes `report.json` and `report.md`.
    pub fn write(&self, directory: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("report.json"), serde_json::to_string_pretty(&self.rows())?)?;
        std::fs::write(directory.join("report.md"), self.table())
    }
}
