//! What is special to channels over sockets that carry whole messages: UDP, and Unix sockets of the types datagram and
//! seqpacket. At the other end is often a socket of the standard library, which knows nothing of channels.

mod common;

use axonic::{Channel, ChannelOptions, Domain, ErrorKind, Listener, WaitSet};
use common::{Place, expect, readable};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

fn options() -> ChannelOptions {
    ChannelOptions::default()
}

fn udp(domain: &Domain) -> Listener {
    domain.listen("udp://127.0.0.1:0", &options()).unwrap()
}

/// A socket that is no channel, connected to a listener.
fn plain(listener: &Listener) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(SOON).unwrap();
    socket.connect(listener.address().strip_prefix("udp://").unwrap()).unwrap();
    socket
}

fn next(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let length = socket.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

#[test]
fn each_address_is_a_channel() {
    let place = Place::new();
    let domain = place.open();
    let listener = udp(&domain);
    assert!(listener.try_accept().unwrap().is_none());
    let sockets = [plain(&listener), plain(&listener)];
    sockets[0].send(b"a0").unwrap();
    sockets[1].send(b"b0").unwrap();
    sockets[0].send(b"").unwrap();
    let channels = [0, 1].map(|_| listener.accept(SOON).unwrap());
    sockets[0].send(b"a2").unwrap();
    for (channel, socket) in channels.iter().zip(&sockets) {
        assert_eq!(channel.peer().address, Some(socket.local_addr().unwrap().to_string()));
    }
    assert_eq!(channels[1].receive(SOON).unwrap().data, b"b0");
    for expected in [&b"a0"[..], b"", b"a2"] {
        assert_eq!(channels[0].receive(SOON).unwrap().data, expected);
    }
    channels[1].send(b"to b", SOON).unwrap();
    channels[0].send(b"to a", SOON).unwrap();
    assert_eq!((next(&sockets[0]), next(&sockets[1])), (b"to a".to_vec(), b"to b".to_vec()));
    // Who comes again after its channel was closed is somebody new.
    channels[0].close();
    sockets[0].send(b"again").unwrap();
    assert_eq!(listener.accept(SOON).unwrap().receive(SOON).unwrap().data, b"again");
    // Channels go on without their listener, and nobody new is let in.
    listener.close();
    plain(&listener).send(b"too late").unwrap();
    sockets[1].send(b"on").unwrap();
    assert_eq!(channels[1].receive(SOON).unwrap().data, b"on");
    expect(
        domain.listen(listener.address(), &options()),
        ErrorKind::Busy,
        &["somebody listens", "127.0.0.1"],
    );
    drop(channels);
    domain.listen(listener.address(), &options()).unwrap();
}

#[test]
fn a_channel_speaks_to_any_udp_program() {
    let place = Place::new();
    let domain = place.open();
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let address = format!("udp://{}", socket.local_addr().unwrap());
    let channel = domain.connect(&address, &options(), SOON).unwrap();
    channel.send_many(&[b"hello", b""], SOON).unwrap();
    let mut buffer = [0; 10];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"hello");
    assert_eq!(socket.recv_from(&mut buffer).unwrap(), (0, from));
    socket.send_to(b"answer", from).unwrap();
    assert_eq!(channel.receive(SOON).unwrap().data, b"answer");
    let can = channel.can();
    assert!(
        !can.reliable && !can.ordered && !can.back_pressure && !can.end && can.messages && !can.descriptors
    );
    assert_eq!((can.max_message, channel.max_message()), (Some(65_527), 65_527));
    expect(channel.send(&[0; 65_528], SOON), ErrorKind::TooLarge, &["65528", "65527", "send it in parts"]);
    expect(
        channel.send_descriptors(b"", &[socket.as_fd()], SOON),
        ErrorKind::Unsupported,
        &["unix: sockets do"],
    );
}

