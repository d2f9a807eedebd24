//! Rows of results: medians of the rounds.

use crate::samples::median;
use serde::Serialize;

/// One result in `report.json`. Rates have one value, three times.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub case: String,
    pub subject: String,
    pub size: usize,
    pub metric: String,
    pub unit: String,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Row {
    /// Whether more is better.
    pub fn is_rate(&self) -> bool {
        self.unit.ends_with("_per_s")
    }

    pub fn is_axonic(&self) -> bool {
        self.subject.starts_with("axonic-")
    }

    pub fn is_floor(&self) -> bool {
        self.case.starts_with("floor_")
    }
}

struct Series {
    row: Row,
    /// Per round: p50, p99, p99.9 of latencies, or one rate three times.
    rounds: Vec<[f64; 3]>,
}

/// All that was measured, in the order in which it came first, and what could not be.
#[derive(Default)]
pub struct Report {
    series: Vec<Series>,
    skipped: Vec<String>,
}

impl Report {
    /// Adds a round of latencies in nanoseconds.
    pub fn latencies(&mut self, case: &str, subject: &str, size: usize, nanos: Vec<f64>) {
        self.add(case, subject, size, "latency", "ns", crate::samples::percentiles(nanos));
    }

    /// Adds a round's rate of messages, and of bytes where messages are large.
    pub fn rates(&mut self, case: &str, subject: &str, size: usize, per_second: f64) {
        self.add(case, subject, size, "rate", "msgs_per_s", [per_second; 3]);
        if size >= 4096 {
            self.add(case, subject, size, "rate", "bytes_per_s", [per_second * size as f64; 3]);
        }
    }

    pub fn add(&mut self, case: &str, subject: &str, size: usize, metric: &str, unit: &str, round: [f64; 3]) {
        let same = |s: &&mut Series| {
            let row = &s.row;
            row.case == case
                && row.subject == subject
                && row.size == size
                && row.metric == metric
                && row.unit == unit
        };
        if let Some(series) = self.series.iter_mut().find(same) {
            series.rounds.push(round);
            return;
        }
        let [case, subject, metric, unit] = [case, subject, metric, unit].map(str::to_owned);
        let row = Row { case, subject, size, metric, unit, p50: 0.0, p99: 0.0, p999: 0.0 };
        self.series.push(Series { row, rounds: vec![round] });
    }

    /// Notes what could not be measured, on the terminal too.
    pub fn skip(&mut self, subject: &str, case: &str, why: &str) {
        let note =
            if case.is_empty() { format!("{subject}: {why}") } else { format!("{subject} in {case}: {why}") };
        eprintln!("  skipped: {note}");
        self.skipped.push(note);
    }

    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The medians of the rounds, case by case.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.series.iter().map(Series::medians).collect();
        let mut cases: Vec<String> = Vec::new();
        for row in &rows {
            if !cases.contains(&row.case) {
                cases.push(row.case.clone());
            }
        }
        rows.sort_by_key(|row| cases.iter().position(|case| *case == row.case));
        rows
    }
}

impl Series {
    fn medians(&self) -> Row {
        let of = |i: usize| median(self.rounds.iter().map(|round| round[i]).collect());
        Row { p50: of(0), p99: of(1), p999: of(2), ..self.row.clone() }
    }
}
