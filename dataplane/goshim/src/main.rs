//! `jgo`: the shim for static Go programs, which have no libc to stand in front of.
//!
//! All their system calls on descriptors go through one function of the runtime, `Syscall6` of the package
//! `internal/runtime/syscall`. The import of an image makes a copy of the program in which that function begins with a
//! jump to [`jgo_syscall6`] here; this image's two segments are part of that copy (`junctiond/golang`). It is never run
//! by itself.

#![cfg_attr(feature = "freestanding", no_std)]
#![cfg_attr(feature = "freestanding", no_main)]

#[cfg(feature = "freestanding")]
mod entry;
#[cfg(feature = "freestanding")]
mod memory;

#[cfg(not(feature = "freestanding"))]
fn main() {
    eprintln!(
        "jgo is grafted into Go programs by junctiond; build it with --features freestanding"
    );
    std::process::exit(2);
}
