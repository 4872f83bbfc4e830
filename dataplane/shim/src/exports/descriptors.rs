//! Descriptors that come, go, and change: accept(2), close(2), dup(2), fcntl(2), shutdown(2) and what is like them.

use core::sync::atomic::Ordering;

use crate::connection::{self, NONBLOCK, READ_LAST, SENT_LAST};
use crate::epoll;
use crate::exports;
use crate::next::{self, finish};
use crate::park;
use crate::process;
use crate::sys::{self, errno, Time};
use crate::table::{self, Kind, Word};

use super::transfer::leave_to_kernel;

const SHUT_RD: i32 = 0;
const SHUT_RDWR: i32 = 2;
const FIONREAD: usize = 0x541b;
const FIONBIO: usize = 0x5421;
const TIOCOUTQ: usize = 0x5411;
const AF_UNIX: u16 = 1;
const CLOSE_RANGE_CLOEXEC: i32 = 4;

/// A connection was accepted: watch it, unless its peer is a socket of the sandbox's own.
unsafe fn accepted(fd: i32, name: *const u8, name_len: *const u32) -> i32 {
    if fd < 0 {
        return fd;
    }
    process::claim();
    forget(fd);
    // SAFETY: the kernel has filled both in.
    let family = unsafe {
        if name.is_null() || name_len.is_null() || *name_len < 2 {
            0
        } else {
            name.cast::<u16>().read_unaligned()
        }
    };
    if process::rings_wanted() && family != AF_UNIX {
        #[cfg(not(feature = "embedded"))]
        crate::allocator::settle();
        table::watch(fd);
    }
    fd
}

/// The number means something else from now on: what was known of it is over.
fn forget(fd: i32) {
    let mut word = table::look(fd);
    while word.kind() == Kind::Upgrading {
        table::wait_for_upgrade(fd, word);
        word = table::look(fd);
    }
    match word.kind() {
        Kind::Unknown | Kind::Upgrading => return,
        Kind::Ring => {
            if let Some(ring) = connection::of(word) {
                ring.close();
            }
        }
        Kind::Epoll => {
            if let Some(set) = epoll::set::of(word) {
                set.close();
            }
        }
        Kind::Watched | Kind::Hidden => {}
    }
    table::replace(fd, word, Word::UNKNOWN);
}

/// Before a descriptor is closed: false if it is one that the program does not know of.
fn before_close(fd: i32) -> bool {
    let kind = table::look(fd).kind();
    // A child of vfork closes its own descriptor, not its parent's connection.
    if kind == Kind::Unknown || process::is_foreign() {
        return true;
    }
    if kind == Kind::Hidden {
        return false;
    }
    forget(fd);
    true
}

/// Before a descriptor gets a second number: from then on only the kernel can know who uses it.
fn before_copy(fd: i32) {
    leave_to_kernel(fd);
    epoll::retire(table::look(fd));
}

