//! SQLite with a write-ahead log: a row for each message, which is marked when it is taken and deleted when it is done.

#![allow(dead_code)]
mod common;
mod jobs;

use common::{asked, disk};
use jobs::{BATCH, Jobs, SIZE, pass, put_each, put_together};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

fn main() {
    let (case, effort) = asked();
    let path = disk().join("jobs");
    make(&path);
    let table = |synchronous| Table::open(&path, synchronous);
    match case.as_str() {
        "durable_unsynced" => {
            for (synchronous, suffix) in [("NORMAL", ""), ("OFF", "_off")] {
                let many = format!("rate{suffix}");
                pass(effort.fewer(40).stream(SIZE), &many, BATCH, || table(synchronous));
                let one = format!("rate_singly{suffix}");
                pass(effort.fewer(400).stream(SIZE), &one, 1, || table(synchronous));
            }
        }
        "durable_sync_each" => put_each(&effort, table("FULL")),
        "durable_group_commit" => put_together(&effort, || table("FULL")),
        _ => {}
    }
}

/// How long one waits for another's transaction, or for a message, before it looks again. SQLite's own waits are of a
/// millisecond and more.
const NAP: Duration = Duration::from_micros(50);

/// Makes the database, before processes that would be in each other's way.
fn make(path: &Path) {
    let connection = Connection::open(path).expect("a database");
    connection.pragma_update(None, "journal_mode", "WAL").expect("a log");
    let tables = "CREATE TABLE jobs (id INTEGER PRIMARY KEY, taken INTEGER, data BLOB);
        CREATE INDEX ready ON jobs (id) WHERE taken = 0;";
    connection.execute_batch(tables).expect("tables");
}

struct Table {
    connection: Connection,
    message: [u8; SIZE],
}

impl Table {
    fn open(path: &Path, synchronous: &str) -> Table {
        let mut connection = Connection::open(path).expect("a database");
        let nap = |_| {
            std::thread::sleep(NAP);
            true
        };
        connection.busy_handler(Some(nap)).expect("a handler");
        connection.pragma_update(None, "synchronous", synchronous).expect("a mode");
        Table { connection, message: [7; SIZE] }
    }

    /// Does so many things in one transaction.
    fn all(&mut self, statement: &str, rows: impl Iterator<Item = impl rusqlite::Params>) {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.expect("a transaction");
        let mut prepared = transaction.prepare_cached(statement).expect("a statement");
        for row in rows {
            prepared.execute(row).expect("a row");
        }
        drop(prepared);
        transaction.commit().expect("commit");
    }
}

impl Jobs for Table {
    fn put(&mut self, count: usize) {
        let message = self.message;
        let rows = (0..count).map(|_| [&message[..]]);
        self.all("INSERT INTO jobs (taken, data) VALUES (0, ?)", rows);
    }

    fn take(&mut self, most: usize) -> usize {
        let get =
            "UPDATE jobs SET taken = 1 WHERE id IN (SELECT id FROM jobs WHERE taken = 0 ORDER BY id LIMIT ?)
            RETURNING id, data";
        let taken: Vec<(i64, Vec<u8>)> = loop {
            let mut prepared = self.connection.prepare_cached(get).expect("a statement");
            let rows = prepared.query_map([most as i64], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
            let rows: Vec<_> = rows.collect::<Result<_, _>>().expect("rows");
            if !rows.is_empty() {
                break rows;
            }
            std::thread::sleep(NAP);
        };
        self.all("DELETE FROM jobs WHERE id = ?", taken.iter().map(|(id, _)| [*id]));
        taken.len()
    }
}
