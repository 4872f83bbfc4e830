//! `libjshim.so`: preloaded into a dynamic program of a sandbox, it moves kept-alive connections of the platform from
//! their descriptors onto shared-memory rings (docs/protocols.md, section 7).
//!
//! It stands in front of libc's calls on descriptors. For a descriptor that it does not know it costs one look at a
//! table; for a connection on a ring it answers from shared memory, and enters the kernel only to wake or to sleep.
//! Nothing depends on it: without it, or when it gives a connection back, the program works on the descriptor.
//!
//! # When a connection moves
//! An accepted stream is watched from the start and moves at the read that begins its second exchange (read, write,
//! read), when no call on it is under way: a server that closes after each request never pays for it. One that is asked
//! for in vain stays on its descriptor; a process that is refused the slab asks no more.
//!
//! # When it goes back
//! For good, losing nothing: at fork and daemon (all), at exec and spawn (what is not close-on-exec, or is copied), when
//! it is copied (dup), sent to another process, opened as a stream, spliced, used by recvmmsg, sendmmsg, aio or preadv2,
//! in two epoll sets or an exclusive one, with `SO_RCVLOWAT`, `O_ASYNC` or unusual flags, when its epoll descriptor is
//! itself polled or nested, when poll or select name more than 16 rings or 128 descriptors, when a blocking call waits
//! while handlers with and without `SA_RESTART` are set (only the kernel knows which of them ran), and when descriptors
//! run out. One limit is left: a signal handler that uses the very connection that its own thread is inside the shim for
//! gets `EAGAIN`.
//!
//! Freestanding: no second libc, no thread-local storage, no allocation of its own (`allocator` has the one call that it
//! makes). One library serves glibc and musl.

#![cfg_attr(feature = "freestanding", no_std)]
// The kernel's interface is words of the machine; what is cast here has been bounded, or is the kernel's to judge.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    clippy::new_without_default,
    clippy::too_many_arguments,
    clippy::macro_metavars_in_unsafe,
    clippy::many_single_char_names
)]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[cfg(not(feature = "embedded"))]
pub mod allocator;
pub mod ask;
pub mod buffers;
pub mod connection;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod epoll;
pub mod exports;
pub mod lock;
pub mod next;
pub mod park;
pub mod poll;
pub mod process;
pub mod select;
pub mod signals;
#[cfg(not(feature = "embedded"))]
pub mod symbols;
pub mod sys;
pub mod table;
#[cfg(feature = "test-host")]
pub mod test_host;
pub mod transfer;
pub mod upgrade;

/// Nothing here panics by intention; if it does, the program ends as by abort(3).
#[cfg(feature = "freestanding")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: an undefined instruction, which cannot return.
    unsafe { core::arch::asm!("ud2", options(noreturn, nostack)) }
}

// Nothing unwinds through the shim, but parts of `core` are compiled as if something could, and name these two.
#[cfg(feature = "freestanding")]
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality: ud2",
    ".globl _Unwind_Resume",
    ".hidden _Unwind_Resume",
    "_Unwind_Resume: ud2",
);
