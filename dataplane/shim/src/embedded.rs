//! The shim inside a program without a libc: its one place that makes system calls calls here instead.
//!
//! Whoever calls has switched to a stack of ours first, aligned to its own size: the program's own stacks may be a few
//! hundred bytes, and the stack tells threads apart as the control block does where there is a libc.

use core::arch::asm;

use crate::exports::{descriptors, raw};
use crate::next;
use crate::process;
use crate::sys::number as nr;
use crate::syscall;

/// Size and alignment of the stack that a call needs.
pub const STACK_BYTES: usize = 64 << 10;

/// Lower end of the stack that this call was given; its first word is errno.
#[inline]
#[must_use]
pub fn stack() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer & !(STACK_BYTES - 1)
}

/// What the kernel would answer to this system call, connections on rings included.
///
/// # Safety
/// As the manual page of the call says; the stack is as the module says.
#[allow(clippy::many_single_char_names)]
pub unsafe extern "C" fn call(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    // SAFETY: the caller's promise.
    unsafe {
        let answer = match number {
            nr::ACCEPT | nr::ACCEPT4 => {
                let flags = if number == nr::ACCEPT4 { d as i32 } else { 0 };
                // Children come to be without our seeing it, and close their copies of our descriptors.
                process::will_share_memory();
                descriptors::accept4(a as i32, b as *mut u8, c as *mut u32, flags) as i64
            }
            nr::EXECVE | nr::EXECVEAT | nr::CLONE | nr::CLONE3 | nr::FORK | nr::VFORK => {
                return syscall!(number, a, b, c, d, e, f);
            }
            _ => raw::syscall(number as i64, a, b, c, d, e, f),
        };
        next::raw(answer as isize)
    }
}
