//! The functions that a compiler expects of a libc. Copies are of some hundred bytes: the processor's own string
//! instructions are as good as any there, and cannot be turned into calls of themselves.

use core::arch::asm;

/// memcpy(3).
///
/// # Safety
/// As the manual page says.
#[no_mangle]
pub unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep movsb", inout("rdi") target => _, inout("rsi") source => _, inout("rcx") len => _,
             options(nostack, preserves_flags));
    }
    target
}

/// memmove(3).
///
/// # Safety
/// As the manual page says.
#[no_mangle]
pub unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, len: usize) -> *mut u8 {
    if (target as usize).wrapping_sub(source as usize) >= len {
        // SAFETY: the caller's promise; a forward copy does not overtake itself.
        return unsafe { memcpy(target, source, len) };
    }
    // SAFETY: the caller's promise; backwards, for the target begins inside the source.
    unsafe {
        asm!("std", "rep movsb", "cld",
             inout("rdi") target.wrapping_add(len).wrapping_sub(1) => _,
             inout("rsi") source.wrapping_add(len).wrapping_sub(1) => _,
             inout("rcx") len => _, options(nostack));
    }
    target
}

/// memset(3).
///
/// # Safety
/// As the manual page says.
#[no_mangle]
pub unsafe extern "C" fn memset(target: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rdi") target => _, inout("rcx") len => _, in("al") value as u8,
             options(nostack, preserves_flags));
    }
    target
}

/// memcmp(3).
///
/// # Safety
/// As the manual page says.
#[no_mangle]
pub unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while at < len {
        // SAFETY: the caller's promise; volatile, so that the loop is not turned into a call of this function.
        let (left, right) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
        at += 1;
    }
    0
}

/// bcmp(3).
///
/// # Safety
/// As the manual page says.
#[no_mangle]
pub unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(one, other, len) }
}

/// strlen(3).
///
/// # Safety
/// As the manual page says.
#[no_mangle]
pub unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: the caller's promise; volatile as above.
    while unsafe { text.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}
