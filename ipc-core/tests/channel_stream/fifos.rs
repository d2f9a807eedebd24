//! Named pipes: with frames and as the shell has them, and what is left of who dies.

use super::{Ground, SOON, receive};
use crate::common::{child, expect, readable, wait_readable};
use axonic::{ChannelOptions, Domain, ErrorKind};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn make(path: &str) {
    mkfifo(path, Mode::from_bits_truncate(0o600)).unwrap();
}

fn shell(script: &str, path: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", path]);
    command
}

/// What shells write is read, one writer after the other.
#[test]
fn what_the_shell_writes_is_read() {
    let ground = Ground::new();
    let path = ground.path("f");
    let listener = ground.listen(&format!("fifo://{path}?framing=none"));
    assert!(listener.try_accept().unwrap().is_none() && !readable(listener.fd().unwrap()));
    for text in ["one", "two", ""] {
        assert!(shell(&format!("printf '{text}' > \"$1\""), &path).status().unwrap().success());
        assert!(wait_readable(listener.fd().unwrap(), SOON.unwrap()));
        let channel = listener.accept(SOON).unwrap();
        // It has all that is written; the next one waits for its end.
        assert!(listener.try_accept().unwrap().is_none() && !readable(listener.fd().unwrap()));
        if !text.is_empty() {
            assert_eq!(receive(&channel), text.as_bytes());
        }
        expect(channel.receive(SOON), ErrorKind::Disconnected, &["has ended"]);
        expect(channel.send(b"x", SOON), ErrorKind::Unsupported, &["one way"]);
    }
    let mut cat = shell("seq 1 100000 | cat > \"$1\"", &path).spawn().unwrap();
    let (channel, mut got) = (listener.accept(SOON).unwrap(), Vec::new());
    while let Ok(message) = channel.receive(SOON) {
        got.extend(message.data);
    }
    assert!(cat.wait().unwrap().success());
    let all: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(got == all.as_bytes());
    let busy = ground.domain.listen(&format!("fifo://{path}?framing=none"), &ChannelOptions::default());
    expect(busy, ErrorKind::Busy, &["close it first"]);
    drop((channel, listener));
    assert!(!Path::new(&path).exists(), "who made it removes it");
}

/// And `cat` reads what is written here; a FIFO that was there stays.
#[test]
fn the_shell_reads_what_is_written() {
    let ground = Ground::new();
    let path = ground.path("f");
    let address = format!("fifo://{path}?framing=none");
    let connect = || ground.domain.connect(&address, &ChannelOptions::default(), SOON);
    expect(connect(), ErrorKind::NotFound, &["nobody listens"]);
    make(&path);
    let started = Instant::now();
    expect(connect(), ErrorKind::NotFound, &["nobody listens"]);
    assert!(started.elapsed() < Duration::from_secs(2));
    let mut cat = shell("cat \"$1\"", &path).stdout(Stdio::piped()).spawn().unwrap();
    let channel = loop {
        match connect() {
            Ok(channel) => break channel,
            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "{e}"),
        }
    };
    channel.send(b"a line\n", SOON).unwrap();
    assert_eq!(channel.send_many(&[b"and", b" another"], SOON).unwrap(), 2);
    expect(channel.receive(SOON), ErrorKind::Unsupported, &["one way"]);
    channel.finish(SOON).unwrap();
    let mut text = String::new();
    cat.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "a line\nand another");
    assert!(cat.wait().unwrap().success());
    drop(ground.listen(&address));
    std::fs::remove_file(&path).expect("it was there before");
    std::fs::write(&path, "mine").unwrap();
    let no_fifo = ground.domain.listen(&address, &ChannelOptions::default());
    expect(no_fifo, ErrorKind::AlreadyExists, &["no FIFO"]);
    std::fs::remove_file(&path).unwrap();
}

