//! Sixteen bytes looked at together. The only unsafe code of this crate.

/// Bytes looked at together.
pub const BLOCK_BYTES: usize = 16;

/// One bit for each byte that is no printable ASCII: below a space, or DEL and above.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn unprintable(block: &[u8; BLOCK_BYTES]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: SSE2 is part of x86-64, and the load has no alignment and reads the block's bytes only.
    let mask = unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        // Signed: bytes from 0x80 are below a space too.
        let low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        let del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        _mm_movemask_epi8(_mm_or_si128(low, del))
    };
    mask.unsigned_abs()
}

/// One bit for each byte that equals `wanted`.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn equal(block: &[u8; BLOCK_BYTES], wanted: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: as above.
    let mask = unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(
            bytes,
            _mm_set1_epi8(i8::from_ne_bytes([wanted])),
        ))
    };
    mask.unsigned_abs()
}

/// One bit for each byte that is no printable ASCII: below a space, or DEL and above.
#[cfg(not(target_arch = "x86_64"))]
pub fn unprintable(block: &[u8; BLOCK_BYTES]) -> u32 {
    mask(block, |byte| !(0x20..0x7f).contains(&byte))
}

/// One bit for each byte that equals `wanted`.
#[cfg(not(target_arch = "x86_64"))]
pub fn equal(block: &[u8; BLOCK_BYTES], wanted: u8) -> u32 {
    mask(block, |byte| byte == wanted)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn mask(block: &[u8; BLOCK_BYTES], is: impl Fn(u8) -> bool) -> u32 {
    (0..).zip(block).fold(0, |mask, (place, &byte)| {
        mask | (u32::from(is(byte)) << place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_in_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..BLOCK_BYTES {
                let mut block = [b'a'; BLOCK_BYTES];
                block[place] = byte;
                let odd = |byte| !(0x20..0x7f).contains(&byte);
                assert_eq!(unprintable(&block), mask(&block, odd), "{byte}");
                assert_eq!(equal(&block, byte), mask(&block, |b| b == byte), "{byte}");
            }
        }
    }
}
