//! One entry for fuzzers: a script of what a hostile guest writes and what the host does meanwhile.

use crate::abi::{self, Control, Doorbell, Slot};
use crate::side::{Side, Violation};
use crate::sync::{Bytes, Ordering::Relaxed};

/// Short, so that a script wraps and fills it; the code is the same for every length.
const RING: usize = 64;
/// Around what the host takes, to see that nothing else is written.
const CANARY: u8 = 0xa5;
/// Steps of one script: the rest of the input is left out.
const STEPS_MAX: usize = 2_000;

struct Stage {
    slots: Box<[Slot<RING>; 2]>,
    waiters: [Doorbell; 2],
    side: Side,
}

/// Plays `input` as a script: each step is a byte that says what, and two that say how much. Half of the
/// steps are the guest's: it writes any word of its slot, the host's own words included.
///
/// # Panics
/// When an invariant does not hold: a length beyond the ring, a byte written outside of a buffer or of
/// the slot, or a dead connection that goes on.
pub fn fuzz_one(input: &[u8]) {
    let (start, script) = input.split_at(input.len().min(4));
    let start = start
        .iter()
        .fold(0, |word, byte| word << 8 | u32::from(*byte));
    let slots = Box::new([slot(), slot()]);
    let side = Side::open(&slots[0], 5, 1, 0, start);
    let mut stage = Stage {
        slots,
        waiters: [Doorbell::default(), Doorbell::default()],
        side,
    };
    let mut dead = None;
    for step in script.chunks_exact(3).take(STEPS_MAX) {
        let amount = u16::from_le_bytes([step[1], step[2]]);
        if step[0] & 1 == 0 {
            stage.guest_writes(step[0] >> 1, amount);
        } else {
            let done = stage.host_works(step[0] >> 1, usize::from(amount));
            assert!(
                dead.is_none() || dead == done.err(),
                "a dead connection went on"
            );
            dead = done.err();
        }
    }
    assert_eq!(dead, stage.side.violation());
    stage.neighbour_is_untouched();
}

fn slot() -> Slot<RING> {
    Slot {
        control: Control::default(),
        to_guest: Bytes::zeroed(),
        to_host: Bytes::zeroed(),
    }
}

impl Stage {
    fn guest_writes(&self, which: u8, amount: u16) {
        let (host, guest) = (&self.slots[0].control.host, &self.slots[0].control.guest);
        let waiter = &self.waiters[usize::from(which >> 4) & 1];
        let words = [
            &guest.to_host_head,
            &guest.to_guest_tail,
            &guest.guest_state,
            &guest.guest_wants_space,
            &guest.waiter,
            &waiter.need_wake,
            &host.to_guest_head,
            &host.to_host_tail,
            &host.host_state,
            &host.generation,
        ];
        let word = words[usize::from(which & 15) % words.len()];
        // Near the old value half of the time: what is nearly right goes further.
        let value = match which >> 5 {
            0 => u32::from(amount),
            1 => word.load(Relaxed).wrapping_add(u32::from(amount & 127)),
            2 => word.load(Relaxed).wrapping_sub(u32::from(amount & 127)),
            _ => u32::from(amount) << 16 | u32::from(amount),
        };
        word.store(value, Relaxed);
        waiter.dirty.store(u64::from(value), Relaxed);
    }

    fn host_works(&mut self, which: u8, amount: usize) -> Result<(), Violation> {
        let slot = &self.slots[0];
        let mut buffer = [CANARY; 3 * RING];
        // SAFETY: RING bytes follow the middle's start; `len` below is at most RING.
        let middle = unsafe { buffer.as_mut_ptr().add(RING) };
        let mut taken = 0;
        match which % 9 {
            0 => assert!(self.side.publish(slot, &[&[1; 256][..amount % 257]])? <= RING),
            1 => {
                let len = amount % (RING + 1);
                // SAFETY: writable for RING bytes.
                taken = unsafe { self.side.take(slot, middle, len) }?;
                assert!(taken <= len);
            }
            // SAFETY: writable for RING bytes.
            2 => taken = unsafe { self.side.take_back(slot, middle) }?,
            3 => assert!(self.side.free(slot)? <= RING),
            4 => assert!(self.side.readable(slot)? <= RING),
            5 => drop(self.side.guest(slot)?),
            6 => drop(self.side.wants_space(slot)?),
            7 => self.side.set_state(slot, abi::HOST_ENDED),
            _ => drop(self.side.notice(slot, &self.waiters)?),
        }
        assert!(taken <= RING);
        let outside = buffer[..RING].iter().chain(&buffer[RING + taken..]);
        assert!(
            outside.copied().all(|byte| byte == CANARY),
            "written beyond what was taken"
        );
        self.side.violation().map_or(Ok(()), Err)
    }

    fn neighbour_is_untouched(&self) {
        let mut bytes = [CANARY; RING];
        let neighbour = &self.slots[1];
        // SAFETY: both rings and the buffer are RING bytes long.
        unsafe { neighbour.to_guest.read(0, bytes.as_mut_ptr(), RING) };
        assert_eq!(bytes, [0; RING]);
        let host = &neighbour.control.host;
        assert_eq!(
            [&host.to_guest_head, &host.host_state].map(|word| word.load(Relaxed)),
            [0, 0]
        );
    }
}
