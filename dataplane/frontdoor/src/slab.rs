//! Values under numbers that are used again, with a generation that tells an old number from a new one.

/// Place of a value. A key of a removed value finds nothing, also when its place is taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// Generations wrap at this many: they share a word with the index and a kind.
const GENERATION_BITS: u32 = 28;

impl Key {
    /// Index and generation in the lower 60 bits.
    pub fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Reverses [`Self::pack`].
    pub fn unpack(word: u64) -> Self {
        let generation = (word >> 32) & ((1 << GENERATION_BITS) - 1);
        Self {
            index: u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0),
            generation: u32::try_from(generation).unwrap_or(0),
        }
    }
}

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// A vector with holes.
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value in whose making needs its key and may fail.
    pub fn try_insert_with<E>(&mut self, make: impl FnOnce(Key) -> Result<T, E>) -> Result<Key, E> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                generation: 0,
                value: None,
            });
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.entries[index as usize];
        let key = Key {
            index,
            generation: entry.generation,
        };
        match make(key) {
            Ok(value) => {
                entry.value = Some(value);
                Ok(key)
            }
            Err(error) => {
                self.free.push(index);
                Err(error)
            }
        }
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation == key.generation {
            entry.value.as_ref()
        } else {
            None
        }
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation {
            entry.value.as_mut()
        } else {
            None
        }
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = (entry.generation + 1) & ((1 << GENERATION_BITS) - 1);
        self.free.push(key.index);
        Some(value)
    }

    /// Keys of all values, at this moment.
    pub fn keys(&self) -> Vec<Key> {
        let taken = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.value.is_some());
        taken
            .map(|(index, entry)| Key {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                generation: entry.generation,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.try_insert_with(|_| Ok::<_, ()>('a')).expect("made");
        assert_eq!(slab.remove(first), Some('a'));
        assert_eq!(slab.try_insert_with(|_| Err("no")), Err("no"));
        let second = slab.try_insert_with(|_| Ok::<_, ()>('b')).expect("made");
        assert_eq!(
            (slab.get(first), slab.get(second), slab.len()),
            (None, Some(&'b'), 1)
        );
        assert_eq!(slab.remove(first), None);
        assert_eq!(Key::unpack(second.pack()), second);
        assert_eq!(slab.keys(), [second]);
    }
}
