//! Who is cut off when all buffers together hold more than they may.
//!
//! Without this, peers that take their answers a byte at a time would hold the memory, and so keep the doors
//! closed, for as long as they like. Guests go first: they must never close the door for clients.

use crate::clock::monotonic_ns;
use crate::config::ns;
use crate::down::{Down, Phase};
use crate::reply;
use crate::slab::Key;
use crate::worker::Worker;

/// Bytes that a connection moves before it counts as quick again.
const WINDOW_BYTES: usize = 16 << 10;

/// Connections with less memory are not worth a look.
const HELD_BYTES_MIN: usize = 32 << 10;

/// Time between two looks at all connections.
const AGAIN_NS: u64 = 20_000_000;

/// How quickly bytes come and go on one connection.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    since_ns: u64,
    moved: usize,
}

impl Pace {
    pub fn new(now_ns: u64) -> Self {
        Self {
            since_ns: now_ns,
            moved: 0,
        }
    }

    /// Notes bytes that were moved.
    pub fn note(&mut self, moved: usize, now_ns: u64) {
        self.moved += moved;
        if self.moved >= WINDOW_BYTES {
            *self = Self::new(now_ns);
        }
    }
}

impl Worker {
    /// Makes room while buffers hold too much: gives back what holds nothing, then ends the slowest requests,
    /// guests' at once, clients' where they are slower than any line.
    pub fn shed(&mut self) {
        if !self.io.pool.is_exhausted() || self.io.now_ns < self.shed_again_ns {
            return;
        }
        self.shed_again_ns = self.io.now_ns + AGAIN_NS;
        self.trim();
        let slow_ns = ns(self.shared.timeouts.slow);
        let mut slow: Vec<(bool, u64, Key)> = Vec::new();
        for key in self.downs.keys() {
            let Some(down) = self.downs.get(key) else {
                continue;
            };
            let since_ns = down.pace.since_ns;
            let is_slow = down.guest.is_some() || since_ns + slow_ns <= self.io.now_ns;
            if is_slow && self.held_by(down) >= HELD_BYTES_MIN {
                slow.push((down.guest.is_none(), since_ns, key));
            }
        }
        slow.sort_unstable_by_key(|&(client, since_ns, _)| (client, since_ns));
        let mut count = 0;
        for (_, _, key) in slow {
            if !self.io.pool.is_scarce() {
                break;
            }
            self.turn_away(key);
            count += 1;
        }
        if count > 0 {
            log::warn!("memory for buffers is used up: {count} slow connections were cut off");
        }
    }

    /// Leaves every connection only the memory that its bytes need: who waits for an answer holds next to
    /// nothing then, and is not taken for one who leaves it unread.
    fn trim(&mut self) {
        for key in self.downs.keys() {
            if let Some(down) = self.downs.get_mut(key) {
                down.conn.trim(&mut self.io);
                down.exchange.request.trim(&mut self.io.pool);
            }
        }
        for key in self.ups.keys() {
            let Some(up) = self.ups.get_mut(key) else {
                continue;
            };
            if up.conn.unsent.is_empty() && up.conn.unsent.held() >= HELD_BYTES_MIN / 2 {
                // A second try is a courtesy.
                up.stop_replay();
            }
            up.conn.trim(&mut self.io);
        }
    }

    /// Ends one of the slowest: with an answer where none was begun, for it may be its function that is slow.
    fn turn_away(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let unanswered = match down.phase {
            Phase::Head => down.conn.unsent.is_empty(),
            Phase::Waiting | Phase::Active => down.exchange.status.is_none(),
            _ => false,
        };
        if unanswered {
            self.refuse_for_memory(key);
            self.drive(key);
        } else {
            self.client_gone(key);
        }
    }

    /// Answers 503 to a request for which there is no memory, and drops what came of it.
    pub fn refuse_for_memory(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.phase == Phase::Head {
            down.exchange.reset();
        }
        down.conn.received.clear();
        down.conn.received.release(&mut self.io.pool);
        self.answer_and_close(key, &reply::no_memory());
    }

    /// When to look again.
    pub fn shed_again_ns(&self) -> Option<u64> {
        let exhausted = self.io.pool.is_exhausted();
        exhausted.then(|| self.shed_again_ns.max(monotonic_ns()))
    }

    /// Memory of a connection, of its request and of the connection it works with.
    fn held_by(&self, down: &Down) -> usize {
        let up = down.exchange.up.and_then(|up| self.ups.get(up));
        let request = down.exchange.request.memory();
        down.conn.held() + request + up.map_or(0, |up| up.conn.held())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_not_quick() {
        let mut pace = Pace::new(1);
        for now_ns in 2..1000 {
            pace.note(1, now_ns);
        }
        assert_eq!(pace.since_ns, 1);
        pace.note(WINDOW_BYTES, 1000);
        assert_eq!(pace.since_ns, 1000);
    }
}
