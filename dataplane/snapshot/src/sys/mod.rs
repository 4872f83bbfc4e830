//! The kernel calls that no safe library covers.

pub mod descriptor;
pub mod jump;
pub mod peer;
pub mod processor;
pub mod trace;

use std::io;

/// Turns the result of a C function into a `Result`.
fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
