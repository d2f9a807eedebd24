//! `report.md`: the targets, where a peer wins, what is missing, and every row.

use crate::report::{Report, Row};
use std::fmt::Write;

const METHOD: &str = "\
Two processes pinned to two cores, with whatever threads a library adds (crossbeam-channel: two threads), payload \
written and read, all subjects of a case one after the other in every round; each figure is the median of the rounds' percentiles. One way is half a \
round trip. A rate is timed by the receiver in the middle of a longer stream in which nothing is lost, as the median \
of many parts; scripts send a quarter of the messages. `rate` uses the calls that are fastest, `rate_singly` one \
call per message where those take many, `rate_many` the reverse. In `round_trip_event_loop`, `unix-socket` is \
asyncio's streams. In `call_json` a client in Python calls a service in Node, which answers the object it was given; gRPC \
carries it as JSON, in a message that is nothing else, and `call_blocking` has what sleeps, each in its own language. \
`framed_socket` and `framed_pipe` are beside one system call for each message. A job of a queue is put, taken and acknowledged, the peers' `rate` 64 at a time. Of SQLite, `_off` is synchronous=OFF \
where the other is NORMAL. What waits for a disk is in `target/bench`, and \
`floor_durable` is a file there, into which one process writes as many records at once as the metric says, and waits for \
them. Compare ratios within a run, not numbers between machines or days.
";

/// The whole page.
pub fn page(report: &Report, rounds: usize, groups: &[&str]) -> String {
    let rows = report.rows();
    let mut text = format!(
        "# Measurements\n\n{rounds} rounds. {METHOD}\n## Targets\n\n{}\n",
        crate::targets::table(&rows)
    );
    let _ = writeln!(text, "## Where a peer wins\n\n{}", wins(&rows));
    let _ = writeln!(text, "## Not measured\n");
    if report.skipped().is_empty() {
        text.push_str("Nothing was skipped.\n");
    }
    for note in report.skipped() {
        let _ = writeln!(text, "- {note}");
    }
    let _ = writeln!(text, "\n## All rows\n\n{}", table(&rows));
    for group in groups {
        let _ = writeln!(text, "![{group}]({group}.svg)");
    }
    text
}

/// Every row.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | subject | size | metric | p50 | p99 | p99.9 |\n|---|---|---:|---|---:|---:|---:|\n",
    );
    for row in rows {
        let show = |value| if row.unit == "ns" { amount(value, &row.unit) } else { String::new() };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.case,
            row.subject,
            row.size,
            row.metric,
            amount(row.p50, &row.unit),
            show(row.p99),
            show(row.p999)
        );
    }
    text
}

/// Rows of peers that are better than the best Axonic subject of the same language in the same case, by how much.
fn wins(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | size | metric | peer | | Axonic | | peer is better by |\n|---|---:|---|---|---:|---|---:|---:|\n",
    );
    let mut any = false;
    for peer in rows.iter().filter(|row| !row.is_axonic() && !row.is_floor()) {
        let ours = rows.iter().filter(|row| {
            row.is_axonic()
                && language(row) == language(peer)
                && (&row.case, row.size, &row.metric, &row.unit)
                    == (&peer.case, peer.size, &peer.metric, &peer.unit)
        });
        for row in ours {
            let ratio = if row.is_rate() { peer.p50 / row.p50 } else { row.p50 / peer.p50 };
            if ratio > 1.0 {
                any = true;
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} | {ratio:.2} x |",
                    peer.case,
                    peer.size,
                    peer.metric,
                    peer.subject,
                    amount(peer.p50, &peer.unit),
                    row.subject,
                    amount(row.p50, &row.unit)
                );
            }
        }
    }
    if any { text } else { "Nowhere in this run.\n".into() }
}

/// Subjects are compared within a language; C and Rust count as one.
fn language(row: &Row) -> &'static str {
    match row.subject.as_str() {
        "axonic-python"
        | "axonic-asyncio"
        | "iceoryx2-python"
        | "pyzmq"
        | "cloudtoid-interprocess"
        | "mmbus"
        | "grpcio"
        | "multiprocessing"
        | "persist-queue"
        | "python-lsp-jsonrpc" => "python",
        "unix-socket" if row.case == "round_trip_event_loop" => "python",
        "grpc-js" | "vscode-jsonrpc" => "node",
        subject if subject.contains("node") => "node",
        _ => "native",
    }
}

/// A value with its unit as people write it.
pub fn amount(value: f64, unit: &str) -> String {
    let (steps, base): (&[&str], f64) = match unit {
        "ns" => (&["ns", "us", "ms", "s"], 1000.0),
        "msgs_per_s" => (&["/s", "k/s", "M/s", "G/s"], 1000.0),
        "bytes_per_s" => (&["B/s", "kB/s", "MB/s", "GB/s"], 1000.0),
        _ => (&["B", "KiB", "MiB", "GiB"], 1024.0),
    };
    let (mut value, mut step) = (value, 0);
    while value >= base && step + 1 < steps.len() {
        value /= base;
        step += 1;
    }
    let digits = if value >= 100.0 || step == 0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", steps[step])
}
