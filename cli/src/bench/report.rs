//! What was measured: a table with ratios to the floors, or JSON.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use super::pair::Cores;
use crate::human::{bytes, rate};
use crate::output::{Output, Style};
use crate::stop::Stop;
use crate::table::Table;

/// Times of one case, in nanoseconds.
#[derive(Default)]
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    pub fn add(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
    }

    /// Of round trips: one way.
    pub fn halved(mut self) -> Latencies {
        self.0.iter_mut().for_each(|time| *time /= 2);
        self
    }

    /// 50, 99 and 99.9 of a hundred, without the first tenth: caches and branch predictors were cold.
    fn percentiles(mut self) -> [f64; 3] {
        let times = self.0.split_off(self.0.len() / 10);
        let mut sorted = times;
        sorted.sort_unstable();
        [0.5, 0.99, 0.999].map(|part| {
            let at = (sorted.len() as f64 * part).ceil() as usize;
            f64::from(sorted.get(at.saturating_sub(1)).copied().unwrap_or_default())
        })
    }
}

/// One line of the report.
#[derive(Serialize)]
struct Row {
    case: &'static str,
    #[serde(skip)]
    what: &'static str,
    /// Payload bytes of a message.
    size: usize,
    /// `ns` (less is better) or `messages_per_s`.
    unit: &'static str,
    /// Times only.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p999: Option<f64>,
    /// Rates only.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// The case it is compared with; a floor has none.
    floor: Option<&'static str>,
    /// How many times as long as its floor it takes.
    ratio: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Report {
    version: &'static str,
    /// The cores of the two sides; the same one where there is one only.
    cores: [usize; 2],
    /// Whether there was one core only: then what spins is left out.
    one_core: bool,
    results: Vec<Row>,
}

impl Report {
    pub fn new(cores: Cores) -> Report {
        let (version, one_core) = (env!("CARGO_PKG_VERSION"), cores.is_one());
        Report { version, cores: [cores.here, cores.there], one_core, results: Vec::new() }
    }

    /// A latency the machine itself has.
    pub fn floor(&mut self, case: &'static str, what: &'static str, size: usize, times: Latencies) {
        self.add_latency(case, what, size, times, None);
    }

    /// A latency of Axonic's, beside its floor.
    pub fn latency(
        &mut self,
        case: &'static str,
        what: &'static str,
        size: usize,
        times: Latencies,
        floor: &'static str,
    ) {
        self.add_latency(case, what, size, times, Some(floor));
    }

    fn add_latency(
        &mut self,
        case: &'static str,
        what: &'static str,
        size: usize,
        times: Latencies,
        floor: Option<&'static str>,
    ) {
        let [p50, p99, p999] = times.percentiles().map(Some);
        let base = self.of(floor).and_then(|row| row.p50);
        let ratio = base.zip(p50).map(|(base, p50)| p50 / base);
        self.results.push(Row { case, what, size, unit: "ns", p50, p99, p999, rate: None, floor, ratio });
    }

    /// A rate the machine itself has.
    pub fn floor_rate(
        &mut self,
        case: &'static str,
        what: &'static str,
        size: usize,
        count: u64,
        took: Duration,
    ) {
        self.add_rate(case, what, size, count as f64 / took.as_secs_f64(), None);
    }

    /// A rate of Axonic's, beside its floor.
    pub fn rate(
        &mut self,
        case: &'static str,
        what: &'static str,
        size: usize,
        count: u64,
        took: Duration,
        floor: &'static str,
    ) {
        self.add_rate(case, what, size, count as f64 / took.as_secs_f64(), Some(floor));
    }

    fn add_rate(
        &mut self,
        case: &'static str,
        what: &'static str,
        size: usize,
        rate: f64,
        floor: Option<&'static str>,
    ) {
        let ratio = self.of(floor).and_then(|row| row.rate).map(|base| base / rate);
        let (p50, p99, p999) = (None, None, None);
        let rate = Some(rate);
        self.results.push(Row {
            case,
            what,
            size,
            unit: "messages_per_s",
            p50,
            p99,
            p999,
            rate,
            floor,
            ratio,
        });
    }

    /// The floor of this name, if it was measured.
    fn of(&self, case: Option<&str>) -> Option<&Row> {
        self.results.iter().find(|row| Some(row.case) == case)
    }

    pub fn print(&self, out: &mut Output<'_>) -> Result<(), Stop> {
        let [here, there] = self.cores;
        let title = if self.one_core {
            format!("axonic {} between two processes on core {here}, the only one there is", self.version)
        } else {
            format!("axonic {} between two processes on cores {here} and {there}", self.version)
        };
        writeln!(out, "{}\n", out.paint(Style::Name, &title))?;
        let mut table =
            Table::new(["WHAT", ">SIZE", ">P50", ">P99", ">P99.9", ">MSG/S", ">BYTES/S", ">RATIO"]);
        for row in &self.results {
            let time = |nanos: Option<f64>| nanos.map_or_else(String::new, time);
            table.row([
                row.what.into(),
                bytes(row.size as u64),
                time(row.p50),
                time(row.p99),
                time(row.p999),
                row.rate.map_or_else(String::new, rate),
                row.rate.map_or_else(String::new, |rate| bytes((rate * row.size as f64) as u64)),
                match (row.floor, row.ratio) {
                    (None, _) => "floor".into(),
                    (_, ratio) => ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} x")),
                },
            ]);
        }
        table.print(out, 0)?;
        Ok(writeln!(out, "\nA ratio is how many times as long as the floor above it something takes.")?)
    }
}

/// `85 ns`, `4.2 us`, `1.3 ms`.
fn time(nanos: f64) -> String {
    match nanos {
        n if n < 1e4 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} us", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_leave_out_the_warm_up_and_ratios_are_to_the_floor() {
        let times = |nanos: u64| {
            let mut times = Latencies::default();
            (0..100).for_each(|_| times.add(Duration::from_secs(1)));
            (0..899).for_each(|_| times.add(Duration::from_nanos(nanos)));
            times.add(Duration::from_nanos(nanos * 10));
            times
        };
        let mut report = Report::new(Cores { here: 0, there: 1 });
        report.floor("atomics", "", 8, times(50));
        report.latency("one_way", "", 64, times(150).halved(), "atomics");
        report.floor_rate("copies", "", 64, 100, Duration::from_secs(1));
        report.rate("throughput", "", 64, 100, Duration::from_secs(4), "copies");
        report.rate("alone", "", 64, 100, Duration::from_secs(4), "left out");
        let ratios: Vec<Option<f64>> = report.results.iter().map(|row| row.ratio).collect();
        assert_eq!(ratios, [None, Some(1.5), None, Some(4.0), None]);
        // One of nine hundred is slow, which is more than one of a thousand.
        let Row { p50, p99, p999, .. } = report.results[0];
        assert_eq!([p50, p99, p999], [50.0, 50.0, 500.0].map(Some));
    }

    #[test]
    fn times_have_three_digits_or_so() {
        assert_eq!(
            [time(85.4), time(4200.0), time(42_000.0), time(1.3e6)],
            ["85 ns", "4200 ns", "42.0 us", "1.3 ms"]
        );
    }
}
