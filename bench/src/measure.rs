//! The two measurements everything is put through: exchanges timed one by one, and a stream timed in the middle.

use super::effort::Stream;
use std::time::Instant;

/// Nanoseconds of each of `n` exchanges. A tenth more go before and are not counted.
pub fn exchanges(n: usize, mut exchange: impl FnMut()) -> Vec<f64> {
    for _ in 0..warm(n) {
        exchange();
    }
    let timed = |_| {
        let started = Instant::now();
        exchange();
        started.elapsed().as_nanos() as f64
    };
    (0..n).map(timed).collect()
}

/// Exchanges before the counted ones.
pub fn warm(n: usize) -> usize {
    n / 10
}

/// What the answering side does for [`exchanges`] of `n`.
pub fn answers(n: usize, mut answer: impl FnMut()) {
    for _ in 0..warm(n) + n {
        answer();
    }
}

/// Messages per second of a stream that `take` receives one by one.
pub fn receive(stream: Stream, mut take: impl FnMut()) -> f64 {
    for _ in 0..stream.margin {
        take();
    }
    let (count, parts) = (stream.part, stream.timed / stream.part);
    let part = |_| {
        let started = Instant::now();
        for _ in 0..count {
            take();
        }
        count as f64 / started.elapsed().as_secs_f64()
    };
    let rates = (0..parts).map(part).collect();
    for _ in 0..stream.all() - stream.margin - parts * count {
        take();
    }
    super::samples::median(rates)
}

/// The same of messages that go by without us: `look` answers how many have.
pub fn watch(stream: Stream, mut look: impl FnMut() -> usize) -> f64 {
    let (mut since, mut next, mut rates) = (None, stream.margin, Vec::new());
    loop {
        let count = look();
        if count >= next {
            let now = Instant::now();
            if let Some((then, had)) = since.replace((now, count)) {
                rates.push((count - had) as f64 / (now - then).as_secs_f64());
            }
            next = count + stream.part;
        }
        if count >= stream.margin + stream.timed {
            return super::samples::median(rates);
        }
    }
}
