//! A quick hash for tables whose keys only the platform chooses: numbers that it gives out, and names of
//! functions that an operator deployed. Clients and guests look keys up and never put one in, so they cannot
//! make them collide.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map with such keys.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// An odd number without a pattern: the golden ratio in 64 bits (Knuth, volume 3, section 6.4).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Multiplies and folds, eight bytes at a time.
#[derive(Default)]
pub struct Quick(u64);

impl Quick {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        // The upper half holds what the lower bits of the word did to it, and the table uses both ends.
        let (low, high) = (product & u128::from(u64::MAX), product >> 64);
        self.0 = u64::try_from(low ^ high).unwrap_or(0);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let rest = words.remainder().iter();
        let last = rest.fold(0, |word, &byte| (word << 8) | u64::from(byte));
        // The length tells a short word from one that begins with zeroes.
        self.add(last ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn neighbours_do_not_collide() {
        let build = BuildHasherDefault::<Quick>::default();
        let numbers: HashSet<u64> = (0..10_000_u64).map(|n| build.hash_one(n) >> 57).collect();
        assert_eq!(numbers.len(), 128, "the bits that tell entries apart vary");
        let names = (0..10_000).map(|n| build.hash_one(format!("function-{n}.openfaas-fn")));
        assert_eq!(names.collect::<HashSet<u64>>().len(), 10_000);
        assert_ne!(build.hash_one("a"), build.hash_one("a\0"));
    }
}
