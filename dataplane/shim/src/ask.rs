//! The questions that jnetd answers about an injected stream: docs/protocols.md, section 7, "Asking".

use jd_ring::abi;
pub use jd_ring::abi::Upgrade;

#[cfg(not(feature = "test-host"))]
use crate::{sys::number as nr, syscall};

/// Asks; the kernel's answer, which is a descriptor where the option has one.
#[cfg(not(feature = "test-host"))]
fn ask(fd: i32, option: i32, value: *mut u8, len: u32) -> isize {
    let mut len = len;
    // SAFETY: `value` is writable for `len` bytes. Without jnetd the kernel knows no such level and refuses.
    unsafe {
        syscall!(
            nr::GETSOCKOPT,
            fd,
            abi::SOL_RING,
            option,
            value,
            &raw mut len
        )
    }
}

#[cfg(feature = "test-host")]
use crate::test_host::ask;

/// A descriptor of the slab.
pub fn slab(fd: i32) -> isize {
    let mut nothing = 0_u32;
    ask(fd, abi::OPTION_SLAB, (&raw mut nothing).cast(), 4)
}

/// Moves the connection onto a ring.
///
/// # Errors
/// The kernel's or jnetd's answer: the connection stays on its descriptor.
pub fn upgrade(fd: i32) -> Result<Upgrade, isize> {
    let mut answer = Upgrade::default();
    match ask(
        fd,
        abi::OPTION_UPGRADE,
        (&raw mut answer).cast(),
        size_of::<Upgrade>() as u32,
    ) {
        0 => Ok(answer),
        error => Err(error),
    }
}

/// A descriptor of a bell.
pub fn bell(fd: i32, index: u32) -> isize {
    let mut index = index;
    ask(fd, abi::OPTION_BELL, (&raw mut index).cast(), 4)
}

/// A descriptor of a fresh waiter and its index.
pub fn waiter(fd: i32) -> (isize, u32) {
    let mut index = 0_u32;
    let answer = ask(fd, abi::OPTION_WAITER, (&raw mut index).cast(), 4);
    (answer, index)
}
