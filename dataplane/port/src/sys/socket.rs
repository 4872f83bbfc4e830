//! AF_UNIX sockets with abstract names, and socket options by number.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;

const PATH_OFFSET: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// `SO_NETNS_COOKIE` (Linux 5.14).
const SO_NETNS_COOKIE: i32 = 71;
/// `SO_PASSRIGHTS` (Linux 6.16).
const SO_PASSRIGHTS: i32 = 83;

fn address(name: &[u8]) -> Result<(libc::sockaddr_un, libc::socklen_t), Errno> {
    // SAFETY: all-zero bytes are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family =
        libc::sa_family_t::try_from(libc::AF_UNIX).map_err(|_| Errno::AFNOSUPPORT)?;
    let path = address
        .sun_path
        .get_mut(1..=name.len())
        .ok_or(Errno::NAMETOOLONG)?;
    for (to, from) in path.iter_mut().zip(name) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let length = PATH_OFFSET + 1 + name.len();
    Ok((
        address,
        libc::socklen_t::try_from(length).map_err(|_| Errno::NAMETOOLONG)?,
    ))
}

/// A new AF_UNIX socket in the thread's network namespace; `kind` with its flags.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn unix(kind: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers in, a new descriptor or an error out.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Two connected AF_UNIX sockets in the thread's network namespace.
///
/// # Errors
/// As [`unix`].
pub fn unix_pair(kind: i32) -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two descriptors into the live array.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) })?;
    // SAFETY: the kernel just made these descriptors for us; nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1])) })
}

/// Binds to an abstract name (without its leading zero byte).
///
/// # Errors
/// `EADDRINUSE`: a socket of that name is alive; `EINVAL`: the socket has a name already.
pub fn bind(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let (address, length) = address(name)?;
    // SAFETY: `address` is valid for `length` bytes across the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) }).map(drop)
}

/// Connects to an abstract name.
///
/// # Errors
/// `ECONNREFUSED`: nobody listens there; `EAGAIN`: its backlog is full; `EISCONN`.
pub fn connect(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let (address, length) = address(name)?;
    // SAFETY: `address` is valid for `length` bytes across the call.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length) }).map(drop)
}

type NameCall =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn name_by(fd: BorrowedFd<'_>, call: NameCall) -> Result<Option<Vec<u8>>, Errno> {
    // SAFETY: all-zero bytes are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut length =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel writes at most `length` bytes into the live structure and the new length.
    check(unsafe { call(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) })?;
    let end = usize::try_from(length)
        .unwrap_or(0)
        .min(size_of::<libc::sockaddr_un>());
    let path: Vec<u8> = address
        .sun_path
        .iter()
        .map(|byte| byte.to_ne_bytes()[0])
        .collect();
    let name = path
        .get(..end.saturating_sub(PATH_OFFSET))
        .unwrap_or_default();
    Ok(match name.split_first() {
        Some((0, name)) => Some(name.to_vec()),
        _ => None,
    })
}

/// The abstract name that a socket is bound to.
///
/// # Errors
/// `ENOTSOCK`.
pub fn own_name(fd: BorrowedFd<'_>) -> Result<Option<Vec<u8>>, Errno> {
    name_by(fd, libc::getsockname)
}

/// The abstract name of the socket at the other end.
///
/// # Errors
/// `ENOTCONN`.
pub fn peer_name(fd: BorrowedFd<'_>) -> Result<Option<Vec<u8>>, Errno> {
    name_by(fd, libc::getpeername)
}

/// Takes the next connection of a listener; `flags` as of accept4(2).
///
/// # Errors
/// `EAGAIN`, `EINVAL` (not a listener, or shut down), `EMFILE`.
pub fn accept(fd: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: null pointers ask for no address.
    let fd = check(unsafe {
        libc::accept4(
            fd.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            flags,
        )
    })?;
    // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends without blocking and without SIGPIPE.
///
/// # Errors
/// `EAGAIN`, `EPIPE`, `EMSGSIZE`, `ENOTCONN`.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: i32) -> Result<usize, Errno> {
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length span `bytes`.
    let sent =
        check(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })?;
    usize::try_from(sent).map_err(|_| Errno::IO)
}

/// Receives without blocking. With `MSG_TRUNC` the result may exceed the buffer.
///
/// # Errors
/// `EAGAIN`, `ECONNRESET`, `ENOTCONN`.
pub fn receive(fd: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> Result<usize, Errno> {
    let flags = flags | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and the length span `into`, which is borrowed mutably.
    let got =
        check(unsafe { libc::recv(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), flags) })?;
    usize::try_from(got).map_err(|_| Errno::IO)
}

/// Reads a socket option into `into`; gives the length the kernel wrote.
///
/// # Errors
/// `ENOTSOCK`, `ENOPROTOOPT`.
pub fn option(fd: BorrowedFd<'_>, level: i32, name: i32, into: &mut [u8]) -> Result<usize, Errno> {
    let mut length = libc::socklen_t::try_from(into.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel writes at most `length` bytes into `into`, which is borrowed mutably.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            into.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    Ok(usize::try_from(length).unwrap_or(0).min(into.len()))
}

/// Sets a socket option.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the pointer and the length span `value`.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) })
        .map(drop)
}

/// An option of level `SOL_SOCKET` that is an int.
///
/// # Errors
/// `ENOTSOCK`, `ENOPROTOOPT`.
pub fn int_option(fd: BorrowedFd<'_>, name: i32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    option(fd, libc::SOL_SOCKET, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

/// Sets an option of level `SOL_SOCKET` that is an int.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_int_option(fd: BorrowedFd<'_>, name: i32, value: i32) -> Result<(), Errno> {
    set_option(fd, libc::SOL_SOCKET, name, &value.to_ne_bytes())
}

fn wide_option(fd: BorrowedFd<'_>, name: i32) -> Result<u64, Errno> {
    let mut value = [0; 8];
    option(fd, libc::SOL_SOCKET, name, &mut value)?;
    Ok(u64::from_ne_bytes(value))
}

/// Number of the network namespace that a socket was made in, never reused.
///
/// # Errors
/// `ENOTSOCK`; `ENOPROTOOPT` before Linux 5.14.
pub fn netns_cookie(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    wide_option(fd, SO_NETNS_COOKIE)
}

/// Number of the socket itself, never reused.
///
/// # Errors
/// `ENOTSOCK`.
pub fn cookie(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    wide_option(fd, libc::SO_COOKIE)
}

/// Refuses descriptors that are sent to this socket, where the kernel can.
///
/// # Errors
/// `ENOPROTOOPT`: before Linux 6.16; then readers must not take control messages.
pub fn refuse_descriptors(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_int_option(fd, SO_PASSRIGHTS, 0)
}
