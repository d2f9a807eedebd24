//! A fuzzer's bytes as damage done to a file.

/// The bytes of one input, taken from the front; zeros once they are used up.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Input<'a> {
        Input(data)
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> u64 {
        let mut word = [0; 8];
        let taken = self.take(bytes);
        word[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(word)
    }

    /// Damages a file's content as the next byte says and the rest tells. Its low bits:
    ///
    /// - 0: words are overwritten, each given by its place (2 bytes, counted in words) and its value (8 bytes);
    /// - 1: the same, but the values are added to what is there;
    /// - 2: a stretch is overwritten, from a place (2 bytes, counted in words) to the end of the input;
    /// - 3: the whole content is the input; with bit 2 behind a header whose size is right.
    pub fn damage(&mut self, content: &mut Vec<u8>) {
        let mode = self.byte();
        match mode & 3 {
            2 => {
                let at = self.place(content) * 8;
                let rest = self.rest();
                let length = rest.len().min(content.len() - at);
                content[at..at + length].copy_from_slice(&rest[..length]);
            }
            3 => self.replace(content, mode & 4 != 0),
            mode => {
                while !self.is_empty() {
                    let at = self.place(content) * 8;
                    let mut value = self.number(8);
                    let old = &mut content[at..at + 8];
                    if mode == 1 {
                        let word = u64::from_le_bytes(std::array::from_fn(|i| old[i]));
                        value = value.wrapping_add(word);
                    }
                    old.copy_from_slice(&value.to_le_bytes());
                }
            }
        }
    }

    /// A place in words, always within the content.
    fn place(&mut self, content: &[u8]) -> usize {
        self.number(2) as usize % (content.len() / 8).max(1)
    }

    fn replace(&mut self, content: &mut Vec<u8>, headed: bool) {
        const HEADER: usize = 64;
        const SIZE: usize = 16;
        let rest = self.rest();
        if headed {
            content.truncate(HEADER);
            content.extend(rest);
            let size = content.len() as u64;
            content[SIZE..SIZE + 8].copy_from_slice(&size.to_le_bytes());
        } else {
            content.clear();
            content.extend(rest);
        }
    }
}
