//! How many connections are taken from a door at a time.
//!
//! The call that finds none costs as much as the one that takes one in. Clients who come one after the other are
//! therefore taken in one at a time, for the door says so again where more of them wait; a crowd is taken in bursts.

/// Connections taken from one door before others have their turn.
pub const BURST: usize = 16;

/// Single ones until it is looked whether there are more.
const SINGLES_MAX: u8 = 8;

/// What the last looks at a door found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crowd {
    crowded: bool,
    singles: u8,
}

impl Crowd {
    /// How many to try to take now.
    pub fn asked(&self) -> usize {
        match (self.crowded, self.singles) {
            (true, _) => BURST,
            (false, SINGLES_MAX..) => 2,
            (false, _) => 1,
        }
    }

    /// `taken` of those asked for were there.
    pub fn note(&mut self, taken: usize) {
        self.singles = if self.asked() == 1 {
            self.singles + 1
        } else {
            0
        };
        self.crowded = taken > 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_clients_cost_hardly_more_than_a_call_each() {
        let mut crowd = Crowd::default();
        let mut calls = 0;
        for _ in 0..90 {
            calls += crowd.asked();
            crowd.note(1);
        }
        assert_eq!(calls, 100);
    }

    #[test]
    fn a_crowd_is_noticed_and_forgotten() {
        let mut crowd = Crowd::default();
        let mut looks = 0;
        while crowd.asked() < BURST {
            crowd.note(crowd.asked());
            looks += 1;
        }
        assert!(looks <= 10);
        crowd.note(BURST);
        assert_eq!(crowd.asked(), BURST);
        crowd.note(1);
        assert_eq!(crowd.asked(), 1);
    }
}
