//! What the project wants to reach, as ratios within a run or as absolute numbers. Never a test: a machine under load
//! or far from the one we develop on may miss any of them.

use crate::report::Row;
use std::fmt::Write;

/// How a row is found: case, subject, size, metric, unit.
type Key = (&'static str, &'static str, usize, &'static str, &'static str);

enum Than {
    /// The value may be this times that row's p50.
    Times(f64, Key),
    /// The value alone, in the row's unit.
    Value(f64),
}

struct Target {
    what: &'static str,
    row: Key,
    /// Whether the value should be at least the bound; else at most.
    at_least: bool,
    than: Than,
}

const NS: &str = "ns";
const MSGS: &str = "msgs_per_s";
const BYTES: &str = "bytes_per_s";
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const fn latency(case: &'static str, subject: &'static str, size: usize) -> Key {
    (case, subject, size, "latency", NS)
}

const fn rate(case: &'static str, subject: &'static str, size: usize, unit: &'static str) -> Key {
    (case, subject, size, "rate", unit)
}

const fn most(what: &'static str, row: Key, times: f64, of: Key) -> Target {
    Target { what, row, at_least: false, than: Than::Times(times, of) }
}

const fn least(what: &'static str, row: Key, times: f64, of: Key) -> Target {
    Target { what, row, at_least: true, than: Than::Times(times, of) }
}

const RUST: &str = "axonic-rust";
const PYTHON: &str = "axonic-python";
const NODE: &str = "axonic-node";

