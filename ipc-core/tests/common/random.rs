//! Numbers for tests that damage memory: small, and the same everywhere.

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A word somebody could take for a number that matters.
    pub fn word(&mut self, old: u64) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => old.wrapping_add(self.below(5)).wrapping_sub(2),
            4 => old ^ (1 << self.below(64)),
            5 => self.below(100_000) & !63,
            6 => self.next() & 0x0000_ffff_0000_ffff,
            _ => self.next(),
        }
    }
}
