//! Which pages of a guest hold something, and copying them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use crate::error::{unfit, Part, Refusal};
use crate::format::{Fill, PAGE, PAGE_BYTES};
use crate::maps::Area;
use crate::remote::Remote;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// The page is the file's own (or a shared one), not a private copy.
const OF_FILE: u64 = 1 << 61;
/// Most bytes copied at once.
const CHUNK_BYTES: u64 = 1 << 20;
/// Entries of `pagemap` read at once.
const ENTRIES: usize = 8192;

/// The table of pages of a process.
#[derive(Debug)]
pub struct PageMap(File);

impl PageMap {
    /// Opens `/proc/PID/pagemap`.
    ///
    /// # Errors
    /// [`Refusal::Host`].
    pub fn open(pid: i32) -> Result<Self, Refusal> {
        let opened = File::open(format!("/proc/{pid}/pagemap"));
        opened.map(Self).part(|| "opening its page map")
    }

    /// Ranges (address, bytes) of an area whose pages are its own, in order.
    ///
    /// # Errors
    /// [`Refusal::Host`].
    pub fn own(&self, area: &Area) -> Result<Vec<(u64, u64)>, Refusal> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let mut at = area.start;
        let mut buffer = vec![0; ENTRIES * 8];
        while at < area.end {
            let pages = usize::try_from((area.end - at) / PAGE)
                .unwrap_or(ENTRIES)
                .min(ENTRIES);
            let bytes = &mut buffer[..pages * 8];
            self.0
                .read_exact_at(bytes, at / PAGE * 8)
                .part(|| "reading its page map")?;
            for entry in bytes.chunks_exact(8) {
                let entry = u64::from_ne_bytes(entry.try_into().unwrap_or_default());
                if is_own(entry) {
                    append(&mut ranges, at, PAGE);
                }
                at += PAGE;
            }
        }
        Ok(ranges)
    }
}

fn is_own(entry: u64) -> bool {
    entry & SWAPPED != 0 || (entry & PRESENT != 0 && entry & OF_FILE == 0)
}

fn append(ranges: &mut Vec<(u64, u64)>, at: u64, bytes: u64) {
    match ranges.last_mut() {
        Some((start, length)) if *start + *length == at => *length += bytes,
        _ => ranges.push((at, bytes)),
    }
}

/// Copies pages to a file that only grows, within a bound.
#[derive(Debug)]
pub struct Copier<'a> {
    to: &'a mut File,
    written: u64,
    most: u64,
}

impl<'a> Copier<'a> {
    /// Writes to `to`, at most `most` bytes.
    #[must_use]
    pub fn new(to: &'a mut File, most: u64) -> Self {
        Self {
            to,
            written: 0,
            most,
        }
    }

    /// Copies the ranges of one area; `sparse` leaves pages of zeros out.
    ///
    /// # Errors
    /// [`Refusal::Unfit`] when the bound is reached.
    pub fn copy(
        &mut self,
        remote: &Remote,
        ranges: &[(u64, u64)],
        sparse: bool,
    ) -> Result<Vec<Fill>, Refusal> {
        let mut fills: Vec<Fill> = Vec::new();
        let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).unwrap_or(0)];
        for (start, bytes) in ranges {
            let mut at = *start;
            while at < start + bytes {
                let length = (start + bytes - at).min(CHUNK_BYTES);
                let chunk = &mut buffer[..usize::try_from(length).unwrap_or(0)];
                remote.read(at, chunk)?;
                self.keep(chunk, at, sparse, &mut fills)?;
                at += length;
            }
        }
        Ok(fills)
    }

    fn keep(
        &mut self,
        chunk: &[u8],
        at: u64,
        sparse: bool,
        fills: &mut Vec<Fill>,
    ) -> Result<(), Refusal> {
        for (page, at) in chunk.chunks(PAGE_BYTES).zip((at..).step_by(PAGE_BYTES)) {
            if sparse && page.iter().all(|byte| *byte == 0) {
                continue;
            }
            if self.written + PAGE > self.most {
                return unfit(format!(
                    "it holds more than {} MiB of memory",
                    self.most >> 20
                ));
            }
            self.to.write_all(page).part(|| "writing the snapshot")?;
            match fills.last_mut() {
                Some(last) if last.at + last.bytes == at => last.bytes += PAGE,
                _ => fills.push(Fill {
                    at,
                    bytes: PAGE,
                    from: self.written,
                }),
            }
            self.written += PAGE;
        }
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_copies_and_swapped_pages_are_own() {
        assert!(is_own(PRESENT) && is_own(SWAPPED | OF_FILE));
        assert!(!is_own(0) && !is_own(PRESENT | OF_FILE));
    }

    #[test]
    fn neighbours_become_one_range() {
        let mut ranges = Vec::new();
        for at in [0x1000, 0x2000, 0x5000] {
            append(&mut ranges, at, PAGE);
        }
        assert_eq!(ranges, [(0x1000, 0x2000), (0x5000, 0x1000)]);
    }
}
