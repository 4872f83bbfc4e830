//! Writes heads and chunks straight into an output buffer.

use httparse::Header;

use crate::field::Field;

/// What follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends `name: value` and the line's end. The value must come from a parsed head or from the platform:
/// it is not looked at again.
pub fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(
        !value.contains(&b'\n'),
        "a value with a line end would be two headers"
    );
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the headers that `keep` wants.
pub fn copy_fields<'s, 'b: 's>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = (Field, &'s Header<'b>)>,
    mut keep: impl FnMut(Field) -> bool,
) {
    for (field, header) in fields {
        if keep(field) {
            push_field(out, header.name, header.value);
        }
    }
}

/// Appends a number in decimal.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_padded(out, number, 1);
}

/// Appends a number in decimal with at least `digits_min` digits, at most 20.
pub fn push_padded(out: &mut Vec<u8>, mut number: u64, digits_min: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    // Two digits for each division: times in nanoseconds have 19 and are in every head.
    while number >= 10 {
        let pair = usize::try_from(number % 100).unwrap_or(0) * 2;
        number /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if number > 0 || at == digits.len() {
        at -= 1;
        digits[at] = PAIRS[usize::try_from(number).unwrap_or(0) * 2 + 1];
    }
    out.extend_from_slice(&digits[at.min(digits.len() - digits_min.min(20))..]);
}

/// "00" to "99".
const PAIRS: [u8; 200] = {
    let mut pairs = [b'0'; 200];
    let mut value = 0u8;
    while value < 100 {
        pairs[value as usize * 2] += value / 10;
        pairs[value as usize * 2 + 1] += value % 10;
        value += 1;
    }
    pairs
};

/// Appends the line before the data of a chunk of `length` bytes, which is not 0.
pub fn push_chunk_head(out: &mut Vec<u8>, length: usize) {
    debug_assert!(length > 0, "a chunk of no bytes would end the body");
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[length >> (place * 4) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_padded() {
        for (number, text) in [(0, "000000"), (42, "000042"), (1_234_567, "1234567")] {
            let mut out = Vec::new();
            push_padded(&mut out, number, 6);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn numbers_are_written_like_the_formatter_does() {
        for number in [0, 7, 10, 99, 100, 101, 999, 1_000, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
        for length in [1, 15, 16, 255, 256, 65_536, usize::MAX] {
            let mut out = Vec::new();
            push_chunk_head(&mut out, length);
            assert_eq!(out, format!("{length:x}\r\n").as_bytes());
        }
    }
}
