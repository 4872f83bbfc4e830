//! Snapshots of a function that waits for its first connection, and the way back.
//!
//! [`take`](take::take) is the trusted side: it looks at a stopped guest from outside, believes nothing that it has not checked,
//! and writes a file. The restorer (`jrestore`) is the untrusted side: it runs inside a new sandbox with the guest's own
//! rights and becomes the program that the file describes. `docs/decisions/0007-python-start.md` says why.
//!
//! Registers, signal frames and the last steps are written for x86-64; elsewhere nothing is captured.

pub mod error;
pub mod files;
pub mod format;
pub mod maps;
pub mod procfs;
pub mod traces;

#[cfg(target_arch = "x86_64")]
pub mod ascent;
#[cfg(target_arch = "x86_64")]
pub mod census;
#[cfg(target_arch = "x86_64")]
pub mod fingerprint;
#[cfg(target_arch = "x86_64")]
pub mod frame;
#[cfg(target_arch = "x86_64")]
pub mod outfit;
#[cfg(target_arch = "x86_64")]
pub mod pages;
#[cfg(target_arch = "x86_64")]
pub mod program;
#[cfg(target_arch = "x86_64")]
pub mod quiet;
#[cfg(target_arch = "x86_64")]
pub mod rebuild;
#[cfg(target_arch = "x86_64")]
pub mod remote;
#[cfg(target_arch = "x86_64")]
pub mod sys;
#[cfg(target_arch = "x86_64")]
pub mod take;
#[cfg(target_arch = "x86_64")]
mod wires;
