//! Becoming the restorer: `execveat(2)` of a descriptor, with two more at the numbers where it looks for them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::checked;
use super::exec::pointers;

/// Above the numbers that are given, so that no move overwrites another.
const OUT_OF_THE_WAY: RawFd = 16;

fn number(result: libc::c_int) -> io::Result<RawFd> {
    checked(libc::c_long::from(result))?;
    Ok(result)
}

/// Replaces this process by the program behind `restorer`, which finds `given` at the numbers from 3 on; returns only the error.
/// The descriptors themselves stay as they are.
pub fn exec(
    restorer: BorrowedFd<'_>,
    given: [BorrowedFd<'_>; 2],
    argv: &[CString],
    env: &[CString],
) -> io::Error {
    let place = || -> io::Result<RawFd> {
        // SAFETY: numbers only. The ones from 3 on belong to nobody who runs after this in the same process: either
        // exec follows, or the caller executes something else, which closes them.
        unsafe {
            let aside = |fd: BorrowedFd<'_>| {
                number(libc::fcntl(
                    fd.as_raw_fd(),
                    libc::F_DUPFD_CLOEXEC,
                    OUT_OF_THE_WAY,
                ))
            };
            let (restorer, first, second) = (aside(restorer)?, aside(given[0])?, aside(given[1])?);
            number(libc::dup2(first, 3))?;
            number(libc::dup2(second, 4))?;
            Ok(restorer)
        }
    };
    let restorer = match place() {
        Ok(restorer) => restorer,
        Err(error) => return error,
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with NULL and every pointer is to a NUL-terminated string that outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            restorer,
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    let error = io::Error::last_os_error();
    // SAFETY: as above; whatever is executed now must not inherit them.
    unsafe {
        for given in [3, 4] {
            libc::fcntl(given, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
    error
}
