//! The lines of a head of the usual form: printable ASCII, each line ended by CR LF.
//!
//! Nearly all heads have it and are read this way, a block of bytes at a time. Whatever is unusual in a head,
//! a tab, a bare LF, a byte from 0x80, is found here and left to the slower ways of [`crate::HeadScan`] and
//! `httparse`, which decide what is allowed; `crate::fuzz_one` holds the two ways against each other.

use crate::emit::CRLF;
use crate::field::{is_token_byte, Field};
use crate::sys::{equal, unprintable, BLOCK_BYTES};
use crate::HEADERS_MAX;

/// Where the text of a line begins and ends.
pub(crate) type Span = (usize, usize);

/// Walks over the lines.
pub(crate) struct Lines<'b> {
    bytes: &'b [u8],
    /// Where the current line begins.
    start: usize,
    /// Where the current block begins.
    block: usize,
    /// Bytes of the block that are not printable and were not looked at.
    mask: u32,
}

impl<'b> Lines<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            start: 0,
            block: 0,
            mask: mask_at(bytes, 0).unwrap_or(0),
        }
    }

    /// The next line; `None`: it is not complete, or not of the usual form.
    #[inline]
    pub fn next(&mut self) -> Option<Span> {
        let end = self.unprintable()?;
        let ends = self.bytes.get(end..)?.first_chunk() == Some(b"\r\n");
        if !ends || self.unprintable()? != end + 1 {
            return None;
        }
        let line = (self.start, end);
        self.start = end + 2;
        Some(line)
    }

    #[inline]
    fn unprintable(&mut self) -> Option<usize> {
        while self.mask == 0 {
            self.block += BLOCK_BYTES;
            self.mask = mask_at(self.bytes, self.block)?;
        }
        let at = self.block + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

/// The bytes from `start` on that are not printable, as far as one block goes; `None`: there are no bytes.
#[inline]
fn mask_at(bytes: &[u8], start: usize) -> Option<u32> {
    let rest = bytes.get(start..)?;
    if let Some(block) = rest.first_chunk() {
        return Some(unprintable(block));
    }
    if rest.is_empty() {
        return None;
    }
    // The last bytes are looked at once more with those before them. Less than a block is no head.
    let block = bytes.last_chunk()?;
    Some(unprintable(block) >> (BLOCK_BYTES - rest.len()))
}

/// One header of a head, by where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub field: Field,
    /// Whether it reads `name: value`, so that it can go on with its line's end as it is.
    pub plain: bool,
    pub start: usize,
    pub colon: usize,
    /// The value, without the spaces around it.
    pub value: usize,
    pub end: usize,
}

impl Place {
    fn of(bytes: &[u8], (start, end): Span) -> Option<Self> {
        let colon = start + colon_in(bytes, start, end)?;
        let name = bytes.get(start..colon)?;
        let field = Field::of(name);
        if field == Field::Other && (name.is_empty() || !name.iter().all(|&b| is_token_byte(b))) {
            return None;
        }
        let (mut value, mut value_end) = (colon + 1, end);
        while value < value_end && bytes[value] == b' ' {
            value += 1;
        }
        while value < value_end && bytes[value_end - 1] == b' ' {
            value_end -= 1;
        }
        Some(Self {
            field,
            plain: value == colon + 2 && value_end == end,
            start,
            colon,
            value,
            end: value_end,
        })
    }
}

/// Where the colon of a line is: in the first block, for hardly a name is longer.
#[inline]
fn colon_in(bytes: &[u8], start: usize, end: usize) -> Option<usize> {
    let found = match bytes.get(start..)?.first_chunk() {
        Some(block) => equal(block, b':'),
        None => 0,
    };
    if found == 0 {
        return memchr::memchr(b':', bytes.get(start..end)?);
    }
    let at = found.trailing_zeros() as usize;
    (start + at < end).then_some(at)
}

/// Finds the headers of the head at the front of `bytes`. Returns its first line and its length; `None`: look more
/// closely.
pub(crate) fn take_apart<'b>(
    bytes: &'b [u8],
    places: &mut Vec<Place>,
) -> Option<(&'b [u8], usize)> {
    let mut lines = Lines::new(bytes);
    let (_, first) = lines.next()?;
    places.clear();
    loop {
        let (start, end) = lines.next()?;
        if start == end {
            return Some((bytes.get(..first)?, end + CRLF.len()));
        }
        if places.len() == HEADERS_MAX {
            return None;
        }
        places.push(Place::of(bytes, (start, end))?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
        take_apart(bytes, &mut Vec::new()).map(|(line, length)| (length, line.len()))
    }

    #[test]
    fn heads_of_the_usual_form_are_measured() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(measure(head), Some((head.len(), 14)));
        let long = [&head[..25], b"B: ", &[b'b'; 100], b"\r\n\r\nbody\0"].concat();
        assert_eq!(measure(&long), Some((long.len() - 5, 14)));
        for length in 0..head.len() {
            assert_eq!(measure(&head[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_unusual_is_left_to_others() {
        for head in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost:\ta\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: \x80\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        ] {
            assert_eq!(measure(head), None);
        }
        for line in [&b" a: b"[..], b"a b: c", b": c", b"abc", b"a\"b: c"] {
            let head = [b"GET / HTTP/1.1\r\n", line, b"\r\n\r\n"].concat();
            assert_eq!(measure(&head), None);
        }
    }

    #[test]
    fn headers_are_found_without_the_spaces_around_their_values() {
        let head =
            b"GET / HTTP/1.1\r\nHost: a b\r\nLonger-Than-One-Block:c \r\nEmpty: \r\nA:\r\n\r\n";
        let mut places = Vec::new();
        let whole = Some((&head[..14], head.len()));
        assert_eq!(take_apart(head, &mut places), whole);
        let found: Vec<_> = places
            .iter()
            .map(|p| (&head[p.start..p.colon], &head[p.value..p.end], p.plain))
            .collect();
        assert_eq!(
            found,
            [
                (&b"Host"[..], &b"a b"[..], true),
                (b"Longer-Than-One-Block", b"c", false),
                (b"Empty", b"", true),
                (b"A", b"", false),
            ]
        );
    }
}
