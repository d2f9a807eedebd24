//! Unix and TCP sockets.

use super::{Ground, SOON, receive};
use crate::common::{child, expect};
use axonic::{ChannelOptions, ErrorKind};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// Descriptors come with the message they were sent with, also when it is large, or one of many that were read at once.
#[test]
fn descriptors_come_with_their_message() {
    let ground = Ground::new();
    let (one, other) = ground.pair(&format!("unix://{}", ground.path("s")));
    assert!(one.can().descriptors && one.can().credentials);
    let pipes: Vec<_> = (0..6).map(|_| std::io::pipe().unwrap()).collect();
    let sizes = [0, 10, 100_000, 65_532, 65_533, 3_000_000];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (i, (_, write)) in pipes.iter().enumerate() {
                one.send(b"before", SOON).unwrap();
                let both = [write.as_fd(), write.as_fd()];
                one.send_descriptors(&vec![i as u8; sizes[i]], &both[..1 + i % 2], SOON).unwrap();
                one.send(b"after", SOON).unwrap();
            }
        });
        std::thread::sleep(Duration::from_millis(20));
        for (i, size) in sizes.into_iter().enumerate() {
            let before = other.receive(SOON).unwrap();
            let with = other.receive(SOON).unwrap();
            let after = other.receive(SOON).unwrap();
            assert!(before.data == b"before" && before.descriptors.is_empty());
            assert!(with.data == vec![i as u8; size] && with.descriptors.len() == 1 + i % 2, "{i}");
            assert!(after.data == b"after" && after.descriptors.is_empty());
            let mut write = std::fs::File::from(with.descriptors.into_iter().next().unwrap());
            write.write_all(&[i as u8]).unwrap();
        }
    });
    for (i, (mut read, _)) in pipes.into_iter().enumerate() {
        let mut byte = [0];
        read.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [i as u8], "it is the descriptor that was sent");
    }
    // Nobody takes these, and they are closed.
    let (read, write) = std::io::pipe().unwrap();
    one.send_descriptors(b"", &[write.as_fd()], SOON).unwrap();
    drop(write);
    other.receive(SOON).unwrap();
    assert_eq!({ read }.read(&mut [0]).unwrap(), 0);
    let many: Vec<_> = (0..254).map(|_| std::io::stdout()).collect();
    let many: Vec<_> = many.iter().map(AsFd::as_fd).collect();
    expect(one.send_descriptors(b"", &many, SOON), ErrorKind::InvalidArgument, &["254", "253"]);
    let (one, _other) = ground.pair("tcp://127.0.0.1:0");
    expect(one.send_descriptors(b"", &many[..1], SOON), ErrorKind::Unsupported, &["unix:"]);
}

#[test]
fn the_kernel_says_who_is_there() {
    let ground = Ground::new();
    let (one, other) = ground.pair(&format!("unix://{}", ground.path("s")));
    for channel in [&one, &other] {
        let peer = channel.peer();
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!(peer.uid, Some(nix::unistd::geteuid().as_raw()));
        assert_eq!(peer.gid, Some(nix::unistd::getegid().as_raw()));
    }
    let (one, other) = ground.pair("tcp://127.0.0.1:0");
    assert_eq!(one.peer().address.as_deref(), one.address().strip_prefix("tcp://"));
    assert!(other.peer().address.as_ref().unwrap().starts_with("127.0.0.1:") && other.peer().pid.is_none());
}