/// What is no request is passed over, and so is a request of somebody who is gone.
#[test]
fn what_others_write_to_a_listener_disturbs_nobody() {
    let ground = Ground::new();
    let path = ground.path("f");
    let listener = ground.listen(&format!("fifo://{path}"));
    let mut stranger = OpenOptions::new().write(true).open(&path).unwrap();
    stranger.write_all(b"hello\n\nAXONIC/1 0123\nAXONIC/1 ../../../../etc/pas\n").unwrap();
    stranger.write_all(&[b'x'; 1000]).unwrap();
    stranger.write_all(b"\nAXONIC/1 0123456789abcdef\n").unwrap();
    assert!(listener.try_accept().unwrap().is_none() && !readable(listener.fd().unwrap()));
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| ground.connect(listener.address()));
        let accepted = listener.accept(SOON).unwrap();
        connecting.join().unwrap().send(b"I am", SOON).unwrap();
        assert_eq!(receive(&accepted), b"I am");
    });
    // Nobody accepts: it ends in time, and leaves nothing.
    let options = ChannelOptions::default();
    let late = ground.domain.connect(listener.address(), &options, Some(Duration::from_millis(50)));
    expect(late, ErrorKind::Timeout, &["give it more time"]);
    assert_eq!(ground.files.files().len(), 1);
    assert!(listener.try_accept().unwrap().is_none());
}

/// Whoever waits to be accepted hears that the listener has ended.
#[test]
fn a_listener_that_ends_is_told_to_those_who_wait() {
    let ground = Ground::new();
    let listener = ground.listen(&format!("fifo://{}", ground.path("f")));
    std::thread::scope(|scope| {
        let connecting = scope
            .spawn(|| ground.domain.connect(listener.address(), &ChannelOptions::default(), SOON).map(drop));
        assert!(wait_readable(listener.fd().unwrap(), SOON.unwrap()));
        listener.close();
        expect(connecting.join().unwrap(), ErrorKind::Disconnected, &["ended before it accepted"]);
    });
}

const DIES: &str = "fifos::nothing_is_left_of_who_dies";

/// A listener or one who connects, killed at any time: names go, and the place can be had again.
#[test]
fn nothing_is_left_of_who_dies() {
    let address = || format!("fifo://{}/f", std::env::var("AXONIC_TEST_ADDRESS").unwrap());
    let domain = || Domain::open_with(crate::common::options_in(&child::directory())).unwrap();
    let options = ChannelOptions::default();
    match child::role().as_deref() {
        Some("listens") => {
            let domain = domain();
            let _listener = domain.listen(&address(), &options).unwrap();
            child::ready_until_told();
        }
        Some("connects") => {
            // Killed while it waits to be accepted.
            println!("\nthe role is ready");
            let _ = domain().connect(&address(), &options, SOON);
            return;
        }
        _ => {}
    }
    let ground = Ground::new();
    let start = |role| {
        let mut command = child::command(DIES, role, ground.domain.path().parent().unwrap());
        command.env("AXONIC_TEST_ADDRESS", ground.files.path());
        child::Running::of(command)
    };
    start("listens").kill();
    assert!(Path::new(&ground.path("f")).exists(), "what a killed listener leaves");
    let absent = ground.domain.connect(&format!("fifo://{}", ground.path("f")), &options, SOON);
    expect(absent, ErrorKind::NotFound, &["nobody listens"]);
    let listener = ground.listen(&format!("fifo://{}", ground.path("f")));
    let connecting = start("connects");
    assert!(wait_readable(listener.fd().unwrap(), SOON.unwrap()));
    connecting.kill();
    assert_eq!(ground.files.files().len(), 3, "the place and two names");
    assert!(listener.try_accept().unwrap().is_none());
    assert_eq!(ground.files.files().len(), 1, "whoever accepts removes what the dead have left");
    drop(listener);
    // Of two that died together nobody knows; the next that listens removes what is old, and nothing else.
    for name in ["f.0123456789abcdef.c", "f.0123456789abcdef.s", "f.fedcba9876543210.c", "f.0123.c"] {
        make(&ground.path(name));
    }
    for name in ["f.0123456789abcdef.c", "f.0123456789abcdef.s", "f.0123.c"] {
        assert!(
            Command::new("touch")
                .args(["-d", "1 minute ago"])
                .arg(ground.path(name))
                .status()
                .unwrap()
                .success()
        );
    }
    drop(ground.listen(&format!("fifo://{}", ground.path("f"))));
    let left: Vec<_> = ground.files.files();
    assert_eq!(
        left,
        [ground.path("f.0123.c"), ground.path("f.fedcba9876543210.c")].map(std::path::PathBuf::from)
    );
    left.iter().for_each(|path| std::fs::remove_file(path).unwrap());
}
