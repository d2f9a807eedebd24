//! Things by small numbers, for which JavaScript has only the numbers.

/// See the module.
pub struct Slab<T> {
    all: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Adds one; its number.
    pub fn add(&mut self, thing: T) -> usize {
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() - 1
        });
        self.all[number] = Some(thing);
        number
    }

    /// The one with this number.
    pub fn get(&mut self, number: usize) -> Option<&mut T> {
        self.all.get_mut(number).and_then(Option::as_mut)
    }

    /// Takes the one with this number out.
    pub fn remove(&mut self, number: usize) -> Option<T> {
        let removed = self.all.get_mut(number).and_then(Option::take)?;
        self.free.push(number);
        Some(removed)
    }
}
