//! Lines of a process on our standard error, each with a time stamp as of-watchdog's `prefix_logs` has it.

use std::io::{self, Write};

use crate::calendar::log_stamp_now;

/// A longer line is written in pieces; the watchdog would stop copying.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// One stream of one process.
#[derive(Debug)]
pub struct LineLog {
    prefix: bool,
    pending: Vec<u8>,
}

impl LineLog {
    /// A log with nothing pending.
    #[must_use]
    pub fn new(prefix: bool) -> Self {
        Self {
            prefix,
            pending: Vec::new(),
        }
    }

    /// Takes output and writes complete lines.
    pub fn push(&mut self, output: &[u8]) {
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() >= LINE_BYTES_MAX {
                self.finish();
            }
        }
    }

    /// Writes what is pending as a line.
    pub fn finish(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.pending.last() != Some(&b'\n') {
            self.pending.push(b'\n');
        }
        let stamp = if self.prefix {
            format!("{} stderr: ", log_stamp_now())
        } else {
            String::new()
        };
        let mut line = stamp.into_bytes();
        line.append(&mut self.pending);
        // One write, so that lines of concurrent requests do not mix. Nobody to tell if it fails.
        let _ = io::stderr().write_all(&line);
    }
}

/// Writes one line of our own, as Go's `log` package does.
pub fn say(text: &str) {
    let line = format!("{} {text}\n", log_stamp_now());
    let _ = io::stderr().write_all(line.as_bytes());
}
