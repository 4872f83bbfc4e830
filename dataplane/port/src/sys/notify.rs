//! The ioctls of a seccomp notify descriptor (seccomp_unotify(2)).

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::check;

/// One notified call, as the kernel reports it (`struct seccomp_notif`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// Names the call until it is answered.
    pub id: u64,
    /// Thread that waits; 0 if it is not in this process's pid namespace.
    pub pid: u32,
    flags: u32,
    /// Number of the call.
    pub nr: i32,
    arch: u32,
    instruction_pointer: u64,
    /// Arguments, unchecked.
    pub args: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

const _: () = assert!(size_of::<Notification>() == 80);
const _: () = assert!(size_of::<Response>() == 24);
const _: () = assert!(size_of::<AddFd>() == 24);

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const ID_VALID: libc::c_ulong = 0x4008_2102;
const ADD_FD: libc::c_ulong = 0x4018_2103;
const SET_FLAGS: libc::c_ulong = 0x4008_2104;

const FLAG_CONTINUE: u32 = 1;
const ADD_FD_AT: u32 = 1;
const ADD_FD_SEND: u32 = 2;
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// Takes the next notification.
///
/// Blocks only if none was ever queued; after the descriptor polled readable it never does.
///
/// # Errors
/// `ENOENT`: the caller was killed in the meantime.
pub fn receive(notify: BorrowedFd<'_>) -> Result<Notification, Errno> {
    let mut notification = Notification::default();
    // SAFETY: the structure has the kernel's layout and size (asserted above), is zeroed as the
    // kernel asks, and lives across the call.
    check(unsafe { libc::ioctl(notify.as_raw_fd(), RECEIVE, &raw mut notification) })?;
    Ok(notification)
}

fn respond(notify: BorrowedFd<'_>, mut response: Response) -> Result<(), Errno> {
    // SAFETY: the structure has the kernel's layout and size and lives across the call.
    check(unsafe { libc::ioctl(notify.as_raw_fd(), SEND, &raw mut response) }).map(drop)
}

/// Lets the call return `value`.
///
/// # Errors
/// `ENOENT`: the caller is gone.
pub fn answer(notify: BorrowedFd<'_>, id: u64, value: i64) -> Result<(), Errno> {
    respond(
        notify,
        Response {
            id,
            value,
            error: 0,
            flags: 0,
        },
    )
}

/// Lets the call fail with `error`, a positive errno. Numbers above 511 are the kernel's own
/// (`ERESTARTSYS`) and are seen by its signal code only.
///
/// # Errors
/// `ENOENT`: the caller is gone.
pub fn fail(notify: BorrowedFd<'_>, id: u64, error: i32) -> Result<(), Errno> {
    respond(
        notify,
        Response {
            id,
            value: 0,
            error: -error,
            flags: 0,
        },
    )
}

/// Lets the call run natively.
///
/// # Errors
/// `ENOENT`: the caller is gone.
pub fn proceed(notify: BorrowedFd<'_>, id: u64) -> Result<(), Errno> {
    respond(
        notify,
        Response {
            id,
            value: 0,
            error: 0,
            flags: FLAG_CONTINUE,
        },
    )
}

/// Whether the caller of `id` still waits: what was read from its memory was its own.
#[must_use]
pub fn is_waiting(notify: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads eight bytes from a live local.
    check(unsafe { libc::ioctl(notify.as_raw_fd(), ID_VALID, &raw const id) }).is_ok()
}

/// Installs a duplicate of `source` in the caller and, in the same step, lets the call return its
/// number (`SECCOMP_ADDFD_FLAG_SEND`).
///
/// # Errors
/// `ENOENT`: the caller is gone; `EMFILE`: its table is full; `EBADF`: `at` is beyond its limit.
pub fn inject(
    notify: BorrowedFd<'_>,
    id: u64,
    source: BorrowedFd<'_>,
    at: Option<u32>,
    close_on_exec: bool,
) -> Result<(), Errno> {
    let source = u32::try_from(source.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let request = AddFd {
        id,
        flags: ADD_FD_SEND | if at.is_some() { ADD_FD_AT } else { 0 },
        source,
        target: at.unwrap_or(0),
        target_flags: if close_on_exec {
            libc::O_CLOEXEC.unsigned_abs()
        } else {
            0
        },
    };
    // SAFETY: the structure has the kernel's layout and size and lives across the call; `source` is
    // a descriptor that the caller holds.
    check(unsafe { libc::ioctl(notify.as_raw_fd(), ADD_FD, &raw const request) }).map(drop)
}

/// Asks that an answer wakes the caller on this core (Linux 6.6); without it wakes cross cores.
///
/// # Errors
/// `EINVAL`: an older kernel.
pub fn wake_on_this_core(notify: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the argument is a plain number.
    check(unsafe { libc::ioctl(notify.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) }).map(drop)
}
