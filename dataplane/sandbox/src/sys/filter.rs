//! Installing a seccomp filter with a listener (`seccomp(2)`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::checked;
use crate::seccomp::assembler::Instruction;

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19): once received, a notification is interrupted by
/// fatal signals only, so a signal handler cannot make the guest repeat a call that was already carried out.
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Installs the filter on this thread and returns its listener. `no_new_privs` must be set already.
///
/// # Errors
/// `EINVAL` when the kernel lacks user notification or `wait_killable` is asked of one without it;
/// `EBUSY` when a listener is already above this process.
pub fn install(program: &[Instruction], wait_killable: bool) -> io::Result<OwnedFd> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let header = Program {
        length,
        instructions: program.as_ptr(),
    };
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | if wait_killable { WAIT_KILLABLE_RECV } else { 0 };
    // SAFETY: Program and Instruction have the layout of sock_fprog and sock_filter; the kernel copies
    // `length` instructions before it returns.
    let result = unsafe {
        let header = std::ptr::from_ref(&header);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            header,
        )
    };
    let fd = RawFd::try_from(checked(result)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Tries whether the kernel knows a return action (`SECCOMP_GET_ACTION_AVAIL`).
#[must_use]
pub fn knows_action(action: u32) -> bool {
    const GET_ACTION_AVAIL: libc::c_uint = 2;
    // SAFETY: the kernel reads one u32.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            GET_ACTION_AVAIL,
            0,
            std::ptr::from_ref(&action),
        )
    };
    result == 0
}
