//! Descriptors with numbers of our choice, and what they are made by.

use std::ffi::CString;
use std::io;

use super::checked;

fn number(result: libc::c_long) -> io::Result<i32> {
    i32::try_from(checked(result)?).map_err(io::Error::other)
}

/// Moves a descriptor to the lowest free number from `least` on; it closes at exec there.
///
/// # Errors
/// `EMFILE`.
pub fn lift(descriptor: i32, least: i32) -> io::Result<i32> {
    // SAFETY: the caller owns the number and gives it up.
    unsafe {
        let lifted = number(libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, least).into())?;
        libc::close(descriptor);
        Ok(lifted)
    }
}

/// Puts a copy of `from` at `to`, replacing what is there.
///
/// # Errors
/// `EBADF`.
pub fn place(from: i32, to: i32, close_on_exec: bool) -> io::Result<()> {
    let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: numbers only; `to` is one that the snapshot describes and nothing here uses.
    checked(unsafe { libc::dup3(from, to, flags) }.into()).map(drop)
}

/// Sets the status flags.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_status(descriptor: i32, status: u32) -> io::Result<()> {
    // SAFETY: numbers only.
    checked(unsafe { libc::fcntl(descriptor, libc::F_SETFL, status) }.into()).map(drop)
}

/// Opens a path as it is given.
///
/// # Errors
/// Those of open(2).
pub fn open(path: &str, flags: u32) -> io::Result<i32> {
    let path = CString::new(path)?;
    let flags =
        libc::c_int::try_from(flags).map_err(io::Error::other)? | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: the path ends with NUL and lives across the call.
    number(unsafe { libc::open(path.as_ptr(), flags) }.into())
}

/// Sets the position.
///
/// # Errors
/// `ESPIPE`.
pub fn seek(descriptor: i32, at: u64) -> io::Result<()> {
    let at = i64::try_from(at).map_err(io::Error::other)?;
    // SAFETY: numbers only.
    checked(unsafe { libc::lseek(descriptor, at, libc::SEEK_SET) }).map(drop)
}

/// A socket that listens as an earlier one did.
///
/// # Errors
/// Those of socket, setsockopt, bind and listen.
pub fn listener(
    family: i32,
    address: &[u8],
    backlog: i32,
    options: &[(i32, i32, i32)],
) -> io::Result<i32> {
    // SAFETY: numbers only.
    let made =
        number(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    for (level, name, value) in options {
        // SAFETY: the kernel reads four bytes of a live local.
        let done = unsafe { libc::setsockopt(made, *level, *name, (&raw const *value).cast(), 4) };
        checked(done.into())?;
    }
    let length = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    // SAFETY: the address lives across the call and has the length that is given.
    checked(unsafe { libc::bind(made, address.as_ptr().cast(), length) }.into())?;
    // SAFETY: numbers only.
    checked(unsafe { libc::listen(made, backlog) }.into())?;
    Ok(made)
}

/// Both ends of a new pipe: for reading, for writing.
///
/// # Errors
/// `EMFILE`.
pub fn pipe() -> io::Result<[i32; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two numbers into the live array.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    Ok(ends)
}

/// Both ends of a new pair of AF_UNIX sockets.
///
/// # Errors
/// `EMFILE`.
pub fn pair(kind: i32) -> io::Result<[i32; 2]> {
    let mut ends = [-1; 2];
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two numbers into the live array.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into())?;
    Ok(ends)
}

/// A new eventfd.
///
/// # Errors
/// `EMFILE`; `InvalidInput` for a counter that cannot be written at once.
pub fn event(count: u64, semaphore: bool) -> io::Result<i32> {
    let flags = if semaphore { libc::EFD_SEMAPHORE } else { 0 };
    // SAFETY: numbers only.
    let made = number(unsafe { libc::eventfd(0, flags | libc::EFD_CLOEXEC) }.into())?;
    if count != 0 {
        // SAFETY: the kernel reads eight bytes of a live local.
        let done = unsafe { libc::write(made, (&raw const count).cast(), 8) };
        checked(done as libc::c_long)?;
    }
    Ok(made)
}

/// A new epoll set.
///
/// # Errors
/// `EMFILE`.
pub fn epoll() -> io::Result<i32> {
    // SAFETY: numbers only.
    number(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())
}

/// Adds a descriptor to an epoll set.
///
/// # Errors
/// Those of `epoll_ctl(2)`.
pub fn watch(epoll: i32, descriptor: i32, events: u32, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the event lives across the call.
    let done = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, descriptor, &raw mut event) };
    checked(done.into()).map(drop)
}

/// Closes a descriptor.
///
/// # Errors
/// `EBADF`.
pub fn close(descriptor: i32) -> io::Result<()> {
    // SAFETY: the caller gives the number up.
    checked(unsafe { libc::close(descriptor) }.into()).map(drop)
}

/// Identity of an open file: length, and time of the last change in seconds and nanoseconds.
///
/// # Errors
/// `EBADF`.
pub fn facts(descriptor: i32) -> io::Result<(u64, (i64, i64))> {
    // SAFETY: all-zero bytes are a valid stat, and the kernel fills it.
    let (done, facts) = unsafe {
        let mut facts: libc::stat = std::mem::zeroed();
        (libc::fstat(descriptor, &raw mut facts), facts)
    };
    checked(done.into())?;
    let bytes = u64::try_from(facts.st_size).unwrap_or(0);
    Ok((bytes, (facts.st_mtime, facts.st_mtime_nsec)))
}

/// A descriptor as something to read from; it stays open when that is dropped.
///
/// # Errors
/// `EMFILE`.
pub fn reader(descriptor: i32) -> io::Result<std::fs::File> {
    // SAFETY: the descriptor is open and only borrowed for a copy.
    let copy = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()?;
    Ok(copy.into())
}

/// Writes once.
///
/// # Errors
/// `EBADF`, `EPIPE`.
pub fn write(descriptor: i32, content: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length span `content`.
    let done = unsafe { libc::write(descriptor, content.as_ptr().cast(), content.len()) };
    checked(done as libc::c_long).map(drop)
}
