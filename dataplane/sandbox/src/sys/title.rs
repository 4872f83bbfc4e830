//! The command line that `ps` shows of this process.

use std::ffi::CString;

/// Replaces it where the kernel allows (`PR_SET_MM` of `prctl(2)` needs `CAP_SYS_RESOURCE`); it is for people only.
pub fn set_title(title: &str) {
    let Ok(title) = CString::new(title) else {
        return;
    };
    let length = title.as_bytes_with_nul().len() as u64;
    // The kernel reads it whenever somebody looks, so it is never freed.
    let start = title.into_raw() as u64;
    let set = |which: libc::c_int, address: u64| {
        // SAFETY: integers only; the kernel checks that the address is mapped and reads it as untrusted memory.
        unsafe { libc::prctl(libc::PR_SET_MM, which, address, 0, 0) == 0 }
    };
    // Start may not pass the end, so the order depends on where the heap lies: try both.
    let (first, second) = (libc::PR_SET_MM_ARG_END, libc::PR_SET_MM_ARG_START);
    if set(first, start + length) {
        set(second, start);
    } else if set(second, start) {
        set(first, start + length);
    }
}
