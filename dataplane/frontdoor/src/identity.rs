//! Call ids: UUIDs of version 4 (RFC 9562, section 5.4).

use rustix::rand::{getrandom, GetRandomFlags};

/// Makes call ids without asking the kernel for each. They tell calls apart and guard nothing.
pub struct CallIds {
    state: u64,
}

impl CallIds {
    /// Begins at a random place.
    pub fn new() -> Self {
        let mut seed = [0u8; 8];
        if getrandom(&mut seed, GetRandomFlags::empty()).is_err() {
            seed = crate::clock::unix_ns().to_ne_bytes();
        }
        Self {
            state: u64::from_ne_bytes(seed),
        }
    }

    /// The next number of splitmix64 (Steele, Lea and Flood, 2014).
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Appends a new id.
    pub fn push(&mut self, out: &mut Vec<u8>) {
        let random = u128::from(self.number()) << 64 | u128::from(self.number());
        let versioned = random & !(0xf << 76) | 4 << 76;
        let id = versioned & !(0b11 << 62) | 0b10 << 62;
        let mut text = [b'-'; 36];
        for (byte, at) in id.to_be_bytes().into_iter().zip(PLACES) {
            text[at..at + 2].copy_from_slice(&PAIRS[usize::from(byte)]);
        }
        out.extend_from_slice(&text);
    }
}

/// Where the two digits of each byte are written.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The two digits of every byte.
const PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_version_4_and_differ() {
        let mut ids = CallIds::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let mut id = Vec::new();
            ids.push(&mut id);
            assert_eq!(id.len(), 36);
            assert_eq!(
                (id[8], id[13], id[18], id[23], id[14]),
                (b'-', b'-', b'-', b'-', b'4')
            );
            assert!(b"89ab".contains(&id[19]));
            assert!(seen.insert(id));
        }
    }
}
