//! Channels over WebSocket with somebody else's at the other end: the `ws` package in Node.

use axonic::{Channel, ChannelOptions, Domain, DomainOptions, ErrorKind};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_secs(20));

fn domain(place: &tempfile::TempDir) -> Domain {
    let runtime_dir = Some(place.path().into());
    Domain::open_with(DomainOptions { name: Some("ws".into()), runtime_dir, ..Default::default() }).unwrap()
}

fn node(arguments: &[&str]) -> Child {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/node/websocket.mjs");
    let node = std::env::var("AXONIC_TEST_NODE").expect("set by `cargo xtask test interop`");
    Command::new(node).arg(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

/// Sends everything back until the other end has ended.
fn echo(channel: &Channel) -> usize {
    let mut count = 0;
    loop {
        match channel.receive(SOON) {
            Ok(message) => channel.send(&message.data, SOON).unwrap(),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Disconnected, "{e}");
                return count;
            }
        }
        count += 1;
    }
}

#[test]
fn a_node_client_is_answered() {
    let place = super::place();
    let domain = domain(&place);
    let listener = domain.listen("ws://127.0.0.1:0/chat", &ChannelOptions::default()).unwrap();
    let mut client = node(&["client", listener.address()]);
    let channel = listener.accept(SOON).unwrap();
    assert_eq!(echo(&channel), 9);
    drop(channel);
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_node_server_answers() {
    let place = super::place();
    let domain = domain(&place);
    let mut server = node(&["server"]);
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let address = |path: &str| format!("ws://127.0.0.1:{}/{path}", port.trim());
    let wrong = domain.connect(&address("elsewhere"), &ChannelOptions::default(), SOON).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Corrupt, "{wrong}");
    let channel = domain.connect(&address("echo"), &ChannelOptions::default(), SOON).unwrap();
    for length in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
        let sent: Vec<u8> = (0..length).map(|i| i as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| channel.send(&sent, SOON).unwrap());
            assert!(channel.receive(SOON).unwrap().data == sent, "{length} bytes");
        });
    }
    channel.send(b"goodbye", SOON).unwrap();
    assert_eq!(channel.receive(SOON).unwrap().data, b"as text");
    assert_eq!(channel.receive(SOON).unwrap_err().kind(), ErrorKind::Disconnected);
    drop(channel);
    assert!(server.wait().unwrap().success());
}
