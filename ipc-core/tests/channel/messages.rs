//! What is sent arrives: whole, once, in order.

use crate::common::expect;
use crate::ground::{Ground, SOON, message, number};
use axonic::{Channel, ChannelOptions, ErrorKind};

/// Of every size, both ways.
pub fn sizes(ground: &Ground) {
    let (one, other) = ground.pair();
    let most = one.can().max_message.unwrap_or(usize::MAX);
    for length in [0, 1, 64, 64 << 10, 3 << 20].map(|length: usize| length.min(most)) {
        for (from, to) in [(&one, &other), (&other, &one)] {
            let sent = message(length as u64, length);
            std::thread::scope(|scope| {
                scope.spawn(|| from.send(&sent, SOON).unwrap());
                assert!(to.receive(SOON).unwrap().data == sent, "{length} bytes");
            });
        }
    }
}

/// Answers come to questions, and a stream keeps its order.
pub fn order(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().ordered || !one.can().reliable {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..500 {
                let asked = other.receive(SOON).unwrap().data;
                assert_eq!(number(&asked), i);
                other.send(&asked, SOON).unwrap();
            }
            (0..20_000).for_each(|i| other.send(&message(i, 8 + i as usize % 3000), SOON).unwrap());
        });
        for i in 0..500 {
            one.send(&message(i, 64), SOON).unwrap();
            assert_eq!(number(&one.receive(SOON).unwrap().data), i);
        }
        (0..20_000).for_each(|i| assert_eq!(number(&one.receive(SOON).unwrap().data), i));
    });
}

/// Several at once are as good as one by one, however large they are.
pub fn send_many(ground: &Ground) {
    let (one, other) = ground.pair();
    if !one.can().reliable {
        return;
    }
    let most = one.can().max_message.unwrap_or(usize::MAX);
    let length = |i: u64| if i % 1000 == 999 { 300_000 } else { 8 + i as usize % 200 }.min(most);
    let messages: Vec<Vec<u8>> = (0..5000).map(|i| message(i, length(i))).collect();
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(one.send_many(&slices, SOON).unwrap(), slices.len()));
        messages.iter().for_each(|sent| assert!(other.receive(SOON).unwrap().data == *sent));
    });
    assert_eq!(one.stats().sent_messages, 5000);
    assert_eq!(one.send_many(&[], SOON).unwrap(), 0);
}

/// What several threads send is not mixed up, and each one's stays in order.
pub fn several_threads(ground: &Ground) {
    const EACH: u64 = 500;
    let (one, other) = ground.pair();
    if !one.can().reliable {
        return;
    }
    let most = one.can().max_message.unwrap_or(usize::MAX);
    let send = |channel: &Channel, thread: u64| {
        for i in 0..EACH {
            let length = if i % 50 == 0 { 100_000 } else { 8 + i as usize };
            channel.send(&message(thread << 32 | i, length.min(most)), SOON).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let (one, send) = (&one, &send);
        (0..4).for_each(|thread| drop(scope.spawn(move || send(one, thread))));
        let mut next = [0; 4];
        for _ in 0..4 * EACH {
            let got = number(&other.receive(SOON).unwrap().data);
            let next = &mut next[(got >> 32) as usize];
            assert!(got & 0xffff_ffff == *next || !one.can().ordered, "{got:x} came, {next} was next");
            *next += 1;
        }
        assert_eq!(next, [EACH; 4]);
    });
}

pub fn stats(ground: &Ground) {
    let (one, other) = ground.pair();
    let (before, after) = (one.stats(), other.stats());
    one.send(&[1; 100], SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().data, [1; 100]);
    let (sent, received) = (one.stats(), other.stats());
    assert_eq!(sent.sent_messages - before.sent_messages, 1);
    assert_eq!(sent.sent_bytes - before.sent_bytes, 100);
    assert_eq!(received.received_messages - after.received_messages, 1);
    assert_eq!(received.received_bytes - after.received_bytes, 100);
    assert_eq!((sent.received_messages, received.sent_messages, received.sent_bytes), (0, 0, 0));
}

/// Each end's limit holds for what it sends and for what is sent to it.
pub fn limits(ground: &Ground) {
    let limited = |max_message| ChannelOptions { max_message, ..Default::default() };
    let (small, large) = ground.pair_with(&limited(100), &limited(1000));
    expect(small.send(&[0; 101], SOON), ErrorKind::TooLarge, &["101", "100", "max_message"]);
    // Once something has come from there, this end knows.
    small.send(&[0; 100], SOON).unwrap();
    assert_eq!(large.receive(SOON).unwrap().data.len(), 100);
    if ground.tells_limits() {
        expect(large.send(&[0; 101], SOON), ErrorKind::TooLarge, &["101", "100", "max_message"]);
        expect(large.try_send(&[0; 101]), ErrorKind::TooLarge, &["101", "100", "max_message"]);
        expect(large.send_many(&[&[0], &[0; 101]], SOON), ErrorKind::TooLarge, &["101", "100"]);
    }
    expect(large.send(&[0; 1001], SOON), ErrorKind::TooLarge, &["1001", "max_message"]);
    // Nothing is broken by that.
    large.send(&[7; 100], SOON).unwrap();
    assert_eq!(small.receive(SOON).unwrap().data, [7; 100]);
}