/// A socket file of one that was killed is in nobody's way; what is something else stays.
#[test]
fn only_what_is_dead_is_replaced() {
    let ground = Ground::new();
    let path = ground.path("s");
    drop(UnixListener::bind(&path).unwrap());
    let address = format!("unix://{path}");
    let refused = ground.domain.connect(&address, &ChannelOptions::default(), SOON);
    expect(refused, ErrorKind::NotFound, &["nobody listens", &path]);
    let listener = ground.listen(&address);
    let busy = ground.domain.listen(&address, &ChannelOptions::default());
    expect(busy, ErrorKind::Busy, &["close it first"]);
    drop(ground.connect(&address));
    drop(listener.accept(SOON).unwrap());
    drop(listener);
    assert!(!std::path::Path::new(&path).exists());

    let foreign = UnixListener::bind(&path).unwrap();
    let busy = ground.domain.listen(&address, &ChannelOptions::default());
    expect(busy, ErrorKind::Busy, &["close it first"]);
    foreign.set_nonblocking(true).unwrap();
    assert!(foreign.accept().is_err(), "it was asked, and heard nothing of it");
    drop(foreign);
    std::fs::remove_file(&path).unwrap();

    std::fs::write(&path, "mine").unwrap();
    let other = ground.domain.listen(&address, &ChannelOptions::default());
    expect(other, ErrorKind::AlreadyExists, &["no socket"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    std::fs::remove_file(&path).unwrap();
    let nowhere = ground.domain.listen("unix:///no/such/place", &ChannelOptions::default());
    expect(nowhere, ErrorKind::NotFound, &["/no/such"]);
}

/// Many that find the same dead socket at the same time: one of them listens.
#[test]
fn one_of_many_replaces_it() {
    let ground = Ground::new();
    let path = ground.path("s");
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let listening = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4)
                .map(|_| {
                    scope
                        .spawn(|| ground.domain.listen(&format!("unix://{path}"), &ChannelOptions::default()))
                })
                .collect();
            let all: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
            all.into_iter().filter_map(Result::ok).collect::<Vec<_>>()
        });
        assert_eq!(listening.len(), 1);
        drop(ground.connect(&format!("unix://{path}")));
        drop(listening[0].accept(SOON).unwrap());
    }
}

#[test]
fn paths_may_be_long_and_names_without_a_file() {
    let ground = Ground::new();
    let deep = ground.files.path().join("d".repeat(90)).join("e".repeat(90));
    std::fs::create_dir_all(&deep).unwrap();
    let (one, other) = ground.pair(&format!("unix://{}/socket", deep.display()));
    one.send(b"far", SOON).unwrap();
    assert_eq!(receive(&other), b"far");
    std::fs::remove_dir_all(ground.files.path().join("d".repeat(90))).unwrap();
    let name = format!("unix://@axonic-test-{}", std::process::id());
    let listener = ground.listen(&name);
    let busy = ground.domain.listen(&name, &ChannelOptions::default());
    expect(busy, ErrorKind::Busy, &["close it first"]);
    drop(listener);
    drop(ground.listen(&name));
    let long = ground.domain.listen(&format!("unix://@{}", "x".repeat(108)), &ChannelOptions::default());
    expect(long, ErrorKind::InvalidArgument, &["too long"]);
}

/// As many wait to be accepted as may; the next one waits for that, as long as it wants to.
#[test]
fn connecting_waits_for_room_among_those_who_wait() {
    let ground = Ground::new();
    let address = format!("unix://{}?backlog=1", ground.path("s"));
    let listener = ground.listen(&address);
    let options = ChannelOptions::default();
    let mut waiting = Vec::new();
    let refused = loop {
        match ground.domain.connect(&address, &options, Some(Duration::from_millis(30))) {
            Ok(channel) => waiting.push(channel),
            Err(e) => break e,
        }
        assert!(waiting.len() < 10);
    };
    assert_eq!(refused.kind(), ErrorKind::Timeout, "{refused}");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| ground.connect(&address));
        std::thread::sleep(Duration::from_millis(20));
        waiting.iter().for_each(|_| drop(listener.accept(SOON).unwrap()));
        late.join().unwrap();
    });
    let none = ground.domain.listen("unix://@x?backlog=0", &options);
    expect(none, ErrorKind::InvalidArgument, &["backlog=0"]);
}

