//! The kernel calls that no safe library covers. Everything unsafe of this crate is in here, one page each.

pub mod clone;
pub mod exec;
pub mod filter;
pub mod idmap;
pub mod interface;
pub mod namespace;
pub mod rebirth;
pub mod signals;
pub mod socket_option;
pub mod title;

use std::io;

/// Turns the result of a raw system call into a `Result`.
fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
