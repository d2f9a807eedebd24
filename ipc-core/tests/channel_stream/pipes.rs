//! Anonymous pipes: to children, and between programs of the shell.

use super::{Ground, SOON, receive};
use crate::common::{child, expect};
use axonic::{ChannelOptions, Domain, ErrorKind};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::process::{Command, Stdio};

const ECHO: &str = "pipes::a_child_has_the_other_end";

fn domain_here() -> Domain {
    Domain::open_with(crate::common::options_in(&child::directory())).unwrap()
}

/// In a child: gives back what comes, by the address it is told.
fn echo() {
    let domain = domain_here();
    let address = std::env::var("AXONIC_TEST_ADDRESS").unwrap();
    let channel = domain.connect(&address, &ChannelOptions::default(), SOON).unwrap();
    while let Ok(message) = channel.receive(SOON) {
        channel.send(&message.data, SOON).unwrap();
    }
}

#[test]
fn a_child_has_the_other_end() {
    if child::role().is_some() {
        return echo();
    }
    let ground = Ground::new();
    let (channel, pipe) = ground.domain.pipe(&ChannelOptions::default()).unwrap();
    let [read, write] = pipe.descriptors();
    assert_eq!((pipe.address(), channel.address()), (&*format!("pipe:{read},{write}"), pipe.address()));
    let mut command = child::command(ECHO, "child", ground.domain.path().parent().unwrap());
    command.env("AXONIC_TEST_ADDRESS", pipe.address());
    pipe.pass_to(&mut command);
    let mut running = command.stdout(Stdio::null()).spawn().unwrap();
    // Nobody else has inherited it, so that its end is heard of.
    drop((command, pipe));
    for size in [0, 10, 1_000_000] {
        std::thread::scope(|scope| {
            scope.spawn(|| channel.send(&vec![5; size], SOON).unwrap());
            assert!(receive(&channel) == vec![5; size]);
        });
    }
    channel.finish(SOON).unwrap();
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["has ended"]);
    assert!(running.wait().unwrap().success());
}

/// A program that was never started is heard of.
#[test]
fn a_pipe_that_nobody_took_has_no_other_end() {
    let ground = Ground::new();
    let (channel, pipe) = ground.domain.pipe(&ChannelOptions::default()).unwrap();
    channel.send(b"into the pipe", SOON).unwrap();
    drop(pipe);
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["has ended"]);
    expect(channel.send(b"x", SOON), ErrorKind::Disconnected, &["gone"]);
}

const OWN: &str = "pipes::who_takes_the_childs_end_over_itself_closes_it_once";

/// In a process of its own, where nobody else opens and closes: the numbers are another's by the time they are let go of.
#[test]
fn who_takes_the_childs_end_over_itself_closes_it_once() {
    if child::role().is_none() {
        return child::run(&mut child::command(OWN, "alone", std::path::Path::new("/")));
    }
    let ground = Ground::new();
    let (channel, pipe) = ground.domain.pipe(&ChannelOptions::default()).unwrap();
    let other = ground.connect(pipe.address());
    let files: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let numbers: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
    assert!(pipe.descriptors().iter().any(|number| numbers.contains(number)), "{pipe:?} {numbers:?}");
    drop(pipe);
    assert!(files.iter().all(|file| file.metadata().is_ok()), "another's descriptor was closed");
    channel.send(b"there", SOON).unwrap();
    assert_eq!(receive(&other), b"there");
    drop(other);
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["has ended"]);
}

/// A socket that another runtime has made for its child, as Node's `stdio` does.
#[test]
fn one_socket_is_both_ways() {
    let ground = Ground::new();
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let numbers = [one.into_raw_fd(), other.into_raw_fd()];
    let [one, other] = numbers.map(|number| ground.connect(&format!("pipe:{number},{number}")));
    one.send(b"there", SOON).unwrap();
    assert_eq!(receive(&other), b"there");
    assert_eq!(other.peer().pid, Some(std::process::id()));
    other.finish(SOON).unwrap();
    expect(one.receive(SOON), ErrorKind::Disconnected, &["has ended"]);
    one.send(b"still", SOON).unwrap();
    assert_eq!(receive(&other), b"still");
}

