//! Ends: said, closed, dropped, killed, forked.

use crate::common::{child, expect, wait_readable};
use crate::ground::{Ground, SOON, message, number};
use axonic::{Channel, ErrorKind};
use nix::sys::wait::{WaitStatus, waitpid};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

/// Whoever is killed is missed within this time.
const TOLD: Duration = Duration::from_millis(100);

/// In the process at the other end of a channel.
pub fn play(channel: Channel) -> ! {
    match child::role().as_deref() {
        Some("idle") => channel.send(b"here", SOON).unwrap(),
        Some("in the middle") => channel.try_send(&message(1, 10 << 20)).unwrap(),
        // Its child has copies of what it has, and lives a little longer.
        // SAFETY: the child does nothing but wait and end.
        Some("forks") => match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                std::thread::sleep(Duration::from_secs(3));
                // SAFETY: ends the child at once.
                unsafe { nix::libc::_exit(0) }
            }
            nix::unistd::ForkResult::Parent { .. } => channel.send(b"here", SOON).unwrap(),
        },
        Some("exec") => {
            channel.send(b"here", SOON).unwrap();
            child::ready();
            channel.receive(SOON).unwrap();
            // Not a word to the other end: what the library would say, it says when something is dropped.
            panic!("{}", std::process::Command::new("sleep").arg("60").exec());
        }
        role => panic!("{role:?}?"),
    }
    child::ready_until_told()
}

/// Who will send nothing more goes on receiving.
pub fn half_close(ground: &Ground) {
    let (one, other) = ground.pair();
    one.send(b"question", SOON).unwrap();
    one.finish(SOON).unwrap();
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
        other.finish(SOON).unwrap();
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
    // More than the other end takes at once, where the system keeps it.
    let large = one.address().starts_with("tcp:");
    if large {
        one.send(&message(10, 500_000), SOON).unwrap();
    }
    drop(one);
    std::thread::sleep(Duration::from_millis(10));
    (0..10 + u64::from(large)).for_each(|i| assert_eq!(number(&other.receive(SOON).unwrap().data), i));
    expect(other.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
}

/// What is kept of a message goes out with the close as far as there is room; what was cut off is no end like another.
pub fn kept_and_left(ground: &Ground) {
    if !ground.takes_any_size() {
        return;
    }
    for close in [Channel::close, |_: &Channel| ()] {
        let (one, other) = ground.pair();
        // More than a ring, a socket or a pipe takes at once where they are small, and twice that is not more.
        let length =
            if ["pipe:", "fifo:"].iter().any(|p| one.address().starts_with(p)) { 100_000 } else { 300_000 };
        one.try_send(&message(1, length)).unwrap();
        let early = other.try_receive().unwrap();
        close(&one);
        drop(one);
        assert_eq!(number(&early.map_or_else(|| other.receive(SOON), Ok).unwrap().data), 1);
        expect(other.receive(SOON), ErrorKind::Disconnected, &["connect anew"]);
        let (one, other) = ground.pair();
        one.try_send(&message(1, 10 << 20)).unwrap();
        if one.try_flush().unwrap() {
            // It is in memory as it is.
            continue;
        }
        let one_was_tcp = one.address().starts_with("tcp:");
        close(&one);
        drop(one);
        // TCP resets a connection that somebody still answers to.
        let says = if one_was_tcp { "connect anew" } else { "in the middle of a message" };
        expect(other.receive(SOON), ErrorKind::Disconnected, &[says]);
    }
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

/// A process that is killed while a child that it has forked lives on.
pub fn outlived_by_a_child(ground: &Ground) {
    if !ground.across() || !ground.with_end() {
        return;
    }
    let (running, channel) = ground.with_process("forks");
    assert_eq!(channel.receive(SOON).unwrap().data, b"here");
    let (result, after) = kill_during(running, || channel.receive(SOON).map(drop));
    expect(result, ErrorKind::Disconnected, &["connect anew"]);
    assert!(after < TOLD, "it was told after {after:?}");
}

/// A process that became another program: its descriptors are closed, and its locks are free.
pub fn left_by_exec(ground: &Ground) {
    if !ground.across() || !ground.with_end() {
        return;
    }
    let one_waits = |act: &dyn Fn(&Channel) -> axonic::Result<()>| {
        let (running, channel) = ground.with_process("exec");
        assert_eq!(channel.receive(SOON).unwrap().data, b"here");
        channel.send(b"go", SOON).unwrap();
        expect(act(&channel), ErrorKind::Disconnected, &["connect anew"]);
        running.kill();
    };
    one_waits(&|channel| channel.receive(SOON).map(drop));
    one_waits(&|channel| (0..100_000).try_for_each(|_| channel.send(&[0; 10_000], SOON)));
    one_waits(&|channel| {
        let fd = channel.fd().unwrap();
        while channel.try_receive()?.is_none() {
            assert!(wait_readable(fd, SOON.unwrap()), "nobody tells whoever watches the descriptor");
        }
        Ok(())
    });
}

/// What came of an act during which a process was killed, and how long after.
fn kill_during<T: Send>(
    running: child::Running,
    act: impl FnOnce() -> axonic::Result<T> + Send,
) -> (axonic::Result<T>, Duration) {
    std::thread::scope(|scope| {
        let acting = scope.spawn(|| (act(), Instant::now()));
        std::thread::sleep(Duration::from_millis(50));
        running.kill();
        // It takes a while to die where much else goes on.
        let killed = Instant::now();
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
