//! Channels over TLS with somebody else's at the other end, Python's `ssl` module, and through a skin of each kind, for which an
//! address is enough.

use axonic::{Channel, ChannelOptions, Domain, DomainOptions, ErrorKind, Listener};
use certificates::{Authority, HERE, Kind};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[allow(dead_code)]
#[path = "../../ipc-core/tests/common/certificates.rs"]
pub mod certificates;

const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// What runs a program of a language.
const LANGUAGES: [(&str, &str); 2] =
    [("AXONIC_TEST_PYTHON", "python/secured.py"), ("AXONIC_TEST_NODE", "node/secured.mjs")];

fn domain(place: &tempfile::TempDir) -> Domain {
    let runtime_dir = Some(place.path().into());
    Domain::open_with(DomainOptions { name: Some("tls".into()), runtime_dir, ..Default::default() }).unwrap()
}

fn start(runs_on: &str, program: &str, place: &tempfile::TempDir, arguments: &[&str]) -> Child {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(program);
    let runs_on = std::env::var(runs_on).expect("set by `cargo xtask test interop`");
    let mut command = Command::new(runs_on);
    command.arg(path).args(arguments).env("AXONIC_RUNTIME_DIR", place.path()).stdout(Stdio::piped());
    command.spawn().unwrap_or_else(|e| panic!("{program} does not start: {e}"))
}

/// Python's own TLS, as somebody of an authority.
fn python(authority: &Authority, place: &tempfile::TempDir, role: &str, arguments: &[&str]) -> Child {
    authority.settings("python", HERE, Kind::Good);
    let files = ["python.pem", "python.key", "ca.pem"].map(|name| authority.path().join(name));
    let files = files.each_ref().map(|file| file.to_str().unwrap());
    start("AXONIC_TEST_PYTHON", "python/tls.py", place, &[&[role], &files[..], arguments].concat())
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().into()
}

fn port(listener: &Listener) -> &str {
    listener.address().split(['?', ':']).nth(2).unwrap()
}

/// Sends everything back until the other end has said that it has ended.
fn echo(channel: &Channel) -> usize {
    let mut count = 0;
    loop {
        match channel.receive(SOON) {
            Ok(message) => channel.send(&message.data, SOON).unwrap(),
            Err(e) => {
                assert!(e.message().contains("everything it sent was received"), "{e}");
                return count;
            }
        }
        count += 1;
    }
}

#[test]
fn a_client_of_pythons_ssl_is_answered() {
    let (place, authority) = (super::place(), Authority::new());
    let address = format!("tcp://127.0.0.1:0?{}", authority.mutual("listener"));
    let listener = domain(&place).listen(&address, &ChannelOptions::default()).unwrap();
    let mut client = python(&authority, &place, "client", &[port(&listener)]);
    let channel = listener.accept(SOON).unwrap();
    assert_eq!(echo(&channel), 107);
    drop(channel);
    assert!(client.wait().unwrap().success());
    // One without a certificate, and one that speaks what is too old.
    for role in ["stranger", "old"] {
        let mut client = python(&authority, &place, role, &[port(&listener)]);
        assert_eq!(listener.accept(Some(Duration::from_secs(2))).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(first_line(&mut client), "refused");
        assert!(client.wait().unwrap().success());
    }
}

#[test]
fn a_server_of_pythons_ssl_answers() {
    let (place, authority) = (super::place(), Authority::new());
    let domain = domain(&place);
    for ends in ["says", "dies"] {
        let mut server = python(&authority, &place, "server", &[ends]);
        let port = first_line(&mut server);
        let address = format!("tcp://localhost:{port}?{}", authority.mutual("client"));
        let channel = domain.connect(&address, &ChannelOptions::default(), SOON).unwrap();
        for length in [0, 1, 16_380, 16_384, 65_536, 3 << 20] {
            let sent: Vec<u8> = (0..length).map(|i| i as u8).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| channel.send(&sent, SOON).unwrap());
                assert!(channel.receive(SOON).unwrap().data == sent, "{length} bytes");
            });
        }
        channel.send(b"goodbye", SOON).unwrap();
        let ended = channel.receive(SOON).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Disconnected);
        let says =
            if ends == "says" { "everything it sent was received" } else { "has not said that it would" };
        assert!(ended.message().contains(says), "{ended}");
        drop(channel);
        assert!(server.wait().unwrap().success());
    }
}

#[test]
fn an_address_is_enough_in_other_languages() {
    let (place, authority) = (super::place(), Authority::new());
    let domain = domain(&place);
    let address = format!("tcp://127.0.0.1:0?{}", authority.mutual("either"));
    for (runs_on, program) in LANGUAGES {
        let listener = domain.listen(&address, &ChannelOptions::default()).unwrap();
        let mut connecting = start(runs_on, program, &place, &["connect", listener.address()]);
        let channel = listener.accept(SOON).unwrap();
        assert_eq!(echo(&channel), 100, "{program}");
        drop(channel);
        assert!(connecting.wait().unwrap().success(), "{program}");
        let mut listening = start(runs_on, program, &place, &["listen", &address]);
        let there = first_line(&mut listening);
        let channel = domain.connect(&there, &ChannelOptions::default(), SOON).unwrap();
        let sent = vec![7; 1 << 20];
        std::thread::scope(|scope| {
            scope.spawn(|| channel.send(&sent, SOON).unwrap());
            assert!(channel.receive(SOON).unwrap().data == sent, "{program}");
        });
        channel.finish(None).unwrap();
        assert_eq!(channel.receive(SOON).unwrap_err().kind(), ErrorKind::Disconnected);
        assert!(listening.wait().unwrap().success(), "{program}");
    }
}
