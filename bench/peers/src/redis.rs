//! Redis with an append-only file: a list, from which a message moves to another until it is acknowledged. The server, from
//! `PATH`, is reached through a Unix socket, which is faster than loopback.

#![allow(dead_code)]
mod common;
mod jobs;

use common::{asked, disk, folder};
use jobs::{BATCH, Jobs, SIZE, pass, put_each, put_together, serve};
use redis::{Client, Connection, Pipeline, cmd};
use std::process::Command;

fn main() {
    let (case, effort) = asked();
    match case.as_str() {
        "durable_unsynced" => {
            let client = start("everysec");
            pass(effort.fewer(40).stream(SIZE), "rate", BATCH, || List::of(&client));
            pass(effort.fewer(200).stream(SIZE), "rate_singly", 1, || List::of(&client));
        }
        "durable_sync_each" => put_each(&effort, List::of(&start("always"))),
        "durable_group_commit" => {
            let client = start("always");
            put_together(&effort, || List::of(&client));
        }
        _ => {}
    }
}

/// A server that keeps its file as `fsync` says.
fn start(fsync: &str) -> Client {
    let socket = folder().join(format!("redis-{}", std::process::id()));
    let client = Client::open(format!("redis+unix://{}", socket.display())).expect("a socket's name");
    let mut server = Command::new("redis-server");
    server.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", fsync]);
    server.arg("--unixsocket").arg(&socket).arg("--dir").arg(disk());
    serve(server, |_| client.get_connection().ok());
    client
}

struct List {
    connection: Connection,
    message: [u8; SIZE],
}

impl List {
    fn of(client: &Client) -> List {
        List { connection: client.get_connection().expect("a connection"), message: [7; SIZE] }
    }

    /// Sends commands together and waits for all answers.
    fn send(&mut self, commands: Pipeline) -> Vec<Option<Vec<u8>>> {
        commands.query(&mut self.connection).expect("answers")
    }
}

impl Jobs for List {
    fn put(&mut self, count: usize) {
        let mut put = cmd("LPUSH");
        put.arg("jobs");
        for _ in 0..count {
            put.arg(&self.message[..]);
        }
        put.query::<u64>(&mut self.connection).expect("put");
    }

    fn take(&mut self, most: usize) -> usize {
        let mut get = Pipeline::new();
        for _ in 0..most {
            get.cmd("BLMOVE").arg(&["jobs", "taken", "RIGHT", "LEFT", "0"]);
        }
        let mut ack = Pipeline::new();
        for job in self.send(get) {
            ack.cmd("LREM").arg("taken").arg(1).arg(job.expect("a job")).ignore();
        }
        ack.exec(&mut self.connection).expect("ack");
        most
    }
}
