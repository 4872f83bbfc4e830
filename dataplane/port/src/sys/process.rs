//! Another process's descriptors and memory, and the network namespace of the calling thread.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;

/// `PIDFD_THREAD` (Linux 6.9): the descriptor names a thread, not its group's leader.
const PIDFD_THREAD: libc::c_uint = libc::O_EXCL.unsigned_abs();

fn open(pid: libc::pid_t, flags: libc::c_uint) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers in, a new descriptor or an error out.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })?;
    let fd = libc::c_int::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of the thread `tid`, or of its process where the kernel cannot name threads.
///
/// # Errors
/// `ESRCH`: there is no such thread.
pub fn open_thread(tid: u32) -> Result<OwnedFd, Errno> {
    let tid = libc::pid_t::try_from(tid).map_err(|_| Errno::SRCH)?;
    match open(tid, PIDFD_THREAD) {
        Err(Errno::INVAL) => open(group_of(tid)?, 0),
        opened => opened,
    }
}

/// A descriptor of the process that the thread `tid` is of.
///
/// # Errors
/// `ESRCH`: there is no such thread.
pub fn open_process(tid: u32) -> Result<OwnedFd, Errno> {
    let tid = libc::pid_t::try_from(tid).map_err(|_| Errno::SRCH)?;
    open(group_of(tid)?, 0)
}

fn group_of(tid: libc::pid_t) -> Result<libc::pid_t, Errno> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).map_err(|_| Errno::SRCH)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    line.and_then(|value| value.trim().parse().ok())
        .ok_or(Errno::SRCH)
}

/// A copy of the descriptor `fd` of the process behind `pidfd` (pidfd_getfd(2)).
///
/// # Errors
/// `EBADF`: it has no such descriptor; `ESRCH`: it is gone.
pub fn descriptor_of(pidfd: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers in, a new descriptor or an error out.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })?;
    let fd = libc::c_int::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn remote(address: u64, bytes: usize) -> Result<libc::iovec, Errno> {
    let base = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    Ok(libc::iovec {
        iov_base: base as *mut libc::c_void,
        iov_len: bytes,
    })
}

/// Copies memory of thread `pid` at `address` into `into`; all of it or `EFAULT`.
///
/// # Errors
/// `EFAULT`: some of it is not mapped; `ESRCH`: the thread is gone.
pub fn read_memory(pid: u32, address: u64, into: &mut [u8]) -> Result<(), Errno> {
    if into.is_empty() {
        return Ok(());
    }
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = remote(address, into.len())?;
    let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::SRCH)?;
    // SAFETY: the local vector spans exactly `into`, which is borrowed mutably; the remote one is
    // only dereferenced by the kernel in the other process.
    let copied = check(unsafe {
        libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0)
    })?;
    whole(copied, into.len())
}

/// Copies both pieces into the memory of thread `pid`; all of them or `EFAULT`.
///
/// # Errors
/// As [`read_memory`].
pub fn write_memory(pid: u32, pieces: [(u64, &[u8]); 2]) -> Result<(), Errno> {
    let total = pieces[0].1.len() + pieces[1].1.len();
    if total == 0 {
        return Ok(());
    }
    let local = pieces.map(|(_, bytes)| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    });
    let [first, second] = pieces;
    let remote = [
        remote(first.0, first.1.len())?,
        remote(second.0, second.1.len())?,
    ];
    let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::SRCH)?;
    // SAFETY: the kernel only reads the local vectors, which span exactly the pieces; the remote
    // ones are only dereferenced in the other process.
    let copied =
        check(unsafe { libc::process_vm_writev(pid, local.as_ptr(), 2, remote.as_ptr(), 2, 0) })?;
    whole(copied, total)
}

fn whole(copied: isize, wanted: usize) -> Result<(), Errno> {
    if usize::try_from(copied) == Ok(wanted) {
        Ok(())
    } else {
        Err(Errno::FAULT)
    }
}

/// Moves the calling thread into the network namespace behind `netns`.
///
/// # Errors
/// `EINVAL`: not a network namespace; `EPERM`: no `CAP_SYS_ADMIN` over it.
pub fn enter_netns(netns: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: plain numbers; only this thread's namespace changes.
    check(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}
