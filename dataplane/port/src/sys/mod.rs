//! The unsafe edge: system calls that no safe crate wraps. Nothing here decides anything.

pub mod journal;
pub mod notify;
pub mod process;
pub mod socket;

use rustix::io::Errno;

/// How often the calling thread has slept so far (getrusage(2)): not how often it lost its core.
pub fn sleeps() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the structure, for which zeroes are a valid value too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    u64::try_from(usage.ru_nvcsw).unwrap_or(0)
}

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
