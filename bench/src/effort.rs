//! How much work a case does: the same numbers for every subject of it.

/// Rounds, exchanges timed one by one, and messages for a rate.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub exchanges: usize,
    pub messages: usize,
}

/// The messages of one measurement of a rate. The receiver takes all and times the middle ones, so that first
/// touches of memory and the buffers' filling and draining are outside.
#[derive(Clone, Copy)]
pub struct Stream {
    /// Before the clock starts, and again after it stopped.
    pub margin: usize,
    pub timed: usize,
    /// Messages of a part of the timed middle. The median of the parts' rates counts: a part is short beside the
    /// milliseconds for which a neighbour takes a core, so that he disturbs some parts and not the whole.
    pub part: usize,
}

impl Stream {
    pub fn all(&self) -> usize {
        self.timed + 2 * self.margin
    }
}

impl Effort {
    pub const QUICK: Effort = Effort { rounds: 5, exchanges: 5_000, messages: 100_000 };
    pub const FULL: Effort = Effort { rounds: 11, exchanges: 100_000, messages: 2_000_000 };

    /// Less work for the rounds to come, so that they end within `left` when one took `round` seconds: on a machine
    /// with other work, spinning peers wait for each other's turn.
    pub fn fit(&mut self, round: f64, left: f64) {
        let part = (left / round.max(0.1)).clamp(0.25, 1.0);
        self.exchanges = ((self.exchanges as f64 * part) as usize).max(1000);
        self.messages = ((self.messages as f64 * part) as usize).max(20_000);
    }

    /// Exchanges with a spinning peer; fewer of large messages.
    pub fn spinning(&self, size: usize) -> usize {
        if size > 4096 { self.exchanges / 50 } else { self.exchanges }
    }

    /// Exchanges in which both sides sleep, which take up to a hundred times as long.
    pub fn sleeping(&self) -> usize {
        self.exchanges / 10
    }

    /// The same for what takes `times` as long.
    pub fn fewer(&self, times: usize) -> Effort {
        Effort { exchanges: self.exchanges / times, messages: self.messages / times, ..*self }
    }

    /// Waits for the disk, one after the other.
    pub fn syncs(&self) -> Stream {
        let timed = self.exchanges / 100;
        Stream { margin: timed / 10, timed, part: (timed / 20).max(1) }
    }

    /// Messages of `size` bytes for a rate: larger ones proportionally fewer.
    pub fn stream(&self, size: usize) -> Stream {
        let timed = (self.messages * 256 / size.max(256)).max(200);
        let part = (timed / 20).min(5000 * 256 / size.max(256)).max(10);
        Stream { margin: (timed / 4).max(80), timed, part }
    }
}
