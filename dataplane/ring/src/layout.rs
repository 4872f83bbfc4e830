//! The layout of [`crate::abi`] checked against docs/protocols.md when it is compiled.

use core::mem::{align_of, offset_of, size_of};

use crate::abi::{
    Control, Doorbell, GuestLine, Header, HostLine, SlabImage, Slot, Upgrade, BELLS, BELLS_AT,
    RING_BYTES, SLAB_BYTES, SLOTS, SLOTS_AT, SLOT_BYTES, WAITERS, WAITERS_AT,
};

const _: () = {
    assert!(RING_BYTES.is_power_of_two() && RING_BYTES <= 1 << 31);
    assert!(SLOTS <= u64::BITS as usize);
    assert!(size_of::<Upgrade>() == 16);

    assert!(offset_of!(Header, magic) == 0);
    assert!(offset_of!(Header, version) == 4);
    assert!(offset_of!(Header, slab_bytes) == 8);
    assert!(offset_of!(Header, slots) == 16);
    assert!(offset_of!(Header, ring_bytes) == 20);
    assert!(offset_of!(Header, waiters) == 24);
    assert!(offset_of!(Header, bells) == 28);
    assert!(offset_of!(Header, spin_ns) == 32);
    assert!(size_of::<Header>() == WAITERS_AT);

    assert!(size_of::<Doorbell>() == 64);
    assert!(offset_of!(Doorbell, need_wake) == 0);
    assert!(offset_of!(Doorbell, dirty) == 8);

    assert!(offset_of!(HostLine, to_guest_head) == 0);
    assert!(offset_of!(HostLine, to_host_tail) == 4);
    assert!(offset_of!(HostLine, host_state) == 8);
    assert!(offset_of!(HostLine, host_wants_space) == 12);
    assert!(offset_of!(HostLine, generation) == 16);
    assert!(offset_of!(HostLine, bell) == 20);
    assert!(size_of::<HostLine>() == 64);

    assert!(offset_of!(GuestLine, to_host_head) == 0);
    assert!(offset_of!(GuestLine, to_guest_tail) == 4);
    assert!(offset_of!(GuestLine, guest_state) == 8);
    assert!(offset_of!(GuestLine, guest_wants_space) == 12);
    assert!(offset_of!(GuestLine, waiter) == 16);
    assert!(size_of::<GuestLine>() == 64);

    assert!(offset_of!(Control, host) == 0);
    assert!(offset_of!(Control, guest) == 64);
    assert!(size_of::<Control>() == 128);

    assert!(offset_of!(Slot, to_guest) == 4_096);
    assert!(offset_of!(Slot, to_host) == 4_096 + RING_BYTES);
    assert!(size_of::<Slot>() == SLOT_BYTES);

    assert!(offset_of!(SlabImage, waiters) == WAITERS_AT);
    assert!(WAITERS_AT + WAITERS * 64 == BELLS_AT);
    assert!(offset_of!(SlabImage, bells) == BELLS_AT);
    assert!(BELLS_AT + BELLS * 64 <= SLOTS_AT);
    assert!(offset_of!(SlabImage, slots) == SLOTS_AT);
    assert!(size_of::<SlabImage>() == SLAB_BYTES);
    assert!(align_of::<SlabImage>() == 4_096);
};
