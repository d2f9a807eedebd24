//! Channels that connect anew when the other end is gone.

mod common;

use axonic::{Channel, ChannelOptions, Domain, ErrorKind, Listener, WaitSet};
use common::certificates::Authority;
use common::{Place, expect};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// A domain, and an address of each transport at which somebody can listen again.
struct Ground {
    domain: Domain,
    address: String,
    _places: [Place; 2],
}

fn on_each(test: impl Fn(&Ground)) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = [
        "inproc://r",
        "shm://test/r",
        "unix://DIRECTORY/s",
        "unix://DIRECTORY/s?type=seqpacket",
        "tcp://PORT",
        "tcp://PORT?CERTIFICATES",
        "ws://PORT/p",
    ];
    let authority = Authority::new();
    let certificates = authority.mutual("either");
    for address in addresses {
        let places = [Place::new(), Place::new()];
        let address = address.replace("DIRECTORY", places[1].path().to_str().unwrap());
        let address = address.replace("PORT", &free.to_string());
        let address = address.replace("CERTIFICATES", &certificates);
        println!("{address}");
        test(&Ground { domain: places[0].open(), address, _places: places });
    }
}

impl Ground {
    fn listener(&self) -> Listener {
        self.domain.listen(&self.address, &ChannelOptions::default()).unwrap()
    }

    /// One that connects anew, and whom it is connected to.
    fn pair(&self, listener: &Listener) -> (Channel, Channel) {
        let options = ChannelOptions { reconnect: true, ..Default::default() };
        std::thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept(SOON).unwrap());
            let connected = self.domain.connect(&self.address, &options, SOON).unwrap();
            (connected, accepted.join().unwrap())
        })
    }
}

/// Whoever comes and says something. Some have given up already: they try for some milliseconds where they do not wait.
fn accept(listener: &Listener, says: &[u8]) -> Channel {
    loop {
        let accepted = listener.accept(SOON).unwrap();
        match accepted.receive(SOON) {
            Ok(message) => {
                assert_eq!(message.data, says);
                return accepted;
            }
            Err(e) => assert_eq!(e.kind(), ErrorKind::Disconnected, "{e}"),
        }
    }
}

#[test]
fn the_next_call_connects_anew() {
    on_each(|ground| {
        let listener = ground.listener();
        let (one, other) = ground.pair(&listener);
        one.send(b"first", SOON).unwrap();
        assert_eq!(other.receive(SOON).unwrap().data, b"first");
        for round in 1..4u64 {
            other.close();
            std::thread::scope(|scope| {
                let accepted = scope.spawn(|| {
                    let accepted = accept(&listener, b"question");
                    accepted.send(b"answer", SOON).unwrap();
                    accepted
                });
                // Where the system tells only of what was sent, the first question may be lost.
                let answer = std::iter::repeat_with(|| {
                    one.send(b"question", SOON).unwrap();
                    one.receive(Some(Duration::from_millis(500)))
                });
                let answer = answer.take(20).find(|answer| answer.is_ok()).unwrap();
                assert_eq!(answer.unwrap().data, b"answer");
                accepted.join().unwrap().close();
            });
            assert!(one.stats().reconnects >= round, "{:?}", one.stats());
        }
        let pid = one.can().credentials.then(std::process::id);
        assert_eq!(one.peer().pid, pid);
        assert!(one.stats().sent_messages >= 4 && one.stats().received_messages == 3, "{:?}", one.stats());
    });
}

/// Nobody is there for a while: calls wait for as long as they are let, and say why.
#[test]
fn who_comes_back_is_found() {
    on_each(|ground| {
        let listener = ground.listener();
        let (one, other) = ground.pair(&listener);
        drop((listener, other));
        let soon = Some(Duration::from_millis(40));
        let why = ["connecting anew has failed", "nobody listens"];
        expect(one.receive(soon), ErrorKind::Timeout, &why);
        expect(one.send(b"lost?", soon), ErrorKind::Timeout, &why);
        expect(one.send_many(&[b"lost?"], soon), ErrorKind::Timeout, &why);
        expect(one.try_send(b"lost?"), ErrorKind::WouldBlock, &why);
        assert!(one.try_receive().unwrap().is_none());
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| one.receive(SOON).unwrap().data);
            let sending = scope.spawn(|| one.send(b"here again", SOON).unwrap());
            std::thread::sleep(Duration::from_millis(100));
            let listener = ground.listener();
            let other = accept(&listener, b"here again");
            sending.join().unwrap();
            other.send(b"welcome", SOON).unwrap();
            assert_eq!(receiving.join().unwrap(), b"welcome");
        });
        assert_eq!(one.stats().sent_messages, 1, "of those that were refused none was sent");
    });
}

