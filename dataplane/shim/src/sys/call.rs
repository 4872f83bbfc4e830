//! System calls by the instruction itself, so that no libc stands between the shim and the kernel.

use core::arch::asm;

/// One system call with six arguments; the kernel's answer, negative for an error.
///
/// # Safety
/// As the call's own manual page says.
#[inline]
pub unsafe fn syscall6(
    number: usize,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
    fifth: usize,
    sixth: usize,
) -> isize {
    let answer: isize;
    // SAFETY: the x86-64 system call convention; rcx and r11 are the only registers that the kernel changes besides rax.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// As [`syscall6`], the arguments that are not given being 0.
#[macro_export]
macro_rules! syscall {
    ($number:expr) => { $crate::sys::call::syscall6($number, 0, 0, 0, 0, 0, 0) };
    ($number:expr, $a:expr) => { $crate::sys::call::syscall6($number, $a as usize, 0, 0, 0, 0, 0) };
    ($number:expr, $a:expr, $b:expr) => { $crate::sys::call::syscall6($number, $a as usize, $b as usize, 0, 0, 0, 0) };
    ($number:expr, $a:expr, $b:expr, $c:expr) => {
        $crate::sys::call::syscall6($number, $a as usize, $b as usize, $c as usize, 0, 0, 0)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr) => {
        $crate::sys::call::syscall6($number, $a as usize, $b as usize, $c as usize, $d as usize, 0, 0)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        $crate::sys::call::syscall6($number, $a as usize, $b as usize, $c as usize, $d as usize, $e as usize, 0)
    };
    ($number:expr, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        $crate::sys::call::syscall6(
            $number, $a as usize, $b as usize, $c as usize, $d as usize, $e as usize, $f as usize,
        )
    };
}

/// What tells the threads of a process apart without entering the kernel: the thread's control block points at
/// itself (x86-64 psABI, TLS variant II), in glibc and in musl.
#[cfg(not(feature = "embedded"))]
#[inline]
#[must_use]
pub fn thread() -> u64 {
    let pointer: u64;
    // SAFETY: every thread of a dynamic program has a control block whose first word is readable.
    unsafe {
        asm!("mov {}, qword ptr fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags))
    };
    pointer
}

/// Without a libc: the stack that the call was given, which no other thread has meanwhile.
#[cfg(feature = "embedded")]
#[inline]
#[must_use]
pub fn thread() -> u64 {
    crate::embedded::stack() as u64
}

/// The processor's time stamp, for intervals that need not be exact.
#[inline]
#[must_use]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}