#[test]
fn sizes_are_bounded_at_both_ends() {
    let place = Place::new();
    let domain = place.open();
    let small = ChannelOptions { max_message: 100, ..options() };
    let listener = domain.listen("udp://127.0.0.1:0", &small).unwrap();
    let large = domain.connect(listener.address(), &options(), SOON).unwrap();
    assert_eq!(large.can().max_message, Some(65_507));
    for length in [65_507, 101, 100] {
        large.send(&vec![7; length], SOON).unwrap();
    }
    let accepted = listener.accept(SOON).unwrap();
    expect(accepted.receive(SOON), ErrorKind::TooLarge, &["65507", "100", "max_message"]);
    expect(accepted.receive(SOON), ErrorKind::TooLarge, &["101"]);
    assert_eq!(accepted.receive(SOON).unwrap().data, [7; 100]);
    let connected = domain.connect(listener.address(), &small, SOON).unwrap();
    connected.send(b"here", SOON).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let small = domain.connect(&format!("udp://{}", socket.local_addr().unwrap()), &small, SOON).unwrap();
    small.send(b"", SOON).unwrap();
    let (_, from) = socket.recv_from(&mut []).unwrap();
    socket.send_to(&[0; 200], from).unwrap();
    socket.send_to(&[8; 100], from).unwrap();
    expect(small.receive(SOON), ErrorKind::TooLarge, &["200", "100", "max_message"]);
    assert_eq!(small.receive(SOON).unwrap().data, [8; 100]);
}

/// What nobody reads costs so much and no more, and other channels do not notice.
#[test]
fn what_nobody_reads_is_lost() {
    let place = Place::new();
    let domain = place.open();
    let listener = udp(&domain);
    let (flood, calm) = (plain(&listener), plain(&listener));
    for socket in [&flood, &calm] {
        socket.send(b"here").unwrap();
    }
    let [flooded, quiet] = [0, 1].map(|_| {
        let channel = listener.accept(SOON).unwrap();
        assert_eq!(channel.receive(SOON).unwrap().data, b"here");
        channel
    });
    for i in 0..2000u32 {
        flood.send(&[[0; 1000].as_slice(), &i.to_le_bytes()].concat()).unwrap();
        if i % 50 == 0 {
            calm.send(&i.to_le_bytes()).unwrap();
            assert_eq!(quiet.receive(SOON).unwrap().data, i.to_le_bytes());
        }
    }
    assert!(quiet.try_receive().unwrap().is_none());
    let kept = std::iter::from_fn(|| flooded.receive(Some(Duration::from_millis(100))).ok()).count();
    assert!((200..=246).contains(&kept), "{kept} of 1068 bytes each were kept");
    // Addresses that nobody accepts are bounded, too.
    let strangers: Vec<UdpSocket> = (0..200).map(|_| plain(&listener)).collect();
    for socket in &strangers {
        socket.send(b"stranger").unwrap();
    }
    let accepted: Vec<Channel> =
        std::iter::from_fn(|| listener.accept(Some(Duration::from_millis(50))).ok()).collect();
    assert_eq!(accepted.len(), 128);
}

/// That nobody is there shows when something is sent, and whoever comes there is found.
#[test]
fn nobody_there() {
    let place = Place::new();
    let domain = place.open();
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let channel = domain.connect(&format!("udp://{gone}"), &options(), SOON).unwrap();
    channel.send(b"into the void", SOON).unwrap();
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
    let socket = UdpSocket::bind(gone).unwrap();
    channel.send(b"somebody?", SOON).unwrap();
    let mut buffer = [0; 20];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"somebody?");
    socket.send_to(b"yes", from).unwrap();
    assert_eq!(channel.receive(SOON).unwrap().data, b"yes");
    expect(
        domain.connect("udp://no.such.host.invalid:1", &options(), SOON),
        ErrorKind::NotFound,
        &["resolver"],
    );
    expect(domain.connect("udp://127.0.0.1", &options(), SOON), ErrorKind::InvalidArgument, &["host:port"]);
    expect(
        domain.listen("udp://192.0.2.1:0", &options()),
        ErrorKind::InvalidArgument,
        &["no address of this"],
    );
}

/// Of many who sleep at one socket, each is woken for what is its own.
#[test]
fn many_sleep_at_one_socket() {
    const CHANNELS: usize = 8;
    const ROUNDS: u32 = 300;
    let place = Place::new();
    let domain = place.open();
    let listener = udp(&domain);
    let sockets: Vec<UdpSocket> = (0..CHANNELS).map(|_| plain(&listener)).collect();
    let channels: Vec<Channel> = sockets
        .iter()
        .map(|socket| {
            socket.send(b"here").unwrap();
            let channel = listener.accept(SOON).unwrap();
            assert_eq!(channel.receive(SOON).unwrap().data, b"here");
            channel
        })
        .collect();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SOON));
        for (channel, socket) in channels.iter().zip(&sockets) {
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let message = channel.receive(SOON).unwrap();
                    channel.send(&message.data, SOON).unwrap();
                }
            });
            scope.spawn(move || {
                for i in 0..ROUNDS {
                    socket.send(&i.to_le_bytes()).unwrap();
                    assert_eq!(next(socket), i.to_le_bytes());
                }
            });
        }
        std::thread::sleep(Duration::from_millis(30));
        plain(&listener).send(b"one more").unwrap();
        assert_eq!(accepting.join().unwrap().unwrap().receive(SOON).unwrap().data, b"one more");
    });
}

