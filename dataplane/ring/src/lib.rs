//! Shared-memory byte rings between jnetd and the shim in a guest: docs/protocols.md, section 7.
//!
//! [`abi`] states the slab, [`guest`] is the view of a mapped slab inside a sandbox, [`host`] (feature
//! `host`) makes slabs and owns their host side. The two sides share [`lane`] (one direction of bytes)
//! and [`doorbell`] (who is woken). Neither enters the kernel to move a byte; the guest's side never
//! enters it at all and answers "ring this bell" as a value.
//!
//! # Trust
//! The guest may write every byte of its slab at any moment. The host reads each shared word once into
//! a local, keeps its own cursors privately, and takes neither pointer nor offset nor length from it.

#![cfg_attr(not(feature = "host"), no_std)]

pub mod abi;
pub mod doorbell;
pub mod guest;
#[cfg(feature = "host")]
pub mod host;
pub mod lane;
mod layout;
pub mod side;
pub mod sync;
