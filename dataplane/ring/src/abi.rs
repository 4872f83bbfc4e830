//! The slab, byte for byte. Every number of docs/protocols.md section 7 is stated here and only here.

use crate::sync::{AtomicU32, AtomicU64, Bytes};

/// `JRNG`, read as a native-endian word of the bytes in this order.
pub const MAGIC: u32 = u32::from_ne_bytes(*b"JRNG");
/// Goes up with every change of the layout or of what a word means; a guest with another one leaves rings alone.
pub const VERSION: u32 = 1;
/// Connections of a sandbox that may be on rings at a time; one bit each of a [`Doorbell::dirty`].
pub const SLOTS: usize = 64;
/// Bytes of one ring (one direction of one slot); a power of two, so that cursors may run freely.
pub const RING_BYTES: usize = 32_768;
/// Places for threads of the guest to sleep.
pub const WAITERS: usize = 128;
/// Places for workers of the front door to sleep.
pub const BELLS: usize = 16;
/// Offset of the first waiter.
pub const WAITERS_AT: usize = 4_096;
/// Offset of the first bell.
pub const BELLS_AT: usize = 12_288;
/// Offset of the first slot.
pub const SLOTS_AT: usize = 16_384;
/// Bytes of one slot: its control page and two rings.
pub const SLOT_BYTES: usize = 4_096 + 2 * RING_BYTES;
/// Bytes of a whole slab, of which only touched pages cost memory.
pub const SLAB_BYTES: usize = SLOTS_AT + SLOTS * SLOT_BYTES;

/// Level of the notified `getsockopt` ("JR").
pub const SOL_RING: i32 = 0x4a52;
/// Returns a descriptor of the slab.
pub const OPTION_SLAB: i32 = 1;
/// Moves a connection onto a slot: see [`Upgrade`].
pub const OPTION_UPGRADE: i32 = 2;
/// Returns a descriptor of one bell's eventfd.
pub const OPTION_BELL: i32 = 3;
/// Returns a descriptor of a fresh waiter's eventfd.
pub const OPTION_WAITER: i32 = 4;
/// Gives a waiter back.
pub const OPTION_WAITER_FREE: i32 = 5;

/// [`HostLine::host_state`]: nobody is on this slot.
pub const HOST_CLOSED: u32 = 0;
/// [`HostLine::host_state`]: both directions run.
pub const HOST_OPEN: u32 = 1;
/// [`HostLine::host_state`]: nothing follows what is in the ring towards the guest.
pub const HOST_ENDED: u32 = 2;
/// [`HostLine::host_state`]: the host has left in both directions; what is in the ring comes first.
pub const HOST_GONE: u32 = 3;
/// [`GuestLine::guest_state`]: on the ring.
pub const GUEST_OPEN: u32 = 0;
/// [`GuestLine::guest_state`]: back on the descriptor, for good.
pub const GUEST_LEFT: u32 = 1;

/// Initial count of every eventfd of a slab, and the value that wakes. An eventfd that is never read and
/// starts at 1 is always readable, so a write of **0** still wakes whoever watches it edge-triggered, and
/// unlike a write of 1 it can never block: whoever holds a descriptor of the same eventfd may fill its
/// counter and clear `O_NONBLOCK` under the writer (fs/eventfd.c, `eventfd_write`).
pub const EVENTFD_INITIAL: u32 = 1;
/// See [`EVENTFD_INITIAL`].
pub const EVENTFD_WAKE: u64 = 0;

/// What the upgrade returns to the shim.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// Index of the slot, below [`SLOTS`].
    pub slot: u32,
    /// Its generation, to tell a slot given anew from the one held.
    pub generation: u32,
    /// Bell to ring, below [`BELLS`].
    pub bell: u32,
    /// Bytes that still lie in the socket towards the guest and come before the ring's.
    pub pending: u32,
}

/// First page of the slab, written by the host.
#[repr(C, align(4096))]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU32,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`SLAB_BYTES`].
    pub slab_bytes: AtomicU64,
    /// [`SLOTS`].
    pub slots: AtomicU32,
    /// [`RING_BYTES`].
    pub ring_bytes: AtomicU32,
    /// [`WAITERS`].
    pub waiters: AtomicU32,
    /// [`BELLS`].
    pub bells: AtomicU32,
    /// How long a guest may poll before it parks, in nanoseconds; 0: not at all.
    pub spin_ns: AtomicU32,
}

/// Where someone sleeps: a waiter (guest) or a bell (host). See [`crate::doorbell`].
#[repr(C, align(64))]
#[derive(Default)]
pub struct Doorbell {
    /// 1: whoever publishes must write the eventfd.
    pub need_wake: AtomicU32,
    /// Slots with news, one bit each.
    pub dirty: AtomicU64,
}

/// The words of a slot that the host writes.
#[repr(C, align(64))]
#[derive(Default)]
pub struct HostLine {
    /// Bytes ever published to the guest, modulo 2^32.
    pub to_guest_head: AtomicU32,
    /// Bytes ever taken from the guest, modulo 2^32.
    pub to_host_tail: AtomicU32,
    /// [`HOST_CLOSED`] to [`HOST_GONE`].
    pub host_state: AtomicU32,
    /// 1: tell the host when half of the ring towards the guest is free.
    pub host_wants_space: AtomicU32,
    /// Goes up each time the slot is given.
    pub generation: AtomicU32,
    /// Bell behind which this connection's worker sleeps.
    pub bell: AtomicU32,
}

/// The words of a slot that the guest writes.
#[repr(C, align(64))]
#[derive(Default)]
pub struct GuestLine {
    /// Bytes ever published to the host, modulo 2^32.
    pub to_host_head: AtomicU32,
    /// Bytes ever taken from the host, modulo 2^32.
    pub to_guest_tail: AtomicU32,
    /// [`GUEST_OPEN`] or [`GUEST_LEFT`].
    pub guest_state: AtomicU32,
    /// 1: tell the guest when half of the ring towards the host is free.
    pub guest_wants_space: AtomicU32,
    /// Index + 1 of the waiter behind which this connection's reader sleeps; 0: nobody.
    pub waiter: AtomicU32,
}

/// What a slot's control page holds; the rings' own alignment makes a page of it.
#[repr(C)]
#[derive(Default)]
pub struct Control {
    /// Written by the host only.
    pub host: HostLine,
    /// Written by the guest only.
    pub guest: GuestLine,
}

/// One connection: its control page and both rings.
#[repr(C)]
pub struct Slot<const RING: usize = RING_BYTES> {
    /// Cursors and states.
    pub control: Control,
    /// Bytes from the host to the guest.
    pub to_guest: Bytes<RING>,
    /// Bytes from the guest to the host.
    pub to_host: Bytes<RING>,
}

/// The whole slab. Only ever used through a shared reference: each word is an atomic, each ring opaque.
#[repr(C)]
pub struct SlabImage {
    /// What the slab is.
    pub header: Header,
    /// Where the guest sleeps.
    pub waiters: [Doorbell; WAITERS],
    /// Where the host sleeps.
    pub bells: [Doorbell; BELLS],
    rest: [Doorbell; (SLOTS_AT - BELLS_AT) / 64 - BELLS],
    /// Connections.
    pub slots: [Slot; SLOTS],
}

/// The wake-and-park rule for space: a blocked writer is told when this much of the ring is free, so that
/// it is not woken for every few bytes (the kernel's stream sockets wake at a share of the buffer too).
#[must_use]
pub const fn writable_at(ring_bytes: usize) -> usize {
    ring_bytes / 2
}