/// The descriptors of a listener and of its channels tell each of its own.
#[test]
fn descriptors_tell_of_what_comes() {
    let place = Place::new();
    let domain = place.open();
    let listener = udp(&domain);
    let mut set = WaitSet::new().unwrap();
    set.add_fd(listener.fd().unwrap(), 100).unwrap();
    assert!(listener.try_accept().unwrap().is_none() && !readable(listener.fd().unwrap()));
    let sockets = [plain(&listener), plain(&listener)];
    let mut channels: Vec<Channel> = Vec::new();
    let mut received = [0; 2];
    for (i, socket) in sockets.iter().enumerate() {
        socket.send(&[i as u8]).unwrap();
    }
    let started = Instant::now();
    while received != [20; 2] {
        assert!(started.elapsed() < Duration::from_secs(20), "{received:?}");
        for token in set.wait(SOON).unwrap() {
            if token == 100 {
                while let Some(channel) = listener.try_accept().unwrap() {
                    set.add_fd(channel.fd().unwrap(), channels.len() as u64).unwrap();
                    channels.push(channel);
                }
                continue;
            }
            while let Some(message) = channels[token as usize].try_receive().unwrap() {
                received[token as usize] += 1;
                if received[token as usize] < 20 {
                    sockets[message.data[0] as usize].send(&message.data).unwrap();
                }
            }
        }
    }
    // Nothing is left, and all say so once they were asked.
    for _ in 0..3 {
        assert!(channels.iter().all(|channel| channel.try_receive().unwrap().is_none()));
        assert!(listener.try_accept().unwrap().is_none());
    }
    assert!(set.wait(Some(Duration::ZERO)).unwrap().is_empty());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| channels[0].receive(SOON));
        std::thread::sleep(Duration::from_millis(20));
        channels[0].close();
        expect(waiting.join().unwrap(), ErrorKind::Closed, &[listener.address()]);
    });
}

#[test]
fn unix_datagrams_are_answered_by_name() {
    let (place, files) = (Place::new(), Place::new());
    let domain = place.open();
    let path = files.path().join("socket");
    let address = format!("unix://{}?type=datagram", path.display());
    let listener = domain.listen(&address, &options()).unwrap();
    assert_eq!(listener.address(), address);
    expect(domain.listen(&address, &options()), ErrorKind::Busy, &["somebody listens"]);
    let one = domain.connect(&address, &options(), SOON).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    one.send_descriptors(b"pipe", &[writer.as_fd()], SOON).unwrap();
    drop(writer);
    let other = listener.accept(SOON).unwrap();
    assert_eq!((other.peer().pid, other.can().credentials), (Some(std::process::id()), true));
    let message = other.receive(SOON).unwrap();
    assert_eq!((message.data.as_slice(), message.descriptors.len()), (&b"pipe"[..], 1));
    std::fs::File::from(message.descriptors.into_iter().next().unwrap()).write_all(b"through").unwrap();
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, "through");
    other.send_descriptors(b"back", &[reader.as_fd()], SOON).unwrap();
    assert_eq!(one.receive(SOON).unwrap().descriptors.len(), 1);
    let most = one.max_message();
    one.send(&vec![1; most], SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().data.len(), most);
    expect(one.send(&vec![1; most + 1], SOON), ErrorKind::TooLarge, &[&most.to_string()]);
    // Those without a name can be heard, and not be answered.
    UnixDatagram::unbound().unwrap().send_to(b"nameless", &path).unwrap();
    UnixDatagram::unbound().unwrap().send_to(b"another", &path).unwrap();
    let nameless = listener.accept(SOON).unwrap();
    assert_eq!(nameless.receive(SOON).unwrap().data, b"nameless");
    assert_eq!(nameless.receive(SOON).unwrap().data, b"another");
    expect(nameless.send(b"", SOON), ErrorKind::Unsupported, &["without a name"]);
    // Who is gone is found out by sending.
    drop(one);
    expect(other.send(b"", SOON), ErrorKind::Disconnected, &["connect anew"]);
    listener.close();
    assert!(files.files().is_empty());
    expect(domain.connect(&address, &options(), SOON), ErrorKind::NotFound, &["nobody listens"]);
}

