//! A guest that writes whatever it likes over its slab while the host works on it: the host neither
//! panics nor loops, every violation ends one connection, and another sandbox's slab notices nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use jd_ring::abi::{Slot, BELLS_AT, SLAB_BYTES, SLOTS, SLOTS_AT, SLOT_BYTES, WAITERS, WAITERS_AT};
use jd_ring::host::{HostEnd, RingError, Slab, Violation};
use rustix::mm::{mmap, MapFlags, ProtFlags};

/// Numbers that look random, the same in each run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() >> 33).unwrap() % bound
    }
}

/// The words of a slab as a hostile guest maps them.
fn words(slab: &Slab) -> &'static [AtomicU32] {
    // SAFETY: a fresh shared mapping of the slab's sealed length, never unmapped.
    unsafe {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let base = mmap(
            std::ptr::null_mut(),
            SLAB_BYTES,
            protection,
            MapFlags::SHARED,
            slab.memfd(),
            0,
        );
        std::slice::from_raw_parts(base.unwrap().cast::<AtomicU32>(), SLAB_BYTES / 4)
    }
}

/// Index of a control word: `line` 0 is the host's, 1 the guest's.
fn control_word(slot: usize, line: usize, word: usize) -> usize {
    (SLOTS_AT + slot * SLOT_BYTES + 64 * line) / 4 + word
}

/// Overwrites one word that the protocol uses, by chance with a value that is nearly right.
fn scribble(words: &[AtomicU32], dice: &mut Dice) {
    let at = match dice.below(8) {
        0 => dice.below(16),
        1 => WAITERS_AT / 4 + 16 * dice.below(WAITERS) + dice.below(4),
        2 => BELLS_AT / 4 + 16 * dice.below(16) + dice.below(4),
        3 => dice.below(words.len()),
        _ => control_word(dice.below(SLOTS), dice.below(2), dice.below(8)),
    };
    let old = words[at].load(Relaxed);
    let value = match dice.below(6) {
        0 => 0,
        1 => 1,
        2 => old.wrapping_add(u32::try_from(dice.below(40_000)).unwrap()),
        3 => old.wrapping_sub(1),
        4 => u32::try_from(dice.below(WAITERS + 2)).unwrap(),
        _ => u32::try_from(dice.roll() >> 32).unwrap(),
    };
    words[at].store(value, Relaxed);
}

/// One random operation, and what must hold for its answer.
fn work(end: &mut HostEnd, dice: &mut Dice, buffer: &mut Vec<u8>) -> Result<(), RingError> {
    buffer.clear();
    let len = dice.below(40_000);
    match dice.below(9) {
        0 => assert!(end.publish(&vec![1; len])? <= len),
        1 => assert!(end.take_into(buffer, len)? <= len),
        2 => assert!(end.take_back(buffer)? <= 32_768),
        3 => {
            buffer.resize(len, 0);
            assert!(end.take(buffer)? <= len);
        }
        4 => {
            end.wants_space()?;
        }
        5 => {
            end.guest()?;
        }
        6 => assert!(end.free()? <= 32_768 && end.readable()? <= 32_768),
        7 => end.end_sending(),
        _ => {
            end.notify()?;
        }
    }
    Ok(())
}

/// One message each way on the slab of the sandbox beside.
fn neighbour_works(slab: &Slab, end: &mut HostEnd, dice: &mut Dice) {
    let guest = slab.guest_view().end(&end.upgrade(0)).unwrap();
    let sent: Vec<u8> = (0..=dice.below(2_000))
        .map(|_| dice.roll().to_le_bytes()[3])
        .collect();
    let mut got = vec![0; sent.len()];
    assert_eq!(end.publish(&sent), Ok(sent.len()));
    end.notify().unwrap();
    assert_eq!(guest.take_into(&mut got), sent.len());
    assert_eq!(got, sent);
    assert_eq!(guest.publish(&sent), sent.len());
    got.clear();
    assert_eq!(end.take_into(&mut got, usize::MAX), Ok(sent.len()));
    assert_eq!(got, sent);
}

