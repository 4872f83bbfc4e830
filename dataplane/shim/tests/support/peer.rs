//! The client's side of a scenario, the same over a plain socket and over the player.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::player::Line;

const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to a program. Each reply that was taken is part of the transcript.
pub struct Peer {
    line: Arc<Line>,
}

impl Peer {
    pub fn new(line: Arc<Line>) -> Self {
        Self { line }
    }

    pub fn line(&self) -> &Line {
        &self.line
    }

    pub fn send(&self, bytes: &[u8]) {
        self.line.send(bytes);
    }

    /// Waits for exactly so many bytes.
    pub fn take(&self, len: usize) -> Vec<u8> {
        let begun = Instant::now();
        let mut got = Vec::new();
        while got.len() < len {
            let (bytes, end) = self.line.take(len - got.len());
            got.extend(bytes);
            if got.len() < len {
                assert!(
                    end.is_none(),
                    "ended ({end:?}) after {} of {len} bytes",
                    got.len()
                );
                assert!(
                    begun.elapsed() < PATIENCE,
                    "only {} of {len} bytes came",
                    got.len()
                );
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        got
    }

    /// Everything until the end, and how it ended.
    pub fn rest(&self) -> (Vec<u8>, String) {
        let begun = Instant::now();
        let mut got = Vec::new();
        loop {
            let (bytes, end) = self.line.take(usize::MAX);
            got.extend(bytes);
            if let Some(end) = end {
                return (got, end);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no end after {} bytes",
                got.len()
            );
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Two exchanges, after which the program's connection is on a ring if it can be.
    pub fn warm_up(&self) {
        for _ in 0..3 {
            self.send(b"ping");
            assert_eq!(self.take(4), b"pong");
        }
    }

    pub fn wait_until_sent(&self) {
        let begun = Instant::now();
        while !self.line.has_sent_all() {
            assert!(begun.elapsed() < PATIENCE, "the program does not read");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}