/// One that reads nothing holds up neither who sends to it nor the other channels of its listener.
#[test]
fn a_unix_client_that_does_not_read_loses() {
    let (place, files) = (Place::new(), Place::new());
    let domain = place.open();
    let address = format!("unix://{}?type=datagram", files.path().join("socket").display());
    let listener = domain.listen(&address, &options()).unwrap();
    let one = domain.connect(&address, &options(), SOON).unwrap();
    one.send(b"here", SOON).unwrap();
    let other = listener.accept(SOON).unwrap();
    let started = Instant::now();
    (0..5000).for_each(|_| other.send(&[0; 1000], SOON).unwrap());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(one.receive(SOON).unwrap().data, [0; 1000]);
}

#[test]
fn seqpacket_passes_descriptors_and_tells_who() {
    let (place, files) = (Place::new(), Place::new());
    let domain = place.open();
    let path = files.path().join("socket");
    let address = format!("unix://{}?type=seqpacket&backlog=2", path.display());
    let listener = domain.listen(&address, &options()).unwrap();
    let one = domain.connect(&address, &options(), SOON).unwrap();
    let other = listener.accept(SOON).unwrap();
    for channel in [&one, &other] {
        assert_eq!(channel.peer().pid, Some(std::process::id()));
        assert_eq!(channel.peer().uid, Some(nix::unistd::Uid::effective().as_raw()));
    }
    let files_there: Vec<std::fs::File> =
        (0..253).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let descriptors: Vec<_> = files_there.iter().map(AsFd::as_fd).collect();
    one.send_descriptors(b"", &descriptors, SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().descriptors.len(), 253);
    let too_many: Vec<_> = (0..254).map(|_| files_there[0].as_fd()).collect();
    expect(one.send_descriptors(b"", &too_many, SOON), ErrorKind::LimitReached, &["254", "253"]);
    let most = one.max_message();
    assert!(most > 100_000, "{most}");
    one.send(&vec![3; most], SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().data, vec![3; most]);
    expect(one.send(&vec![3; most + 1], SOON), ErrorKind::TooLarge, &[&most.to_string(), "in parts"]);
    // An empty message is one, and no end.
    other.send(b"", SOON).unwrap();
    other.finish(SOON).unwrap();
    assert_eq!(one.receive(SOON).unwrap().data, b"");
    expect(one.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
    // More than may wait do not get in, and say so in time.
    let waiting: Vec<_> = (0..3).map(|_| domain.connect(&address, &options(), SOON).unwrap()).collect();
    let soon = Some(Duration::from_millis(30));
    expect(domain.connect(&address, &options(), soon), ErrorKind::Timeout, &["wait already"]);
    drop(waiting);
    expect(
        domain.connect(&format!("unix://{}?type=datagram", path.display()), &options(), SOON),
        ErrorKind::InvalidArgument,
        &["another type"],
    );
}

/// A file that somebody left when it died is in nobody's way; one that is no socket's is left alone.
#[test]
fn files_of_the_dead_are_taken_over() {
    let (place, files) = (Place::new(), Place::new());
    let domain = place.open();
    let path = files.path().join("socket");
    for kind in ["seqpacket", "datagram"] {
        let address = format!("unix://{}?type={kind}", path.display());
        drop(UnixDatagram::bind(&path).unwrap());
        expect(domain.connect(&address, &options(), SOON), ErrorKind::NotFound, &["nobody listens"]);
        let listener = domain.listen(&address, &options()).unwrap();
        // Nobody who looks whether it is there counts as somebody who has come.
        expect(domain.listen(&address, &options()), ErrorKind::Busy, &["somebody listens"]);
        assert!(listener.try_accept().unwrap().is_none());
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        expect(domain.listen(&address, &options()), ErrorKind::AlreadyExists, &["no socket"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"a file");
        std::fs::remove_file(&path).unwrap();
        let name = format!("unix://@axonic-test-{}-{kind}?type={kind}", std::process::id());
        let listener = domain.listen(&name, &options()).unwrap();
        let one = domain.connect(&name, &options(), SOON).unwrap();
        one.send(b"by name", SOON).unwrap();
        assert_eq!(listener.accept(SOON).unwrap().receive(SOON).unwrap().data, b"by name");
        expect(domain.listen(&name, &options()), ErrorKind::Busy, &["somebody listens"]);
    }
    let long = format!("unix:///tmp/{}?type=datagram", "x".repeat(200));
    expect(domain.listen(&long, &options()), ErrorKind::InvalidArgument, &["too long", "107"]);
    expect(
        domain.listen("unix:///tmp/x?type=seqpacket&framing=none", &options()),
        ErrorKind::InvalidArgument,
        &["framing", "a message goes as it is"],
    );
}
