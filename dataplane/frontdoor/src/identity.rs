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
        let [a, b, c, d] =
            [96, 64, 32, 0].map(|shift| hex(u32::try_from(id >> shift & MASK).unwrap_or(0)));
        let mut text = [b'-'; 36];
        text[..8].copy_from_slice(&a);
        text[9..13].copy_from_slice(&b[..4]);
        text[14..18].copy_from_slice(&b[4..]);
        text[19..23].copy_from_slice(&c[..4]);
        text[24..28].copy_from_slice(&c[4..]);
        text[28..].copy_from_slice(&d);
        out.extend_from_slice(&text);
    }
}

const MASK: u128 = 0xffff_ffff;

/// The eight hexadecimal digits of a word: its parts are spread until each has a byte of its own.
fn hex(word: u32) -> [u8; 8] {
    let word = u64::from(word);
    let fours = (word | (word << 16)) & 0x0000_ffff_0000_ffff;
    let twos = (fours | (fours << 8)) & 0x00ff_00ff_00ff_00ff;
    let digits = (twos | (twos << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // One in each byte that is above nine: the letters begin 39 places after the digits' end.
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * 39).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_like_the_formatter_does() {
        for word in [0, 0x0123_4567, 0x89ab_cdef, 0x9a0f_f0a9, u32::MAX] {
            assert_eq!(hex(word), format!("{word:08x}").as_bytes());
        }
    }

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
