//! Writes heads and chunks straight into an output buffer.

/// What follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What ends a line.
pub(crate) const CRLF: &[u8] = b"\r\n";

/// Appends `name: value` and the line's end. The value must come from a parsed head or from the platform:
/// it is not looked at again.
#[inline]
pub fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(
        !value.contains(&b'\n'),
        "a value with a line end would be two headers"
    );
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// Appends `name`, which ends in a colon and a space, a number in decimal and the line's end.
#[inline(always)] // So that the name is written without a call.
pub fn push_number(out: &mut Vec<u8>, name: &str, number: u64) {
    out.extend_from_slice(name.as_bytes());
    end_with_number(out, number);
}

fn end_with_number(out: &mut Vec<u8>, number: u64) {
    let mut line = *b"000000000000000000000000\r\n";
    let digits = write_digits(&mut line, number);
    out.extend_from_slice(&line[DIGITS_MAX - digits..]);
}

/// Appends a number in decimal.
#[inline]
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_padded(out, number, 1);
}

/// Appends a number in decimal with at least `digits_min` digits, at most 24.
pub fn push_padded(out: &mut Vec<u8>, number: u64, digits_min: usize) {
    let mut digits = [b'0'; DIGITS_MAX];
    let count = write_digits(&mut digits, number).max(digits_min);
    out.extend_from_slice(&digits[DIGITS_MAX - count.min(DIGITS_MAX)..]);
}

/// Three groups of eight.
const DIGITS_MAX: usize = 24;

/// Appends a number of millionths as a number with six decimals.
pub fn push_millionths(out: &mut Vec<u8>, number: u64) {
    const POINT: usize = DIGITS_MAX - 6;
    let mut text = [b'0'; DIGITS_MAX + 1];
    let count = write_digits(&mut text, number).max(7);
    text.copy_within(POINT..DIGITS_MAX, POINT + 1);
    text[POINT] = b'.';
    out.extend_from_slice(&text[DIGITS_MAX - count..]);
}

/// Writes a number at the end of the first [`DIGITS_MAX`] bytes of `text`, which are zeroes, and says how many
/// digits it has.
#[inline]
fn write_digits(text: &mut [u8], number: u64) -> usize {
    // Eight digits for each division: times in nanoseconds have 19 and are in every head.
    const GROUP: u64 = 100_000_000;
    if number < GROUP {
        let digits = eight_digits(number);
        text[16..24].copy_from_slice(&(digits | ASCII_ZEROES).to_le_bytes());
        // The first digit is in the lowest lane.
        return 8 - (digits.trailing_zeros() as usize / 8).min(7);
    }
    let upper = number / GROUP;
    for (place, part) in [(16, number % GROUP), (8, upper % GROUP), (0, upper / GROUP)] {
        let digits = eight_digits(part) | ASCII_ZEROES;
        text[place..place + 8].copy_from_slice(&digits.to_le_bytes());
    }
    number.ilog10() as usize + 1
}

/// Made text of digits by `|`.
const ASCII_ZEROES: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below 100,000,000, the first in the lowest byte: the lanes of a word are split in
/// halves until there is a digit in each.
#[inline]
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    // Products with these reciprocals are exact below 10,000 and below 100.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

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
    fn millionths_have_six_decimals() {
        for (number, text) in [
            (0, "0.000000"),
            (1_165, "0.001165"),
            (12_000_000, "12.000000"),
            (123_456_789_012_345, "123456789.012345"),
        ] {
            let mut out = Vec::new();
            push_millionths(&mut out, number);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn numbers_are_written_like_the_formatter_does() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        let edges = powers.flat_map(|power| [power - 1, power, power + 1, power / 7 * 6]);
        for number in (0..20_000).chain(edges).chain([u64::MAX, 99_999_999]) {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
            out.clear();
            push_number(&mut out, "N: ", number);
            assert_eq!(out, format!("N: {number}\r\n").as_bytes());
        }
        for length in [1, 15, 16, 255, 256, 65_536, usize::MAX] {
            let mut out = Vec::new();
            push_chunk_head(&mut out, length);
            assert_eq!(out, format!("{length:x}\r\n").as_bytes());
        }
    }
}
