//! What this program measures itself. The driver starts it again for each measurement, as it starts the programs of
//! others: one that crashes or hangs costs the report that subject and not the run.

use crate::effort::Effort;
use crate::report::Report;
use crate::topic::SUBJECT;
use crate::{
    calls, durable, fan_out, floor, kernel, lock, mqueue, opening, queue, rpc, stream, throughput, topic,
};

type Part = fn(&Effort, &mut Report);

/// Case, subject, and what measures it.
const PARTS: &[(&str, &str, Part)] = &[
    ("floor_ping_pong", "atomics", floor::ping_pong),
    ("one_way_spin", SUBJECT, topic::one_way_spin),
    ("round_trip_spin", SUBJECT, topic::round_trip_spin),
    ("round_trip_adaptive", SUBJECT, topic::round_trip_adaptive),
    ("floor_futex", "raw-futex", floor::futex),
    ("round_trip_blocking", SUBJECT, topic::round_trip_blocking),
    ("round_trip_blocking", kernel::PIPE, kernel::pipe_round_trip),
    ("round_trip_blocking", kernel::SOCKET, kernel::socket_round_trip),
    ("floor_copy", "memcpy", floor::copy),
    ("throughput", SUBJECT, throughput::topic),
    ("throughput", kernel::PIPE, kernel::pipe_throughput),
    ("throughput", kernel::SOCKET, kernel::socket_throughput),
    ("ring", SUBJECT, throughput::ring),
    ("loan_borrow", SUBJECT, topic::loan_borrow),
    ("fan_out", SUBJECT, fan_out::run),
    ("many_topics", SUBJECT, throughput::many_topics),
    ("open_and_first_publish", SUBJECT, opening::open_and_first_publish),
    ("memory", SUBJECT, opening::memory),
    ("binding_call", SUBJECT, calls::run),
    ("queue", SUBJECT, queue::memory),
    ("queue", "posix-mq", mqueue::throughput),
    ("queue_pending", SUBJECT, queue::pending),
    ("durable_reopen", SUBJECT, durable::reopen),
    ("durable_unsynced", SUBJECT, durable::unsynced),
    ("floor_durable", "fdatasync", durable::floor),
    ("durable_sync_each", SUBJECT, durable::sync_each),
    ("durable_group_commit", SUBJECT, durable::group_commit),
    ("call_spin", SUBJECT, rpc::spin),
    ("call_adaptive", SUBJECT, rpc::adaptive),
    ("call_blocking", SUBJECT, rpc::blocking),
    ("call_many", SUBJECT, rpc::many),
    ("framed_socket", SUBJECT, stream::framed_socket),
    ("framed_socket", kernel::SOCKET, stream::raw_socket),
    ("framed_pipe", SUBJECT, stream::framed_pipe),
    ("framed_pipe", kernel::PIPE, stream::raw_pipe),
    ("mutex", SUBJECT, lock::uncontended),
    ("mutex", lock::PTHREAD, lock::pthread_uncontended),
    ("mutex_contended", SUBJECT, lock::contended),
    ("mutex_contended", lock::PTHREAD, lock::pthread_contended),
];

/// The subjects of a case.
pub fn subjects(case: &str) -> impl Iterator<Item = &'static str> {
    PARTS.iter().filter(move |part| part.0 == case).map(|part| part.1)
}

/// Measures a subject once and prints its rows, a JSON line each.
pub fn measure(subject: &str, case: &str, exchanges: &str, messages: &str) {
    let number = |text: &str| text.parse().expect("a number");
    let effort = Effort { rounds: 1, exchanges: number(exchanges), messages: number(messages) };
    let mut report = Report::default();
    let part = PARTS.iter().find(|part| (part.0, part.1) == (case, subject)).expect("a part of this program");
    part.2(&effort, &mut report);
    for row in report.rows() {
        println!("{}", serde_json::to_string(&row).expect("a row is JSON"));
    }
}
