//! Snapshots of a function that waits for its first connection, and the way back.
//!
//! [`take`](take::take) is the trusted side: it looks at a stopped guest from outside, believes nothing that it has not checked,
//! and writes a file. The restorer (`jrestore`) is the untrusted side: it runs inside a new sandbox with the guest's own
//! rights and becomes the program that the file describes. `docs/decisions/0007-python-start.md` says why.

pub mod ascent;
pub mod census;
pub mod error;
pub mod files;
pub mod fingerprint;
pub mod format;
pub mod frame;
pub mod maps;
pub mod outfit;
pub mod pages;
pub mod procfs;
pub mod program;
pub mod quiet;
pub mod rebuild;
pub mod remote;
pub mod sys;
pub mod take;
pub mod traces;
mod wires;
