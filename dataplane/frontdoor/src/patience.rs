//! Whether a worker looks for more requests before it tells guests of those it has.
//!
//! Where worker and function share a core, telling a sleeping guest gives it the core at once: it answers what lies in
//! its rings, goes to sleep again, and the worker goes on. Two switches and a write, whether that was one request or
//! eight. Under load it is therefore worth a look at the kernel to hand over more at once; with one request at a time
//! that look would only make it wait, and where a guest runs on another core it would keep that core idle.

/// Looks of one round after its first.
const LOOKS_MAX: u32 = 8;

/// No further look this long after a round began: what it has may wait, but not for everybody else.
const ELAPSED_NS_MAX: u64 = 100_000;

/// A core counts as shared while hand-overs succeeded about as often as not, lately.
const SHARED_MIN: u8 = 8;
const SHARED_MAX: u8 = 16;

/// A round so far.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Events that its last look found.
    pub events: usize,
    /// Publications of which guests are to be told.
    pub published: usize,
    /// Looks after the first.
    pub looks: u32,
    /// From its first look to its last, in nanoseconds.
    pub elapsed_ns: u64,
}

/// What the last rounds were like.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Rises with every hand-over that took the core, falls with every one that did not.
    shared: u8,
    /// Publications of which the last hand-over told.
    told: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            shared: SHARED_MIN,
            told: 0,
        }
    }
}

impl Patience {
    /// Whether to look once more before guests are told.
    pub fn looks_again(&self, round: &Round) -> bool {
        let loaded = round.published.max(self.told) > 1;
        loaded
            && round.published > 0
            && round.events > 0
            && self.shared >= SHARED_MIN
            && round.looks < LOOKS_MAX
            && round.elapsed_ns < ELAPSED_NS_MAX
    }

    /// Guests were told of `told` publications and `woken` of them had to be woken; `answered`: something of
    /// theirs was there when the worker went on.
    pub fn note(&mut self, told: usize, woken: usize, answered: bool) {
        self.told = told;
        // Guests that are awake say nothing about where they run.
        if woken > 0 {
            self.shared = if answered {
                (self.shared + 1).min(SHARED_MAX)
            } else {
                self.shared.saturating_sub(1)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round() -> Round {
        Round {
            events: 1,
            published: 1,
            looks: 0,
            elapsed_ns: 0,
        }
    }

    fn loaded() -> Patience {
        let mut patience = Patience::default();
        patience.note(4, 1, true);
        patience
    }

    #[test]
    fn one_request_at_a_time_is_handed_over_at_once() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            assert!(!patience.looks_again(&round()));
            patience.note(1, 1, true);
        }
    }

    #[test]
    fn under_load_it_looks_until_nothing_is_there() {
        assert!(loaded().looks_again(&round()));
        let several = Round {
            events: 3,
            published: 3,
            ..round()
        };
        assert!(Patience::default().looks_again(&several));
        let empty = Round {
            events: 0,
            ..several
        };
        assert!(!loaded().looks_again(&empty));
        let nobody = Round {
            published: 0,
            ..several
        };
        assert!(!loaded().looks_again(&nobody));
    }

    #[test]
    fn a_round_comes_to_its_end() {
        let late = Round {
            elapsed_ns: ELAPSED_NS_MAX,
            ..round()
        };
        assert!(!loaded().looks_again(&late));
        let often = Round {
            looks: LOOKS_MAX,
            ..round()
        };
        assert!(!loaded().looks_again(&often));
    }

    #[test]
    fn guests_on_other_cores_are_told_at_once() {
        let mut patience = loaded();
        for _ in 0..SHARED_MAX {
            patience.note(4, 1, false);
        }
        assert!(!patience.looks_again(&round()));
        // They are awake: that says nothing.
        patience.note(4, 0, true);
        assert!(!patience.looks_again(&round()));
        for _ in 0..SHARED_MAX {
            patience.note(4, 1, true);
        }
        assert!(patience.looks_again(&round()));
    }
}
