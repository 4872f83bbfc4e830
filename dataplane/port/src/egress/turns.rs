//! How the egress thread divides its time: in one round each sandbox gets a slice at most, so that
//! nobody waits longer than the slices of the others. A sandbox that is alone loses nothing.

use std::collections::HashMap;
use std::time::Duration;

/// Time of one sandbox in one round; a piece of work begun within it is ended.
const SLICE: Duration = Duration::from_millis(1);

/// What each sandbox took of this round.
#[derive(Default)]
pub(crate) struct Turns {
    taken: HashMap<u64, Duration>,
}

impl Turns {
    /// Begins a round.
    pub fn begin(&mut self) {
        self.taken.clear();
    }

    /// Whether a sandbox may begin something in this round.
    pub fn has(&self, owner: u64) -> bool {
        self.taken.get(&owner).is_none_or(|taken| *taken < SLICE)
    }

    /// Notes what something took.
    pub fn charge(&mut self, owner: u64, took: Duration) {
        *self.taken.entry(owner).or_default() += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_used_up_until_the_next_round() {
        let mut turns = Turns::default();
        assert!(turns.has(1));
        turns.charge(1, SLICE / 2);
        assert!(turns.has(1));
        turns.charge(1, SLICE);
        assert!(!turns.has(1) && turns.has(2));
        turns.begin();
        assert!(turns.has(1));
    }
}
