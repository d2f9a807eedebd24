//! SIGPIPE, which ends a process that has said nothing about it: calls raise none, whoever is gone in the middle of them.

mod common;

use axonic::{CallOptions, Client, ClientOptions, Domain, ErrorKind, Payload, Service, ServiceOptions};
use common::child::Running;
use common::{Place, child, expect, options_in};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::path::Path;
use std::time::Duration;

const TEST: &str = "nobody_gets_sigpipe";
const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// Where the one that is to die calls or is called.
const ADDRESS: &str = "AXONIC_TEST_ADDRESS";

/// Of what is sent to the dead the first may still go out; all together are less than a stream's credit.
const MOST: usize = 200;
const ITEM: [u8; 100] = [7; 100];

#[test]
fn nobody_gets_sigpipe() {
    match child::role().as_deref() {
        None => {
            let place = Place::new();
            child::run(&mut child::command(TEST, "survivor", place.path()));
        }
        Some("survivor") => survive_all(),
        Some("provider") => provide(&domain()),
        _ => call(&domain()),
    }
}

fn domain() -> Domain {
    Domain::open_with(options_in(&child::directory())).unwrap()
}

fn service(domain: &Domain, address: &str) -> Service {
    let service = domain.service("search", "1.0.0", &ServiceOptions::default()).unwrap();
    service.listen(address).unwrap();
    service
}

fn client(domain: &Domain, address: &str) -> Client {
    let options = ClientOptions { address: Some(address.into()), ..Default::default() };
    domain.client("search", "^1", &options).unwrap()
}

fn address() -> String {
    std::env::var(ADDRESS).unwrap()
}

/// Takes up a call, and is killed while it is under way.
fn provide(domain: &Domain) {
    let service = service(domain, &address());
    child::ready();
    let request = service.next(None).unwrap();
    request.send(Payload::raw(b"begun"), None).unwrap();
    let _ = service.next(None);
}

/// Has two calls under way, and is killed.
fn call(domain: &Domain) {
    let client = client(domain, &address());
    child::ready();
    let options = CallOptions { stream: true, ..CallOptions::default() };
    let mut streamed = client.start("stream", Payload::raw(b""), &options).unwrap();
    let _asked = client.start("ask", Payload::raw(b""), &CallOptions::default()).unwrap();
    let _ = streamed.next(None);
}

/// One that is to die, at this address.
fn start(role: &str, address: &str) -> Running {
    let mut command = child::command(TEST, role, &child::directory());
    command.env(ADDRESS, address);
    Running::of(command)
}

/// Goes on with calls to one who is dead.
fn survive_a_provider(domain: &Domain, ours: &str, provider: Running) {
    let client = client(domain, ours);
    let options = CallOptions { input: true, stream: true, ..CallOptions::default() };
    let mut call = client.start("take", Payload::raw(b""), &options).unwrap();
    assert_eq!(call.next(SOON).unwrap().unwrap().data(), b"begun", "{ours}");
    provider.kill();
    let sent = (0..MOST).find_map(|_| call.send(Payload::raw(&ITEM), SOON).err());
    assert_eq!(sent.unwrap().kind(), ErrorKind::Unavailable, "{ours}");
    expect(call.result(SOON), ErrorKind::Unavailable, &["search"]);
    expect(client.call("take", Payload::raw(b""), SOON), ErrorKind::Unavailable, &["search"]);
}

/// Goes on with calls of one who is dead.
fn survive_a_client(service: &Service, ours: &str, client: Running) {
    let streams = service.next(SOON).unwrap();
    let answers = service.next(SOON).unwrap();
    client.kill();
    answers.reply(Payload::raw(&ITEM)).unwrap();
    let sent = (0..MOST).find_map(|_| streams.send(Payload::raw(&ITEM), SOON).err());
    assert_eq!(sent.unwrap().kind(), ErrorKind::Cancelled, "{ours}");
}

/// The address of a pair of pipes for this process, and for one that it starts in `with`, which alone inherits its ends.
fn with_pipes(with: impl FnOnce(&str, &str) -> Running) -> (String, Running) {
    let ((input, to_us), (from_us, output)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let theirs = format!("pipe:{},{}", from_us.as_raw_fd(), to_us.as_raw_fd());
    for end in [from_us.as_fd(), to_us.as_fd()] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    }
    let ours = format!("pipe:{},{}", input.into_raw_fd(), output.into_raw_fd());
    let running = with(&ours, &theirs);
    (ours, running)
}

fn survive_at_pipes(domain: &Domain) {
    let (ours, provider) = with_pipes(|_, theirs| start("provider", theirs));
    survive_a_provider(domain, &ours, provider);
    let mut provided = None;
    let (ours, caller) = with_pipes(|ours, theirs| {
        provided = Some(service(domain, ours));
        start("client", theirs)
    });
    survive_a_client(&provided.unwrap(), &ours, caller);
}

fn survive_all() {
    // SAFETY: the default action, of which this process would die.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    let domain = domain();
    let files = tempfile::Builder::new().prefix("axonic-test-").tempdir_in("/dev/shm").unwrap();
    let at = |name: &str| Path::join(files.path(), name).display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [
        format!("unix://{}", at("socket")),
        format!("unix://{}?type=seqpacket", at("packets")),
        format!("fifo://{}", at("fifo")),
        format!("tcp://{port}"),
        format!("ws://{port}/calls"),
    ] {
        survive_a_provider(&domain, &address, start("provider", &address));
        let service = service(&domain, &address);
        survive_a_client(&service, &address, start("client", &address));
    }
    survive_at_pipes(&domain);
}