const TARGETS: &[Target] = &[
    most(
        "one way, spinning, 48 B: at most 1.3 x the floor",
        latency("one_way_spin", RUST, 48),
        1.3,
        latency("floor_ping_pong", "atomics", 8),
    ),
    most(
        "one way, spinning, 64 B: at most 0.34 x iceoryx2",
        latency("one_way_spin", RUST, 64),
        0.34,
        latency("one_way_spin", "iceoryx2", 64),
    ),
    Target {
        what: "throughput 64 B: at least 40 M/s",
        row: rate("throughput", RUST, 64, MSGS),
        at_least: true,
        than: Than::Value(40e6),
    },
    Target {
        what: "ring 64 B: at least 60 M/s",
        row: rate("ring", RUST, 64, MSGS),
        at_least: true,
        than: Than::Value(60e6),
    },
    least(
        "ring 4 KiB: at least 0.75 x the copy floor",
        rate("ring", RUST, 4 * KIB, BYTES),
        0.75,
        rate("floor_copy", "memcpy", 4 * KIB, BYTES),
    ),
    most(
        "loan and borrow 1 MiB, one line touched: at most 1.3 x one way of 64 B",
        latency("loan_borrow", RUST, MIB),
        1.3,
        latency("one_way_spin", RUST, 64),
    ),
    least(
        "throughput 1 MiB: at least 0.75 x the copy floor",
        rate("throughput", RUST, MIB, BYTES),
        0.75,
        rate("floor_copy", "memcpy", MIB, BYTES),
    ),
    most(
        "round trip, blocking: at most 1.15 x a raw futex",
        latency("round_trip_blocking", RUST, 64),
        1.15,
        latency("floor_futex", "raw-futex", 4),
    ),
    most(
        "round trip, adaptive: at most 1.5 x spinning",
        latency("round_trip_adaptive", RUST, 64),
        1.5,
        latency("round_trip_spin", RUST, 64),
    ),
    Target {
        what: "Python round trip, spinning: at most 1.0 us",
        row: latency("round_trip_spin", PYTHON, 64),
        at_least: false,
        than: Than::Value(1000.0),
    },
    Target {
        what: "Python throughput 64 B: at least 6 M/s",
        row: rate("throughput", PYTHON, 64, MSGS),
        at_least: true,
        than: Than::Value(6e6),
    },
    Target {
        what: "Python throughput 64 KiB, 16 MiB budget: at least 200 k/s",
        row: rate("throughput", PYTHON, 64 * KIB, MSGS),
        at_least: true,
        than: Than::Value(200e3),
    },
    most(
        "Python borrow of 1 MiB: at most 1/20 of cloudtoid's exchange",
        latency("loan_borrow", PYTHON, MIB),
        0.05,
        latency("loan_borrow", "cloudtoid-interprocess", MIB),
    ),
    most(
        "asyncio round trip: at most 0.6 x asyncio's Unix-socket streams",
        latency("round_trip_event_loop", "axonic-asyncio", 64),
        0.6,
        latency("round_trip_event_loop", "unix-socket", 64),
    ),
    Target {
        what: "Node round trip, polling: at most 1.0 us",
        row: latency("round_trip_spin", NODE, 64),
        at_least: false,
        than: Than::Value(1000.0),
    },
    Target {
        what: "Node throughput 64 B into Buffers: at least 2 M/s",
        row: rate("throughput", NODE, 64, MSGS),
        at_least: true,
        than: Than::Value(2e6),
    },
    most(
        "Node event-loop round trip: at most 0.5 x Node's Unix socket",
        latency("round_trip_event_loop", NODE, 64),
        0.5,
        latency("round_trip_event_loop", "node-unix-socket", 64),
    ),
    Target {
        what: "memory of a default topic: at most 320 KiB",
        row: ("memory", RUST, 64, "topic", "bytes"),
        at_least: false,
        than: Than::Value(320.0 * 1024.0),
    },
    Target {
        what: "open and first publish: at most 5 ms",
        row: latency("open_and_first_publish", RUST, 64),
        at_least: false,
        than: Than::Value(5e6),
    },
    most(
        "publish with 64 idle subscribers: at most 1.5 x with one",
        ("fan_out", RUST, 64, "publish_64_idle", NS),
        1.5,
        ("fan_out", RUST, 64, "publish_1_idle", NS),
    ),
    Target {
        what: "queue 64 B: at least 8 M/s",
        row: rate("queue", RUST, 64, MSGS),
        at_least: true,
        than: Than::Value(8e6),
    },
    Target {
        what: "Python queue 64 B: at least 1.5 M/s",
        row: rate("queue", PYTHON, 64, MSGS),
        at_least: true,
        than: Than::Value(1.5e6),
    },
    Target {
        what: "Node queue 64 B: at least 0.8 M/s",
        row: rate("queue", NODE, 64, MSGS),
        at_least: true,
        than: Than::Value(0.8e6),
    },
    most(
        "queue with a million pending: at most 1.5 x with few",
        ("queue_pending", RUST, 64, "get_put_million", NS),
        1.5,
        ("queue_pending", RUST, 64, "get_put_few", NS),
    ),
    Target {
        what: "durable queue with a million pending reopened: at most 2 s",
        row: latency("durable_reopen", RUST, 256),
        at_least: false,
        than: Than::Value(2e9),
    },
    Target {
        what: "durable queue 256 B, no sync: at least 1 M/s",
        row: rate("durable_unsynced", RUST, 256, MSGS),
        at_least: true,
        than: Than::Value(1e6),
    },
    least(
        "durable queue 256 B, sync each: at least 0.9 x write and fdatasync",
        rate("durable_sync_each", RUST, 256, MSGS),
        0.9,
        ("floor_durable", "fdatasync", 256, "rate_1", MSGS),
    ),
    least(
        "durable queue 256 B, 4 x 16 puts share a sync: at least 0.7 x 64 records and fdatasync",
        rate("durable_group_commit", RUST, 256, MSGS),
        0.7,
        ("floor_durable", "fdatasync", 256, "rate_64", MSGS),
    ),
    Target {
        what: "the same: at least 100 k/s",
        row: rate("durable_group_commit", RUST, 256, MSGS),
        at_least: true,
        than: Than::Value(100e3),
    },
    Target {
        what: "call 64 B, spinning, Rust: at most 0.8 us",
        row: latency("call_spin", RUST, 64),
        at_least: false,
        than: Than::Value(800.0),
    },
    Target {
        what: "call 64 B, spinning, Python: at most 2.5 us",
        row: latency("call_spin", PYTHON, 64),
        at_least: false,
        than: Than::Value(2500.0),
    },
    Target {
        what: "call 64 B, spinning, Node: at most 2 us",
        row: latency("call_spin", NODE, 64),
        at_least: false,
        than: Than::Value(2000.0),
    },
    most(
        "call 64 B, default waiting: at most 1.3 x a raw futex round trip",
        latency("call_adaptive", RUST, 64),
        1.3,
        latency("floor_futex", "raw-futex", 4),
    ),
    Target {
        what: "calls, 64 under way: at least 4 M/s",
        row: rate("call_many", RUST, 64, MSGS),
        at_least: true,
        than: Than::Value(4e6),
    },
    most(
        "call with 1 KiB of JSON, Python to Node, default waiting: at most 1/5 of gRPC",
        latency("call_json", PYTHON, KIB),
        0.2,
        latency("call_json", "grpcio", KIB),
    ),
    most(
        "the same: at most 1/5 of JSON-RPC over stdio",
        latency("call_json", PYTHON, KIB),
        0.2,
        latency("call_json", "python-lsp-jsonrpc", KIB),
    ),
    most(
        "the same, spinning: at most 1/5 of JSON-RPC over stdio",
        ("call_json", PYTHON, KIB, "latency_spin", NS),
        0.2,
        latency("call_json", "python-lsp-jsonrpc", KIB),
    ),
    most(
        "framed Unix socket, round trip, both sleep: at most 1.15 x read and write",
        latency("framed_socket", RUST, 64),
        1.15,
        latency("framed_socket", "unix-socket", 64),
    ),
    most(
        "the same, both spin",
        ("framed_socket", RUST, 64, "latency_spin", NS),
        1.15,
        ("framed_socket", "unix-socket", 64, "latency_spin", NS),
    ),
    least(
        "framed Unix socket, 64 B in batches: at least 3 x a system call each",
        rate("framed_socket", RUST, 64, MSGS),
        3.0,
        rate("framed_socket", "unix-socket", 64, MSGS),
    ),
    most(
        "framed pipe, round trip, both sleep: at most 1.15 x read and write",
        latency("framed_pipe", RUST, 64),
        1.15,
        latency("framed_pipe", "pipe", 64),
    ),
    most(
        "the same, both spin",
        ("framed_pipe", RUST, 64, "latency_spin", NS),
        1.15,
        ("framed_pipe", "pipe", 64, "latency_spin", NS),
    ),
    least(
        "framed pipe, 64 B in batches: at least 3 x a system call each",
        rate("framed_pipe", RUST, 64, MSGS),
        3.0,
        rate("framed_pipe", "pipe", 64, MSGS),
    ),
    Target {
        what: "mutex, uncontended lock and unlock: at most 50 ns",
        row: latency("mutex", RUST, 8),
        at_least: false,
        than: Than::Value(50.0),
    },
    least(
        "mutex, two processes: at least as often as a robust pthread mutex",
        rate("mutex_contended", RUST, 8, MSGS),
        1.0,
        rate("mutex_contended", "pthread-robust", 8, MSGS),
    ),
];

