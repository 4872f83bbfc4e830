//! Deadlines of connections in a binary heap, each connection at most once.
//!
//! Moving a deadline back costs nothing: the entry stays where it is, fires early, and its owner arms it
//! again. So a busy connection, whose deadlines move with every request, hardly touches the heap.

/// Place of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

const NOT_ARMED: u32 = u32::MAX;

struct Owner {
    token: u64,
    position: u32,
}

/// The heap, earliest first.
#[derive(Default)]
pub struct Timers {
    heap: Vec<(u64, u32)>,
    owners: Vec<Owner>,
    free: Vec<u32>,
}

impl Timers {
    /// A slot for an owner, not armed.
    pub fn add(&mut self, token: u64) -> Slot {
        let owner = Owner {
            token,
            position: NOT_ARMED,
        };
        if let Some(slot) = self.free.pop() {
            self.owners[slot as usize] = owner;
            return Slot(slot);
        }
        self.owners.push(owner);
        Slot(u32::try_from(self.owners.len() - 1).unwrap_or(NOT_ARMED))
    }

    /// Gives a slot back.
    pub fn remove(&mut self, slot: Slot) {
        let position = self.owners[slot.0 as usize].position;
        if position != NOT_ARMED {
            self.take(position as usize);
        }
        self.free.push(slot.0);
    }

    /// Fires at `at_ns` or, if the slot is armed for an earlier time, then.
    pub fn arm(&mut self, slot: Slot, at_ns: u64) {
        let position = self.owners[slot.0 as usize].position;
        if position == NOT_ARMED {
            self.heap.push((at_ns, slot.0));
            self.rise(self.heap.len() - 1);
        } else if at_ns < self.heap[position as usize].0 {
            self.heap[position as usize].0 = at_ns;
            self.rise(position as usize);
        }
    }

    /// When the next one fires.
    pub fn next_ns(&self) -> Option<u64> {
        self.heap.first().map(|&(at_ns, _)| at_ns)
    }

    /// Takes one that is due and returns its owner.
    pub fn pop_due(&mut self, now_ns: u64) -> Option<u64> {
        let &(at_ns, slot) = self.heap.first()?;
        if at_ns > now_ns {
            return None;
        }
        self.take(0);
        Some(self.owners[slot as usize].token)
    }

    fn take(&mut self, position: usize) {
        let (_, slot) = self.heap.swap_remove(position);
        self.owners[slot as usize].position = NOT_ARMED;
        if position < self.heap.len() {
            self.note(position);
            self.sink(position);
            self.rise(position);
        }
    }

    fn note(&mut self, position: usize) {
        let slot = self.heap[position].1;
        self.owners[slot as usize].position = u32::try_from(position).unwrap_or(NOT_ARMED);
    }

    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].0 <= self.heap[position].0 {
                break;
            }
            self.heap.swap(parent, position);
            self.note(position);
            position = parent;
        }
        self.note(position);
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let left = 2 * position + 1;
            let Some(&(left_ns, _)) = self.heap.get(left) else {
                break;
            };
            let right_is_less = self
                .heap
                .get(left + 1)
                .is_some_and(|&(right_ns, _)| right_ns < left_ns);
            let child = left + usize::from(right_is_less);
            if self.heap[position].0 <= self.heap[child].0 {
                break;
            }
            self.heap.swap(position, child);
            self.note(position);
            position = child;
        }
        self.note(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moving_back_is_lazy_and_moving_forward_is_not() {
        let mut timers = Timers::default();
        let slot = timers.add(7);
        timers.arm(slot, 10);
        timers.arm(slot, 20);
        assert_eq!(timers.next_ns(), Some(10));
        timers.arm(slot, 5);
        assert_eq!(timers.next_ns(), Some(5));
        assert_eq!(
            (timers.pop_due(4), timers.pop_due(5), timers.pop_due(99)),
            (None, Some(7), None)
        );
    }

    proptest! {
        #[test]
        fn the_earliest_comes_first(steps in prop::collection::vec((0usize..12, 0u64..100, any::<bool>()), 1..200)) {
            let mut timers = Timers::default();
            let mut slots: Vec<_> = (0..12).map(|n| timers.add(n)).collect();
            let mut model = [None::<u64>; 12];
            for (which, at_ns, remove) in steps {
                if remove {
                    timers.remove(slots[which]);
                    slots[which] = timers.add(which as u64);
                    model[which] = None;
                } else {
                    timers.arm(slots[which], at_ns);
                    model[which] = Some(model[which].map_or(at_ns, |known| known.min(at_ns)));
                }
                prop_assert_eq!(timers.next_ns(), model.iter().flatten().min().copied());
            }
            let mut fired = Vec::new();
            while let Some(token) = timers.pop_due(u64::MAX) {
                fired.push(model[usize::try_from(token).expect("small")].expect("armed"));
            }
            let mut expected: Vec<_> = model.into_iter().flatten().collect();
            expected.sort_unstable();
            prop_assert_eq!(fired, expected);
        }
    }
}
