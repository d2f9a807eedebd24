//! What the peers' programs share with the bench, and how they answer: `program case exchanges messages`, one JSON
//! line per result.

#[path = "../../src/effort.rs"]
pub mod effort;
#[path = "../../src/measure.rs"]
pub mod measure;
#[path = "../../src/process.rs"]
pub mod process;
#[path = "../../src/samples.rs"]
pub mod samples;

use effort::Effort;
use std::path::PathBuf;

/// The case this program was asked for, and how much of it.
pub fn asked() -> (String, Effort) {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, case, exchanges, messages] = &arguments[..] else {
        panic!("usage: {} case exchanges messages", arguments[0]);
    };
    let number = |text: &String| text.parse().expect("a number");
    (case.clone(), Effort { rounds: 1, exchanges: number(exchanges), messages: number(messages) })
}

/// The bench's folder, for sockets and files.
pub fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("AXONIC_RUNTIME_DIR").expect("set by the bench"))
}

/// A folder of this program's own on a disk.
pub fn disk() -> PathBuf {
    let place = PathBuf::from(std::env::var_os("AXONIC_DATA_DIR").expect("set by the bench"));
    let folder = place.join(format!("peer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder on the disk");
    folder
}

/// Ends this program: what it measures cannot be measured here.
pub fn skip(why: &str) -> ! {
    println!("{}", serde_json::json!({ "skipped": why }));
    std::process::exit(0);
}

pub fn tell(size: usize, metric: &str, unit: &str, [p50, p99, p999]: [f64; 3]) {
    let line = serde_json::json!({
        "size": size, "metric": metric, "unit": unit, "p50": p50, "p99": p99, "p999": p999
    });
    println!("{line}");
}

/// Latencies in nanoseconds, each divided by `parts`: 2 for one way of a round trip.
pub fn latencies(size: usize, nanos: Vec<f64>, parts: f64) {
    let nanos = nanos.into_iter().map(|t| t / parts).collect();
    tell(size, "latency", "ns", samples::percentiles(nanos));
}

/// A rate of messages, and of bytes where messages are large.
pub fn rates(size: usize, per_second: f64) {
    tell(size, "rate", "msgs_per_s", [per_second; 3]);
    if size >= 4096 {
        tell(size, "rate", "bytes_per_s", [per_second * size as f64; 3]);
    }
}