#[test]
fn scribbling_over_a_slab_hurts_its_own_connections_only() {
    let hostile = Slab::create().unwrap();
    let neighbour = Slab::create().unwrap();
    let mut beside = neighbour.open(0).unwrap().unwrap();
    let bell = hostile.bell(0).unwrap();
    while hostile
        .waiter_open()
        .unwrap()
        .is_some_and(|waiter| waiter < 8)
    {}
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let shared = words(&hostile);
        for seed in 1..=2 {
            let stop = &stop;
            threads.spawn(move || {
                let mut dice = Dice(seed);
                while !stop.load(Relaxed) {
                    (0..64).for_each(|_| scribble(shared, &mut dice));
                    std::thread::yield_now();
                }
            });
        }
        let mut dice = Dice(99);
        let mut ends: Vec<HostEnd> = Vec::new();
        let (mut violations, mut buffer) = (0, Vec::new());
        for _ in 0..200_000 {
            if ends.len() < SLOTS && dice.below(4) == 0 {
                ends.extend(hostile.open(0).unwrap());
            }
            if ends.is_empty() {
                continue;
            }
            let at = dice.below(ends.len());
            if work(&mut ends[at], &mut dice, &mut buffer).is_err() {
                let mut dead = ends.swap_remove(at);
                assert_eq!(
                    dead.publish(b"x"),
                    Err(RingError(dead.violation().unwrap()))
                );
                assert_eq!(dead.take_counts().violations, 1);
                violations += 1;
            }
            let _ = bell.rearm_and_take();
            if dice.below(16) == 0 {
                neighbour_works(&neighbour, &mut beside, &mut dice);
            }
        }
        stop.store(true, Relaxed);
        assert!(
            violations > 100,
            "the test must reach the checks: {violations}"
        );
    });
    assert_eq!(beside.take_counts().violations, 0);
}

/// Each single word that breaks the protocol, one at a time.
#[test]
fn each_broken_word_is_named() {
    const TO_HOST_HEAD: usize = 0;
    const TO_GUEST_TAIL: usize = 1;
    const GUEST_STATE: usize = 2;
    const WAITER: usize = 4;
    type Look = fn(&mut HostEnd) -> Result<(), RingError>;
    let readable: Look = |end| end.readable().map(drop);
    let free: Look = |end| end.free().map(drop);
    let guest: Look = |end| end.guest().map(drop);
    let notify: Look = |end| end.notify().map(drop);
    assert_eq!(std::mem::size_of::<Slot>(), SLOT_BYTES);
    // The host has published 100 bytes and taken 50 of the guest's 80.
    for (word, value, look, expected) in [
        (TO_HOST_HEAD, 49, readable, Err(Violation::Cursor)),
        (TO_HOST_HEAD, 79, readable, Err(Violation::Cursor)),
        (TO_HOST_HEAD, 80, readable, Ok(())),
        (TO_HOST_HEAD, 50 + 32_768, readable, Ok(())),
        (TO_HOST_HEAD, 50 + 32_769, readable, Err(Violation::Cursor)),
        (TO_GUEST_TAIL, 9, free, Err(Violation::Cursor)),
        (TO_GUEST_TAIL, 10, free, Ok(())),
        (TO_GUEST_TAIL, 100, free, Ok(())),
        (TO_GUEST_TAIL, 101, free, Err(Violation::Cursor)),
        (TO_GUEST_TAIL, u32::MAX, free, Err(Violation::Cursor)),
        (GUEST_STATE, 2, guest, Err(Violation::State)),
        (GUEST_STATE, 1, guest, Ok(())),
        (WAITER, 128, notify, Ok(())),
        (WAITER, 129, notify, Err(Violation::Waiter)),
    ] {
        let slab = Slab::create().unwrap();
        let mut end = slab.open(0).unwrap().unwrap();
        let view = slab.guest_view().end(&end.upgrade(0)).unwrap();
        view.publish(&[0; 80]);
        end.take(&mut [0; 50]).unwrap();
        end.publish(&[0; 100]).unwrap();
        view.skip(10);
        end.free().unwrap();
        words(&slab)[control_word(end.index() as usize, 1, word)].store(value, Relaxed);
        assert_eq!(
            look(&mut end),
            expected.map_err(RingError),
            "word {word} = {value}"
        );
    }
}

#[test]
fn a_guest_cannot_come_back_after_it_left() {
    let slab = Slab::create().unwrap();
    let mut end = slab.open(0).unwrap().unwrap();
    let _ = slab.guest_view().end(&end.upgrade(0)).unwrap().leave();
    end.guest().unwrap();
    words(&slab)[control_word(0, 1, 2)].store(0, Relaxed);
    assert_eq!(end.guest(), Err(RingError(Violation::State)));
}
