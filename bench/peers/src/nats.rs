//! NATS JetStream: a stream in files, with one durable consumer that acknowledges each message. The server, from `PATH`, is
//! reached through loopback; its protocol is spoken here, so that no client of ours is between.

#![allow(dead_code)]
mod common;
mod jobs;

use common::{asked, disk, skip};
use jobs::{BATCH, Jobs, SIZE, pass, put_each, put_together, serve};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

fn main() {
    let (case, effort) = asked();
    match case.as_str() {
        "durable_unsynced" => {
            let port = start("");
            pass(effort.fewer(40).stream(SIZE), "rate", BATCH, || {
                Stream::connect(port).expect("a connection")
            });
            pass(effort.fewer(400).stream(SIZE), "rate_singly", 1, || {
                Stream::connect(port).expect("a connection")
            });
        }
        "durable_sync_each" => put_each(&effort, Stream::connect(start(ALWAYS)).expect("a connection")),
        "durable_group_commit" => {
            let port = start(ALWAYS);
            put_together(&effort, || Stream::connect(port).expect("a connection"));
        }
        _ => {}
    }
}

/// Servers before 2.10 do not know it, and sync every two minutes.
const ALWAYS: &str = "sync_interval: always";
/// A server with a stream and a consumer; its port.
fn start(setting: &str) -> u16 {
    let folder = disk();
    let settings = format!("jetstream {{ store_dir: {folder:?}, {setting} }}\nports_file_dir: {folder:?}\n");
    std::fs::write(folder.join("settings"), settings).expect("a file on the disk");
    let mut server = Command::new("nats-server");
    server.args(["--addr", "127.0.0.1", "--port", "-1", "--config"]).arg(folder.join("settings"));
    let (port, mut stream) = serve(server, |server| {
        let ports = folder.join(format!("nats-server_{}.ports", server.id()));
        let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(ports).ok()?).ok()?;
        let port = ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()?;
        Some((port, Stream::connect(port)?))
    });
    stream.ask(
        "STREAM.CREATE.JOBS",
        r#"{"name":"JOBS","subjects":["jobs"],"storage":"file","retention":"workqueue"}"#,
    );
    stream.ask(
        "CONSUMER.DURABLE.CREATE.JOBS.ALL",
        r#"{"stream_name":"JOBS","config":{"durable_name":"ALL","ack_policy":"explicit"}}"#,
    );
    port
}

struct Stream {
    input: BufReader<TcpStream>,
    /// What is to be sent with the next [`Stream::flush`].
    output: Vec<u8>,
    /// Where answers to this connection go.
    inbox: String,
    message: [u8; SIZE],
}

/// A message that arrived.
struct Arrived {
    reply: String,
    data: Vec<u8>,
}

impl Stream {
    fn connect(port: u16) -> Option<Stream> {
        let socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
        socket.set_nodelay(true).ok()?;
        let inbox = format!("answers.{}", socket.local_addr().ok()?.port());
        let input = BufReader::new(socket);
        let mut stream = Stream { input, output: Vec::new(), inbox, message: [7; SIZE] };
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {} 1\r\n", stream.inbox);
        stream.output.extend_from_slice(hello.as_bytes());
        stream.flush();
        Some(stream)
    }

    /// Sends to a subject; the answer goes to our inbox if it is to `reply`.
    fn publish(&mut self, subject: &str, reply: bool, data: &[u8]) {
        let inbox = if reply { self.inbox.as_str() } else { "" };
        write!(self.output, "PUB {subject} {inbox} {}\r\n", data.len()).expect("memory");
        self.output.extend_from_slice(data);
        self.output.extend_from_slice(b"\r\n");
    }

    fn flush(&mut self) {
        self.input.get_mut().write_all(&self.output).expect("a connection");
        self.output.clear();
    }

    /// The next message.
    fn next(&mut self) -> Arrived {
        loop {
            let mut line = String::new();
            self.input.read_line(&mut line).expect("a connection");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["MSG", _, _, ref rest @ .., length] => {
                    let mut data = vec![0; length.parse::<usize>().expect("a length") + 2];
                    self.input.read_exact(&mut data).expect("a connection");
                    data.truncate(data.len() - 2);
                    return Arrived { reply: rest.concat(), data };
                }
                ["PING"] => {
                    self.output.extend_from_slice(b"PONG\r\n");
                    self.flush();
                }
                ["INFO", ..] => {}
                _ => panic!("the server said: {line}"),
            }
        }
    }

    /// Asks JetStream for something; ends the program when it cannot be had.
    fn ask(&mut self, what: &str, how: &str) {
        self.publish(&format!("$JS.API.{what}"), true, how.as_bytes());
        self.flush();
        let answer: serde_json::Value = serde_json::from_slice(&self.next().data).expect("JSON");
        if let Some(error) = answer.get("error") {
            skip(&format!("{what}: {error}"));
        }
    }
}

impl Jobs for Stream {
    fn put(&mut self, count: usize) {
        let message = self.message;
        (0..count).for_each(|_| self.publish("jobs", true, &message));
        self.flush();
        for _ in 0..count {
            let receipt = self.next();
            assert!(receipt.data.starts_with(b"{\"stream\""), "{}", String::from_utf8_lossy(&receipt.data));
        }
    }

    fn take(&mut self, most: usize) -> usize {
        let wanted = format!("{{\"batch\":{most}}}");
        self.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.ALL", true, wanted.as_bytes());
        self.flush();
        for _ in 0..most {
            let job = self.next();
            assert_eq!(job.data.len(), SIZE);
            self.publish(&job.reply, false, b"+ACK");
        }
        self.flush();
        most
    }
}
