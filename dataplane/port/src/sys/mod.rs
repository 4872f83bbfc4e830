//! The unsafe edge: system calls that no safe crate wraps. Nothing here decides anything.

pub mod journal;
pub mod notify;
pub mod process;
pub mod socket;

use rustix::io::Errno;

/// The result of a call of libc: a negative value means errno.
fn check<T: Copy + PartialOrd + From<i8>>(value: T) -> Result<T, Errno> {
    if value < T::from(0) {
        let number = std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO);
        return Err(Errno::from_raw_os_error(number));
    }
    Ok(value)
}