exports! {
    /// accept(2).
    fn accept(fd: i32, name: *mut u8, name_len: *mut u32) -> i32 {
        accepted(next::accept(fd, name, name_len), name, name_len)
    }

    /// accept4(2).
    fn accept4(fd: i32, name: *mut u8, name_len: *mut u32, flags: i32) -> i32 {
        accepted(next::accept4(fd, name, name_len, flags), name, name_len)
    }

    /// shutdown(2): acts on the descriptor, where the host sees it.
    fn shutdown(fd: i32, how: i32) -> i32 {
        let word = table::look(fd);
        let Some(ring) = connection::of(word) else {
            if word.kind() == Kind::Watched {
                leave_to_kernel(fd);
            }
            return next::shutdown(fd, how);
        };
        if !(SHUT_RD..=SHUT_RDWR).contains(&how) {
            return next::shutdown(fd, how);
        }
        // What was written before must be in the ring before the host sees the end.
        let held = if how == SHUT_RD { None } else { ring.connection.writing.enter() };
        ring.set(SENT_LAST, how != SHUT_RD || ring.has(SENT_LAST));
        let answer = next::shutdown(fd, how);
        drop(held);
        ring.set(READ_LAST, how != 1 || ring.has(READ_LAST));
        ring.connection.member.touch(ring.index);
        if let Some(set) = ring.connection.member.set() {
            set.nudge();
        }
        if ring.connection.parker.sleepers() > 0 {
            ring.connection.parker.wake();
        }
        answer
    }

    /// close(2).
    fn close(fd: i32) -> i32 {
        if !before_close(fd) {
            return finish(-(errno::EBADF as isize)) as i32;
        }
        next::close(fd)
    }

    /// close_range(2), around the shim's own descriptors.
    fn close_range(first: u32, last: u32, flags: i32) -> i32 {
        if flags & CLOSE_RANGE_CLOEXEC != 0 || first > last || process::is_foreign() {
            return next::close_range(first, last, flags);
        }
        let (mut from, mut answer) = (first, 0);
        table::each(first, last, |fd, word| {
            if word.kind() != Kind::Hidden {
                forget(fd);
                return;
            }
            if fd as u32 > from {
                answer |= next::close_range(from, fd as u32 - 1, flags);
            }
            from = fd as u32 + 1;
        });
        if from <= last {
            answer |= next::close_range(from, last, flags);
        }
        answer
    }

    /// closefrom(3).
    fn closefrom(first: i32) -> () {
        close_range(first.max(0) as u32, u32::MAX, 0);
    }

    /// dup(2).
    fn dup(fd: i32) -> i32 {
        before_copy(fd);
        next::dup(fd)
    }

    /// dup2(2).
    fn dup2(from: i32, to: i32) -> i32 {
        before_copy(from);
        if from != to && !before_close(to) {
            return finish(-(errno::EBADF as isize)) as i32;
        }
        next::dup2(from, to)
    }

    /// dup3(2).
    fn dup3(from: i32, to: i32, flags: i32) -> i32 {
        before_copy(from);
        if from != to && !before_close(to) {
            return finish(-(errno::EBADF as isize)) as i32;
        }
        next::dup3(from, to, flags)
    }

    /// fcntl(2).
    fn fcntl(fd: i32, command: i32, argument: usize) -> i32 {
        if matches!(command, sys::F_DUPFD | sys::F_DUPFD_CLOEXEC) {
            before_copy(fd);
        }
        let answer = next::fcntl(fd, command, argument);
        if command == sys::F_SETFL && answer == 0 {
            if argument as i32 & sys::O_ASYNC != 0 {
                // Only the kernel sends SIGIO.
                leave_to_kernel(fd);
            }
            if let Some(ring) = connection::of(table::look(fd)) {
                ring.set(NONBLOCK, argument as i32 & sys::O_NONBLOCK != 0);
            }
        }
        answer
    }

    /// close(2) as glibc's own libraries call it.
    fn __close(fd: i32) -> i32 {
        close(fd)
    }

    /// dup2(2) as glibc's own libraries call it.
    fn __dup2(from: i32, to: i32) -> i32 {
        dup2(from, to)
    }

    /// fcntl(2) as glibc's own libraries call it.
    fn __fcntl(fd: i32, command: i32, argument: usize) -> i32 {
        fcntl(fd, command, argument)
    }

    /// fcntl(2) under its name for large files.
    fn fcntl64(fd: i32, command: i32, argument: usize) -> i32 {
        fcntl(fd, command, argument)
    }

    /// ioctl(2).
    fn ioctl(fd: i32, request: usize, argument: usize) -> i32 {
        let Some(ring) = connection::of(table::look(fd)) else {
            return next::ioctl(fd, request, argument);
        };
        // The kernel looks at the lower half of a request.
        match request & 0xffff_ffff {
            FIONREAD => {
                let bytes = ring.connection.pending.load(Ordering::Relaxed) as usize + ring.end().readable();
                (argument as *mut i32).write_unaligned(bytes as i32);
                0
            }
            TIOCOUTQ => {
                let bytes = jd_ring::abi::RING_BYTES - ring.end().free();
                (argument as *mut i32).write_unaligned(bytes as i32);
                0
            }
            FIONBIO => {
                let answer = next::ioctl(fd, request, argument);
                if answer == 0 {
                    ring.set(NONBLOCK, (argument as *const i32).read_unaligned() != 0);
                }
                answer
            }
            _ => next::ioctl(fd, request, argument),
        }
    }

    /// setsockopt(2): the timeouts and the low-water mark are the shim's to keep as well.
    fn setsockopt(fd: i32, level: i32, option: i32, value: *const u8, len: u32) -> i32 {
        if level == sys::SOL_SOCKET && option == sys::SO_RCVLOWAT {
            leave_to_kernel(fd);
        }
        let answer = next::setsockopt(fd, level, option, value, len);
        let timeout = option == sys::SO_RCVTIMEO || option == sys::SO_SNDTIMEO;
        if answer == 0 && level == sys::SOL_SOCKET && timeout && len as usize >= size_of::<Time>() {
            if let Some(ring) = connection::of(table::look(fd)) {
                let time_ns = park::timeval_ns(value.cast::<Time>().read_unaligned());
                let cell = if option == sys::SO_RCVTIMEO {
                    &ring.connection.receive_timeout_ns
                } else {
                    &ring.connection.send_timeout_ns
                };
                cell.store(time_ns, Ordering::Relaxed);
            }
        }
        answer
    }
}
