//! What crosses a border: messages between the platform's processes and names of socket addresses.
//!
//! Everything here is pure: bytes in, values out. No descriptor, clock or thread.

pub mod attach;
pub mod control;