/// One sends and one receives, and the other end goes away again and again, in the middle of large messages too: what
/// arrives is whole, in order and once, and what was sent in vain is not much.
#[test]
fn ends_come_and_go_in_the_middle_of_everything() {
    on_each(|ground| {
        let listener = ground.listener();
        let (one, first) = ground.pair(&listener);
        drop(first);
        let (last, over, answers) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in 1.. {
                    let length = if i % 5 == 0 { 150_000 } else { 100 };
                    let message: Vec<u8> = (i as u64).to_le_bytes().repeat(length / 8);
                    match one.send(&message, Some(Duration::from_millis(200))) {
                        Err(e) if over.load(Ordering::Acquire) => return drop(e),
                        Err(e) => {
                            assert!(matches!(e.kind(), ErrorKind::Disconnected | ErrorKind::Timeout), "{e}")
                        }
                        Ok(()) => {}
                    }
                }
            });
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    match one.receive(Some(Duration::from_millis(50))) {
                        Ok(message) => assert!(
                            message.data == b"answer" && answers.fetch_add(1, Ordering::AcqRel) < 1 << 40
                        ),
                        Err(e) => assert_eq!(e.kind(), ErrorKind::Timeout, "{e}"),
                    }
                }
            });
            for round in 0..15 {
                let other = listener.accept(SOON).unwrap();
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(10 + round) {
                    let Ok(message) = other.receive(SOON).map(|message| message.data) else { break };
                    let number = u64::from_le_bytes(message[..8].try_into().unwrap());
                    assert!(
                        message.chunks(8).all(|part| part == number.to_le_bytes()),
                        "{number} is not whole"
                    );
                    assert!(last.fetch_max(number, Ordering::AcqRel) < number, "{number} came again");
                    let _ = other.send(b"answer", SOON);
                }
            }
            over.store(true, Ordering::Release);
            listener.close();
        });
        assert!(one.stats().reconnects >= 14 && answers.load(Ordering::Acquire) > 15);
    });
}

/// Another thread's close ends a wait for the other end.
#[test]
fn closing_ends_waits_for_the_other_end() {
    on_each(|ground| {
        let listener = ground.listener();
        let (one, other) = ground.pair(&listener);
        drop((listener, other));
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| one.receive(SOON));
            // Where the system tells only of what was sent, the first one goes out all the same.
            let sending = scope.spawn(|| (0..1000).try_for_each(|_| one.send(b"", SOON)));
            std::thread::sleep(Duration::from_millis(200));
            let closed = Instant::now();
            one.close();
            expect(receiving.join().unwrap(), ErrorKind::Closed, &[one.address()]);
            expect(sending.join().unwrap(), ErrorKind::Closed, &[one.address()]);
            assert!(closed.elapsed() < Duration::from_secs(2));
        });
    });
}

/// Whoever waits by the descriptor alone is woken to connect anew, and for what comes then.
#[test]
fn a_watched_channel_connects_anew() {
    on_each(|ground| {
        let listener = ground.listener();
        let (one, other) = ground.pair(&listener);
        let mut set = WaitSet::new().unwrap();
        set.add_fd(one.fd().unwrap(), 1).unwrap();
        assert!(one.try_receive().unwrap().is_none());
        other.send(b"first", SOON).unwrap();
        let next = |set: &mut WaitSet| loop {
            assert_eq!(set.wait(SOON).unwrap(), [1]);
            if let Some(message) = one.try_receive().unwrap() {
                return message.data;
            }
        };
        assert_eq!(next(&mut set), b"first");
        drop((listener, other));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                let listener = ground.listener();
                loop {
                    let other = listener.accept(SOON).unwrap();
                    // Until it was received, by somebody who has not given up meanwhile.
                    if other.send(b"second", SOON).is_ok() && other.receive(SOON).is_ok() {
                        return;
                    }
                }
            });
            assert_eq!(next(&mut set), b"second");
            one.send(b"third", SOON).unwrap();
        });
    });
}

#[test]
fn after_the_last_word_nothing_connects_anew() {
    on_each(|ground| {
        let listener = ground.listener();
        let (one, other) = ground.pair(&listener);
        one.finish(SOON).unwrap();
        other.send(b"last", SOON).unwrap();
        drop(other);
        assert_eq!(one.receive(SOON).unwrap().data, b"last");
        expect(one.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
        expect(one.send(b"", SOON), ErrorKind::Closed, &["nothing more will be sent"]);
        assert!(listener.try_accept().unwrap().is_none() && one.stats().reconnects == 0);
        let options = ChannelOptions { reconnect: true, ..Default::default() };
        expect(ground.domain.connect("pipe:0,1", &options, SOON), ErrorKind::InvalidArgument, &["reconnect"]);
    });
}

/// Whoever cannot be reached is tried less and less often, down to once a second; after a connection that was of use it begins
/// anew.
#[test]
fn pauses_between_attempts_double_up_to_a_second() {
    let place = Place::new();
    let domain = place.open();
    let there = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}?framing=none", there.local_addr().unwrap());
    let began = Instant::now();
    let options = ChannelOptions { reconnect: true, ..Default::default() };
    let one = domain.connect(&address, &options, SOON).unwrap();
    // When somebody came, who is left again at once.
    let next = || there.accept().map(|(stream, _)| (stream, began.elapsed())).unwrap();
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            assert_eq!(one.receive(SOON).unwrap().data, b"of use");
            one.receive(SOON)
        });
        let came: Vec<_> = (0..10).map(|_| next().1).collect();
        let pauses = (0..9).map(|n| Duration::from_millis(10 << n).min(Duration::from_secs(1)));
        let earliest = pauses.scan(Duration::ZERO, |sum, pause| {
            *sum += pause;
            Some(*sum)
        });
        for (came, earliest) in came[1..].iter().zip(earliest) {
            assert!(*came >= earliest, "{came:?}, not before {earliest:?}");
        }
        // It would be 8.4 s if each were a second, and the last alone 2.6 s if they doubled on.
        assert!(came[9] < Duration::from_secs(6) && came[9] - came[8] < Duration::from_secs(2), "{came:?}");
        let (mut stream, before) = next();
        std::io::Write::write_all(&mut stream, b"of use").unwrap();
        drop(stream);
        let after = next().1 - before;
        assert!(after < Duration::from_millis(800), "{after:?} after a connection that was of use");
        one.close();
        expect(receiving.join().unwrap(), ErrorKind::Closed, &[one.address()]);
    });
}
