//! The guest's side: a view of a mapped slab, the end of one connection, the waiter of one thread.
//!
//! Nothing here enters the kernel or keeps state of its own: all of it lives in the slab, and every type
//! is `Copy`. Where the other side must be woken the answer says which bell to ring ([`Wake::Bell`]): the
//! shim then writes [`crate::abi::EVENTFD_WAKE`] to that bell's eventfd.
//!
//! One thread at a time may publish on an end, and one at a time may take from it (the shim holds a lock
//! for each direction). Breaking that garbles the stream of the guest that does it, and nothing else.

mod end;
mod view;
mod waiter;

pub use end::GuestEnd;
pub use view::{Mismatch, SlabView};
pub use waiter::Waiter;

/// Whether the other side must be woken.
#[must_use = "a sleeping host is not woken until its bell is rung"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It is awake, or there was nothing to tell.
    Quiet,
    /// Write [`crate::abi::EVENTFD_WAKE`] to the eventfd of this bell.
    Bell(u32),
}

/// What the host has said about this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// Both directions run.
    Open,
    /// Nothing follows what is in the ring.
    Ended,
    /// The host has left in both directions; what is in the ring comes first.
    Gone,
}