fn find<'a>(rows: &'a [Row], key: &Key) -> Option<&'a Row> {
    rows.iter()
        .find(|r| (r.case.as_str(), r.subject.as_str(), r.size, r.metric.as_str(), r.unit.as_str()) == *key)
}

/// A table of all targets: what was measured, beside what, the ratio and whether it was reached.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from("| target | measured | beside | ratio | |\n|---|---:|---:|---:|---|\n");
    for target in TARGETS {
        let _ = writeln!(text, "| {} | {} |", target.what, judged(rows, target));
    }
    text
}

fn judged(rows: &[Row], target: &Target) -> String {
    let Some(row) = find(rows, &target.row) else { return "not measured | | |".into() };
    let measured = crate::markdown::amount(row.p50, &row.unit);
    let (beside, base, bound) = match &target.than {
        Than::Value(value) => (crate::markdown::amount(*value, &row.unit), *value, 1.0),
        Than::Times(times, key) => match find(rows, key) {
            Some(other) => (crate::markdown::amount(other.p50, &other.unit), other.p50, *times),
            None => return format!("{measured} | not measured | |"),
        },
    };
    let ratio = row.p50 / base;
    let reached = if target.at_least { ratio >= bound } else { ratio <= bound };
    let digits = if ratio < 0.1 { 4 } else { 2 };
    format!(
        "{measured} | {beside} | {ratio:.digits$} | {}",
        if reached { "reached" } else { "**not reached**" }
    )
}