#[test]
fn what_is_no_pipe_is_refused_and_stays() {
    let ground = Ground::new();
    let options = ChannelOptions::default();
    let refused = |address: &str, says: &str| {
        expect(ground.domain.connect(address, &options, SOON), ErrorKind::InvalidArgument, &[address, says]);
    };
    let (mut read, mut write) = std::io::pipe().unwrap();
    let (r, w) = (read.as_raw_fd(), write.as_raw_fd());
    refused("pipe:a,b", "pipe:3,4");
    refused("pipe:3", "pipe:3,4");
    refused("pipe:-1,5000", "not open");
    refused(&format!("pipe:{r},5000"), "5000 is not open");
    refused(&format!("pipe:{w},{w}"), "neither a pipe to read from");
    refused(&format!("pipe:{r},{r}"), "neither a pipe to write to");
    let file = std::fs::File::open("/dev/null").unwrap();
    refused(&format!("pipe:{0},{0}", file.as_raw_fd()), "neither a pipe");
    expect(
        ground.domain.listen("pipe:3,4", &options),
        ErrorKind::InvalidArgument,
        &["nobody listens at a pipe"],
    );
    // They are the caller's still.
    write.write_all(b"x").unwrap();
    let mut byte = [0];
    read.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

const FILTER: &str = "pipes::a_program_between_others_of_the_shell";

/// Between `printf` and `cat`, raw: standard input and output are the channel, and what is printed besides disturbs nothing.
#[test]
fn a_program_between_others_of_the_shell() {
    if child::role().is_some() {
        let domain = domain_here();
        let address = "pipe:0,1?framing=none";
        let channel = domain.connect(address, &ChannelOptions::default(), SOON).unwrap();
        println!("this is not part of it");
        while let Ok(message) = channel.receive(SOON) {
            channel.send(&message.data.to_ascii_uppercase(), SOON).unwrap();
        }
        drop(channel);
        std::process::exit(0);
    }
    let ground = Ground::new();
    let command = child::command(FILTER, "filter", ground.domain.path().parent().unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", r#"(printf 'one\n'; sleep 0.1; printf 'two\n') | "$0" "$@" | cat"#])
        .arg(command.get_program());
    shell.args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = shell.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The test harness says something before the channel is opened.
    assert!(text.ends_with("ONE\nTWO\n") && !text.contains("not part"), "{text}");
}

const SIGPIPE: &str = "pipes::nobody_gets_sigpipe";

/// Whatever the program does with SIGPIPE: it does not get it, and one that was pending before is pending still.
#[test]
fn nobody_gets_sigpipe() {
    if child::role().is_none() {
        return child::run(&mut child::command(SIGPIPE, "alone", std::path::Path::new("/")));
    }
    // SAFETY: the default action, of which this process would die.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    let ground = Ground::new();
    let broken = || {
        let (channel, pipe) = ground.domain.pipe(&ChannelOptions::default()).unwrap();
        drop(pipe);
        expect(channel.send(b"x", SOON), ErrorKind::Disconnected, &["gone"]);
        let (one, other) = ground.pair(&format!("unix://{}", ground.path("s")));
        drop(other);
        expect(one.send(b"x", SOON), ErrorKind::Disconnected, &["gone"]);
    };
    broken();
    let only: nix::sys::signal::SigSet = Signal::SIGPIPE.into();
    only.thread_block().unwrap();
    broken();
    let pending = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let is_pending =
        |text: String| text.lines().any(|line| line.starts_with("SigPnd:") && line.ends_with("1000"));
    assert!(!is_pending(pending()), "a signal is left");
    nix::sys::signal::raise(Signal::SIGPIPE).unwrap();
    assert!(is_pending(pending()));
    broken();
    assert!(is_pending(pending()), "somebody else's signal was taken away");
    // It has ended its process otherwise.
    assert_eq!(only.wait().unwrap(), Signal::SIGPIPE);
}