#[test]
fn tcp_addresses() {
    let ground = Ground::new();
    let options = ChannelOptions::default();
    let listener = ground.listen("tcp://[::]:0?keepalive=5&nodelay=false");
    let port = listener.address().split(['?', ':']).nth(4).unwrap();
    // For both versions of IP, and for a host with several addresses.
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let one = ground.connect(&format!("tcp://{host}:{port}?keepalive=1"));
        let other = listener.accept(SOON).unwrap();
        one.send(host.as_bytes(), SOON).unwrap();
        assert_eq!(receive(&other), host.as_bytes());
    }
    let busy = ground.domain.listen(&format!("tcp://[::]:{port}"), &options);
    expect(busy, ErrorKind::Busy, &["close it first"]);
    for (address, kind, says) in [
        ("tcp://localhost", ErrorKind::InvalidArgument, "host:port"),
        ("tcp://localhost:99999", ErrorKind::InvalidArgument, "65535"),
        (
            "tcp://no.such.host.invalid:1",
            ErrorKind::NotFound,
            "the resolver has no address for the name 'no.such.host.invalid'",
        ),
        ("tcp://127.0.0.1:1?keepalive=0", ErrorKind::InvalidArgument, "more than 0"),
        ("tcp://127.0.0.1:1?framing=none&checksum=crc32c", ErrorKind::InvalidArgument, "checksum"),
    ] {
        expect(ground.domain.connect(address, &options, SOON), kind, &[address, says]);
    }
    let other = ground.domain.listen("tcp://192.0.2.1:0", &options);
    expect(other, ErrorKind::InvalidArgument, &["no such address"]);
}

/// A host that does not answer takes no longer than it is given.
#[test]
fn connecting_to_a_silent_host_ends_in_time() {
    let ground = Ground::new();
    // Full: the kernel drops who comes further.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&silent, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = format!("tcp://{}", silent.local_addr().unwrap());
    let mut kept = Vec::new();
    loop {
        let started = Instant::now();
        let connected =
            ground.domain.connect(&address, &ChannelOptions::default(), Some(Duration::from_millis(50)));
        match connected {
            Ok(channel) => kept.push(channel),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Timeout, "{e}");
                assert!(started.elapsed() < Duration::from_secs(2));
                return;
            }
        }
        assert!(kept.len() < 100);
    }
}

/// A forked child's copies are not what the other end goes by, and they remove nothing.
#[test]
fn a_forked_child_keeps_nothing_alive() {
    const NAME: &str = "sockets::a_forked_child_keeps_nothing_alive";
    if child::role().is_none() {
        return child::run(&mut child::command(NAME, "parent", std::path::Path::new("/")));
    }
    let ground = Ground::new();
    let listener = ground.listen(&format!("unix://{}", ground.path("s")));
    let unix = (ground.connect(listener.address()), listener.accept(SOON).unwrap());
    let tcp = ground.pair("tcp://127.0.0.1:0");
    let others = ["tcp://127.0.0.1:0", "ws://127.0.0.1:0"].map(|address| ground.listen(address));
    // SAFETY: the child drops what it has, waits to be killed and does nothing else.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            drop(listener);
            std::thread::sleep(Duration::from_secs(60));
            // SAFETY: ends the child at once.
            unsafe { nix::libc::_exit(0) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            std::thread::sleep(Duration::from_millis(50));
            assert!(std::path::Path::new(&ground.path("s")).exists());
            for gone in others {
                let address = gone.address().to_string();
                drop(gone);
                let late = ground.domain.connect(&address, &ChannelOptions::default(), SOON);
                expect(late, ErrorKind::NotFound, &["nobody listens"]);
            }
            for (one, other) in [unix, tcp] {
                drop(one);
                expect(other.receive(SOON), ErrorKind::Disconnected, &["has ended"]);
            }
            nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
            nix::sys::wait::waitpid(child, None).unwrap();
        }
    }
}
