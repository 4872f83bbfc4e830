//! Who is cut off when all buffers together hold more than they may.
//!
//! Without this, peers that take their answers a byte at a time would hold the memory, and so keep the doors
//! closed, for as long as they like. Guests go first: they must never close the door for clients.

use crate::clock::monotonic_ns;
use crate::config::ns;
use crate::down::Down;
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
    /// Cuts off the slowest connections while buffers hold too much: guests' at once, clients' where they are
    /// slower than any line.
    pub fn shed(&mut self) {
        if !self.io.pool.is_exhausted() || self.io.now_ns < self.shed_again_ns {
            return;
        }
        self.shed_again_ns = self.io.now_ns + AGAIN_NS;
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
            self.client_gone(key);
            count += 1;
        }
        if count > 0 {
            log::warn!("memory for buffers is used up: {count} slow connections were cut off");
        }
    }

    /// When to look again.
    pub fn shed_again_ns(&self) -> Option<u64> {
        let at_ns = self.shed_again_ns.max(monotonic_ns());
        self.io.pool.is_exhausted().then_some(at_ns)
    }

    /// Memory of a connection and of the one it works with.
    fn held_by(&self, down: &Down) -> usize {
        let up = down.exchange.up.and_then(|up| self.ups.get(up));
        down.conn.held() + up.map_or(0, |up| up.conn.held())
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
