//! Connects to a sandbox's own listeners whose backlog is full: one line per listener, and only the
//! first of a line tries, ever more rarely while there is no room.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::rooms::WAITING_MAX;

/// First and longest distance between two tries at one listener.
const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(100);
/// Connects of one line that may be made at once, so that others get their turn.
pub(crate) const AT_ONCE: usize = 16;

/// A listener: its sandbox and its address.
pub(crate) type Key = (u64, SocketAddr);

struct Line {
    waiting: VecDeque<u64>,
    distance: Duration,
    at: Instant,
}

/// All lines.
#[derive(Default)]
pub(crate) struct Lines {
    by_listener: HashMap<Key, Line>,
}

impl Lines {
    /// Goes to the end of a line; `stays` tells who of the others still waits.
    pub fn join(&mut self, key: Key, id: u64, now: Instant, stays: impl Fn(u64) -> bool) {
        let line = self.by_listener.entry(key).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            distance: FIRST,
            at: now + FIRST,
        });
        if line.waiting.len() >= 2 * WAITING_MAX {
            line.waiting.retain(|id| stays(*id));
        }
        line.waiting.push_back(id);
    }

    /// When the next try is due.
    pub fn next_try(&self) -> Option<Instant> {
        self.by_listener.values().map(|line| line.at).min()
    }

    /// Lines whose next try is due.
    pub fn due(&self, now: Instant) -> Vec<Key> {
        let due = self.by_listener.iter().filter(|(_, line)| line.at <= now);
        due.map(|(key, _)| *key).collect()
    }

    /// Who is first in a line; an empty line is gone.
    pub fn first(&mut self, key: Key) -> Option<u64> {
        let first = self.by_listener.get(&key)?.waiting.front().copied();
        if first.is_none() {
            self.by_listener.remove(&key);
        }
        first
    }

    /// The first of a line leaves it; `connected`: there was room.
    pub fn leave(&mut self, key: Key, connected: bool) {
        if let Some(line) = self.by_listener.get_mut(&key) {
            line.waiting.pop_front();
            if connected {
                line.distance = FIRST;
            }
        }
    }

    /// There was no room: the line tries again later.
    pub fn put_off(&mut self, key: Key, now: Instant) {
        if let Some(line) = self.by_listener.get_mut(&key) {
            line.at = now + line.distance;
            line.distance = (line.distance * 2).min(LONGEST);
        }
    }

    /// Forgets the lines of a sandbox.
    pub fn forget(&mut self, owner: u64) {
        self.by_listener.retain(|key, _| key.0 != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_tries_and_ever_more_rarely() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let key = (1, SocketAddr::from(([127, 0, 0, 1], 80)));
        for id in 1..=3 {
            lines.join(key, id, start, |_| true);
        }
        let (mut now, mut tries) = (start, 0);
        while now < start + Duration::from_secs(1) {
            now += Duration::from_millis(1);
            for key in lines.due(now) {
                assert_eq!(lines.first(key), Some(1));
                lines.put_off(key, now);
                tries += 1;
            }
        }
        assert!((8..=16).contains(&tries), "{tries}");
        lines.leave(key, true);
        assert_eq!(lines.first(key), Some(2));
        lines.put_off(key, now);
        assert_eq!(lines.next_try(), Some(now + FIRST));
        lines.leave(key, false);
        lines.leave(key, false);
        assert_eq!((lines.first(key), lines.next_try()), (None, None));
    }

    #[test]
    fn a_line_holds_no_memory_of_those_that_left() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let key = (1, SocketAddr::from(([127, 0, 0, 1], 80)));
        for id in 0..10_000 {
            lines.join(key, id, now, |id| id == 0);
        }
        assert!(lines.by_listener[&key].waiting.len() <= 2 * WAITING_MAX);
        lines.forget(1);
        assert!(lines.by_listener.is_empty());
    }
}
