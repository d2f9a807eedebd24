//! Who makes room for whom, with fewer places and less patience than there are.

use super::{Limits, listen_within};
use crate::domain::{Domain, DomainOptions};
use crate::error::ErrorKind;
use crate::mechanisms::channel::datagram::{name_of, socket_type};
use crate::mechanisms::channel::{Address, Channel, ChannelOptions, Listener};
use crate::sys::clock::Deadline;
use crate::sys::packet::Socket;
use std::net::UdpSocket;
use std::time::Duration;

const SOON: Option<Duration> = Some(Duration::from_secs(20));
const SILENCE: Duration = Duration::from_millis(300);

fn listener(domain: &Domain, limits: Limits) -> Listener {
    let (address, options): (Address, _) = ("udp://127.0.0.1:0".parse().unwrap(), ChannelOptions::default());
    let name = name_of(&address, &Deadline::after(None)).unwrap();
    let socket = Socket::new(&name, socket_type(&address)).unwrap();
    socket.bind(&name).unwrap();
    let listened = listen_within(limits, domain, &address, socket, &name, &options).unwrap();
    Listener::new(domain.clone(), &options, listened)
}

#[test]
fn whoever_was_silent_for_long_makes_room() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let runtime_dir = Some(directory.path().into());
    let domain = Domain::open_with(DomainOptions { runtime_dir, ..Default::default() }).unwrap();
    let listener = listener(&domain, Limits { peers: 3, silence: SILENCE });
    let sockets: Vec<UdpSocket> = (0..4).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let send = |number: usize| {
        let to = listener.address().strip_prefix("udp://").unwrap();
        sockets[number].send_to(&[number as u8], to).unwrap();
    };
    let accept = |number: usize| {
        send(number);
        let channel = listener.accept(SOON).unwrap();
        assert_eq!(channel.receive(SOON).unwrap().data, [number as u8]);
        channel
    };
    let is_lost = |number: usize| {
        send(number);
        listener.accept(Some(SILENCE / 10)).unwrap_err().kind() == ErrorKind::Timeout
    };
    let goes_on = |number: usize, channel: &Channel| {
        send(number);
        assert_eq!(channel.receive(SOON).unwrap().data, [number as u8]);
    };
    let channels: Vec<Channel> = (0..3).map(accept).collect();
    // Nobody was silent for long enough.
    assert!(is_lost(3));
    std::thread::sleep(SILENCE);
    goes_on(0, &channels[0]);
    channels[1].send(b"it is not silent to whom something is sent", SOON).unwrap();
    let late = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| channels[2].receive(SOON).map(drop));
        let late = accept(3);
        for told in [waiting.join().unwrap(), channels[2].send(b"x", SOON)] {
            let told = told.unwrap_err();
            assert!(
                told.kind() == ErrorKind::Disconnected && told.message().contains("given to another"),
                "{told}"
            );
        }
        late
    });
    goes_on(0, &channels[0]);
    goes_on(1, &channels[1]);
    goes_on(3, &late);
    assert!(is_lost(2));
    std::thread::sleep(SILENCE);
    // It has a place again, which the end of its former channel does not take from it.
    let again = accept(2);
    drop(channels);
    goes_on(2, &again);
}
