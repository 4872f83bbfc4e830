//! What can go wrong on the host's side.

use std::io;

use crate::side::Violation;

/// Why an operation on a [`crate::host::HostEnd`] failed; the end is dead afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest broke the ring protocol ({0:?}); its connection is cut")]
pub struct RingError(pub Violation);

impl From<Violation> for RingError {
    fn from(violation: Violation) -> Self {
        Self(violation)
    }
}

/// Why a slab, a bell or a waiter could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SlabError {
    /// The memory of the slab.
    #[error("cannot make the ring memory of a sandbox ({step}): {source}; rings stay off for it")]
    Memory {
        /// The system call that failed.
        step: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// An eventfd.
    #[error("cannot make an eventfd for a ring: {0}; raise the limit of open files (ulimit -n)")]
    Eventfd(io::Error),
    /// An index that is no bell of a slab.
    #[error("a slab has {count} bells, so there is none of index {0}", count = crate::abi::BELLS)]
    NoSuchBell(u32),
}
