//! Ends: said, closed, dropped, killed, forked.

use crate::common::{child, expect};
use crate::ground::{Ground, SOON, message, number};
use axonic::{Channel, ErrorKind};
use nix::sys::wait::{WaitStatus, waitpid};
use std::time::{Duration, Instant};

/// Whoever is killed is missed within this time.
const TOLD: Duration = Duration::from_millis(100);

/// In the process at the other end of a channel.
pub fn play(channel: Channel) -> ! {
    match child::role().as_deref() {
        Some("idle") => channel.send(b"here", SOON).unwrap(),
        Some("in the middle") => channel.try_send(&message(1, 10 << 20)).unwrap(),
        role => panic!("{role:?}?"),
    }
    child::ready_until_told()
}

/// Who will send nothing more goes on receiving.
pub fn half_close(ground: &Ground) {
    let (one, other) = ground.pair();
    one.send(b"question", SOON).unwrap();
    one.finish().unwrap();
    expect(one.send(b"more", SOON), ErrorKind::Closed, &["nothing more will be sent"]);
    assert_eq!(other.receive(SOON).unwrap().data, b"question");
    if other.can().end {
        expect(other.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
    }
    if other.can().half_close {
        let answer = message(1, 300_000.min(other.can().max_message.unwrap_or(usize::MAX)));
        std::thread::scope(|scope| {
            scope.spawn(|| other.send(&answer, SOON).unwrap());
            assert!(one.receive(SOON).unwrap().data == answer);
        });
        other.finish().unwrap();
        expect(one.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
    }
}

/// What was sent before the end is received before it, though its sender has read nothing of what came.
pub fn end_is_told(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().end {
        return;
    }
    other.send(b"never read", SOON).unwrap();
    (0..100).for_each(|i| one.send(&message(i, 100), SOON).unwrap());
    one.close();
    (0..100).for_each(|i| assert_eq!(number(&other.receive(SOON).unwrap().data), i));
    expect(other.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
    expect(other.try_receive(), ErrorKind::Disconnected, &["connect anew"]);
    expect(send_until_it_fails(&other), ErrorKind::Disconnected, &["connect anew"]);
    expect(one.send(b"", SOON), ErrorKind::Closed, &["closed"]);
    expect(one.receive(SOON), ErrorKind::Closed, &["closed"]);
}

/// Where the system tells only of what was sent, the second message fails.
fn send_until_it_fails(channel: &Channel) -> axonic::Result<()> {
    (0..1000).try_for_each(|_| {
        std::thread::sleep(Duration::from_millis(1));
        channel.send(&[0; 100], SOON)
    })
}

/// Whoever sends and leaves before the other end has done anything has sent it all the same.
pub fn sent_before_leaving(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().reliable {
        return;
    }
    (0..10).for_each(|i| one.send(&message(i, 500), SOON).unwrap());
    drop(one);
    std::thread::sleep(Duration::from_millis(10));
    (0..10).for_each(|i| assert_eq!(number(&other.receive(SOON).unwrap().data), i));
    expect(other.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
}

pub fn dropping_is_ending(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().end {
        return;
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            assert_eq!(other.receive(SOON).unwrap().data, b"last");
            other.receive(SOON)
        });
        one.send(b"last", SOON).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        drop(one);
        expect(waiting.join().unwrap(), ErrorKind::Disconnected, &["connect anew"]);
    });
}

/// Another thread's close ends a wait for a message and one for room.
pub fn closing_ends_waits(ground: &Ground) {
    let (one, _other) = ground.pair();
    let until_full = || loop {
        if let Err(e) = one.send(&[0; 1000], SOON) {
            return e;
        }
    };
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| one.receive(SOON));
        let sending = one.can().back_pressure.then(|| scope.spawn(until_full));
        std::thread::sleep(Duration::from_millis(50));
        let started = Instant::now();
        one.close();
        expect(receiving.join().unwrap(), ErrorKind::Closed, &[one.address()]);
        if let Some(sending) = sending {
            assert_eq!(sending.join().unwrap().kind(), ErrorKind::Closed);
        }
        assert!(started.elapsed() < Duration::from_secs(2));
    });
    one.close();
}

/// So does the domain's.
pub fn domains_close(ground: &Ground) {
    let (one, _other) = ground.pair();
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| one.receive(SOON));
        std::thread::sleep(Duration::from_millis(50));
        ground.domain.close();
        expect(receiving.join().unwrap(), ErrorKind::Closed, &[one.address(), "domain"]);
    });
}

/// A process that is killed while nothing happens.
pub fn killed(ground: &Ground) {
    if !ground.across() {
        return;
    }
    let (running, channel) = ground.with_process("idle");
    assert_eq!(channel.receive(SOON).unwrap().data, b"here");
    if !channel.can().end {
        return running.kill();
    }
    let (result, after) = kill_during(running, || channel.receive(SOON).map(drop));
    expect(result, ErrorKind::Disconnected, &["connect anew"]);
    assert!(after < TOLD, "it was told after {after:?}");
}

/// One that is killed in the middle of a message, and one that reads nothing of what is sent to it.
pub fn killed_while_sending(ground: &Ground) {
    if !ground.across() || !ground.takes_any_size() {
        return;
    }
    let (running, channel) = ground.with_process("in the middle");
    let fill = || loop {
        channel.send(&[0; 10_000], SOON)?;
    };
    let (result, after) = kill_during(running, fill);
    expect::<()>(result, ErrorKind::Disconnected, &["connect anew"]);
    assert!(after < TOLD, "it was told after {after:?}");
    expect(channel.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
}

/// What came of an act during which a process was killed, and how long after.
fn kill_during<T: Send>(
    running: child::Running,
    act: impl FnOnce() -> axonic::Result<T> + Send,
) -> (axonic::Result<T>, Duration) {
    std::thread::scope(|scope| {
        let acting = scope.spawn(|| (act(), Instant::now()));
        std::thread::sleep(Duration::from_millis(50));
        let killed = Instant::now();
        running.kill();
        let (result, ended) = acting.join().unwrap();
        (result, ended.saturating_duration_since(killed))
    })
}

/// A channel that was carried over a fork says so, and what the child does with its copy changes nothing for the parent.
pub fn forked(ground: &Ground) {
    if child::role().is_none() {
        return child::run(&mut ground.alone());
    }
    let (one, other) = ground.pair();
    one.send(b"before", SOON).unwrap();
    // SAFETY: the child does nothing but use this library and end.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            expect(one.send(b"child", SOON), ErrorKind::Forked, &[one.address()]);
            expect(other.receive(SOON), ErrorKind::Forked, &[other.address()]);
            drop((one, other));
            // SAFETY: ends the child at once.
            unsafe { nix::libc::_exit(0) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)));
        }
    }
    one.send(b"after", SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().data, b"before");
    assert_eq!(other.receive(SOON).unwrap().data, b"after");
}
