//! `execve(2)`.

use std::ffi::CString;
use std::io;

pub(super) fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    let all = texts.iter().map(|text| text.as_ptr());
    all.chain(std::iter::once(std::ptr::null())).collect()
}

/// Replaces this process by `program`; returns only the error.
pub fn execve(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with NULL and every pointer is to a NUL-terminated string that outlives the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}
