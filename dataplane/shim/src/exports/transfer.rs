//! read(2), write(2) and their many relatives.

use crate::buffers::Buffers;
use crate::connection::{self, Ring};
use crate::exports;
use crate::next::{self, finish};
use crate::sys::{errno, IoVec, MsgHdr};
use crate::table::{self, Kind, Stage};
use crate::{process, transfer, upgrade};

/// One piece of memory.
fn one(base: *const u8, len: usize) -> [IoVec; 1] {
    [IoVec {
        base: base.cast_mut(),
        len,
    }]
}

/// A call that takes bytes: on the ring where the descriptor is on one, and natively otherwise. The native call of a
/// watched connection tells how far its exchange is; the read after an answer is where it moves onto a ring.
#[inline]
fn reading(fd: i32, native: impl Fn() -> isize, ring: impl Fn(Ring) -> Option<isize>) -> isize {
    loop {
        let word = table::look(fd);
        match word.kind() {
            Kind::Unknown | Kind::Epoll | Kind::Hidden => return native(),
            Kind::Upgrading => table::wait_for_upgrade(fd, word),
            Kind::Ring => {
                let Some(found) = connection::of(word) else {
                    return native();
                };
                if let Some(answer) = ring(found) {
                    return finish(answer);
                }
            }
            Kind::Watched
                if word.stage() == Stage::Answered
                    && word.calls() == 0
                    && process::rings_wanted() =>
            {
                upgrade::attempt(fd, word);
                if table::look(fd) == word {
                    return marked(fd, native, |_, stage| stage);
                }
            }
            Kind::Watched => {
                return marked(fd, native, |answer, stage| {
                    if answer > 0 {
                        upgrade::after_read(stage)
                    } else {
                        stage
                    }
                });
            }
        }
    }
}

/// A call that gives `len` bytes.
#[inline]
fn writing(
    fd: i32,
    len: usize,
    native: impl Fn() -> isize,
    ring: impl Fn(Ring) -> Option<isize>,
) -> isize {
    loop {
        let word = table::look(fd);
        match word.kind() {
            Kind::Unknown | Kind::Epoll | Kind::Hidden => return native(),
            Kind::Upgrading => table::wait_for_upgrade(fd, word),
            Kind::Ring => {
                let Some(found) = connection::of(word) else {
                    return native();
                };
                if let Some(answer) = ring(found) {
                    return finish(answer);
                }
            }
            Kind::Watched => {
                return marked(fd, native, |answer, stage| {
                    if answer >= 0 && answer as usize == len {
                        upgrade::after_write(stage)
                    } else if stage == Stage::Answered {
                        // A peer that does not keep up: not a quiet moment.
                        Stage::Asked
                    } else {
                        stage
                    }
                });
            }
        }
    }
}

/// A native call on a watched connection, during which nobody else moves it onto a ring.
fn marked(fd: i32, native: impl Fn() -> isize, after: impl Fn(isize, Stage) -> Stage) -> isize {
    let begun = table::enter(fd);
    let answer = native();
    table::exit(fd, begun, |stage| after(answer, stage));
    answer
}

/// A call that the shim leaves to the kernel: the connection goes back to its descriptor first.
fn natively(fd: i32) {
    loop {
        let word = table::look(fd);
        match word.kind() {
            Kind::Upgrading => table::wait_for_upgrade(fd, word),
            Kind::Ring => {
                if connection::of(word).is_none_or(|ring| ring.leave()) {
                    return;
                }
            }
            Kind::Watched => {
                if table::replace(fd, word, table::Word::UNKNOWN) {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn take(ring: Ring, pieces: Result<&[IoVec], i32>, flags: i32) -> Option<isize> {
    match pieces.and_then(Buffers::new) {
        Ok(buffers) => transfer::receive(ring, buffers, flags),
        Err(errno) => Some(-(errno as isize)),
    }
}

fn give(ring: Ring, pieces: Result<&[IoVec], i32>, flags: i32) -> Option<isize> {
    match pieces.and_then(Buffers::new) {
        Ok(buffers) => transfer::send(ring, buffers, flags),
        Err(errno) => Some(-(errno as isize)),
    }
}

/// Sum of pieces that the kernel has already looked at.
unsafe fn total(pieces: *const IoVec, count: usize) -> usize {
    // SAFETY: the caller's promise.
    let pieces = unsafe { Buffers::pieces(pieces, count) };
    pieces.map_or(0, |pieces| {
        pieces
            .iter()
            .fold(0, |sum, piece| sum.saturating_add(piece.len))
    })
}

/// The count of readv(2), which must not be negative.
fn count_of(count: i32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

exports! {
    /// read(2).
    fn read(fd: i32, target: *mut u8, len: usize) -> isize {
        reading(fd, || next::read(fd, target, len), |ring| take(ring, Ok(&one(target, len)), 0))
    }

    /// read(2) as glibc's own libraries call it.
    fn __read(fd: i32, target: *mut u8, len: usize) -> isize {
        read(fd, target, len)
    }

    /// The fortified read(2).
    fn __read_chk(fd: i32, target: *mut u8, len: usize, room: usize) -> isize {
        if len > room {
            overflow();
        }
        read(fd, target, len)
    }

    /// readv(2).
    fn readv(fd: i32, iov: *const IoVec, count: i32) -> isize {
        reading(
            fd,
            || next::readv(fd, iov, count),
            |ring| take(ring, Buffers::pieces(iov, count_of(count)), 0),
        )
    }

    /// recv(2).
    fn recv(fd: i32, target: *mut u8, len: usize, flags: i32) -> isize {
        reading(fd, || next::recv(fd, target, len, flags), |ring| take(ring, Ok(&one(target, len)), flags))
    }

    /// The fortified recv(2).
    fn __recv_chk(fd: i32, target: *mut u8, len: usize, room: usize, flags: i32) -> isize {
        if len > room {
            overflow();
        }
        recv(fd, target, len, flags)
    }

    /// recvfrom(2): a connected stream names nobody.
    fn recvfrom(fd: i32, target: *mut u8, len: usize, flags: i32, name: *mut u8, name_len: *mut u32) -> isize {
        reading(
            fd,
            || next::recvfrom(fd, target, len, flags, name, name_len),
            |ring| {
                let answer = take(ring, Ok(&one(target, len)), flags);
                if answer.is_some_and(|answer| answer >= 0) && !name.is_null() && !name_len.is_null() {
                    *name_len = 0;
                }
                answer
            },
        )
    }

    /// The fortified recvfrom(2).
    fn __recvfrom_chk(
        fd: i32, target: *mut u8, len: usize, room: usize, flags: i32, name: *mut u8, name_len: *mut u32,
    ) -> isize {
        if len > room {
            overflow();
        }
        recvfrom(fd, target, len, flags, name, name_len)
    }

    /// recvmsg(2): no name and no ancillary data come on a ring.
    fn recvmsg(fd: i32, message: *mut MsgHdr, flags: i32) -> isize {
        reading(
            fd,
            || next::recvmsg(fd, message, flags),
            |ring| {
                let Some(header) = message.as_mut() else { return Some(-(errno::EFAULT as isize)) };
                let answer = take(ring, Buffers::pieces(header.iov, header.iov_len as usize), flags);
                if answer.is_some_and(|answer| answer >= 0) {
                    (header.name_len, header.control_len, header.flags) = (0, 0, 0);
                }
                answer
            },
        )
    }

    /// write(2).
    fn write(fd: i32, source: *const u8, len: usize) -> isize {
        writing(fd, len, || next::write(fd, source, len), |ring| give(ring, Ok(&one(source, len)), 0))
    }

    /// write(2) as glibc's own libraries call it.
    fn __write(fd: i32, source: *const u8, len: usize) -> isize {
        write(fd, source, len)
    }

    /// send(2) as glibc's own libraries call it.
    fn __send(fd: i32, source: *const u8, len: usize, flags: i32) -> isize {
        send(fd, source, len, flags)
    }

    /// writev(2).
    fn writev(fd: i32, iov: *const IoVec, count: i32) -> isize {
        writing(
            fd,
            if table::look(fd).kind() == Kind::Watched { total(iov, count_of(count)) } else { 0 },
            || next::writev(fd, iov, count),
            |ring| give(ring, Buffers::pieces(iov, count_of(count)), 0),
        )
    }

    /// send(2).
    fn send(fd: i32, source: *const u8, len: usize, flags: i32) -> isize {
        writing(fd, len, || next::send(fd, source, len, flags), |ring| give(ring, Ok(&one(source, len)), flags))
    }

    /// sendto(2): with a name it is the kernel's to refuse.
    fn sendto(fd: i32, source: *const u8, len: usize, flags: i32, name: *const u8, name_len: u32) -> isize {
        if !name.is_null() {
            natively(fd);
        }
        writing(
            fd,
            len,
            || next::sendto(fd, source, len, flags, name, name_len),
            |ring| give(ring, Ok(&one(source, len)), flags),
        )
    }

    /// sendmsg(2). Descriptors that are sent along go back to be the kernel's first, and so does a connection that sends
    /// anything but bytes.
    fn sendmsg(fd: i32, message: *const MsgHdr, flags: i32) -> isize {
        let Some(header) = message.as_ref() else { return next::sendmsg(fd, message, flags) };
        if !header.control.is_null() && header.control_len > 0 {
            release_sent(header.control, header.control_len as usize);
            natively(fd);
        }
        if !header.name.is_null() {
            natively(fd);
        }
        let (iov, count) = (header.iov, header.iov_len as usize);
        writing(
            fd,
            if table::look(fd).kind() == Kind::Watched { total(iov, count) } else { 0 },
            || next::sendmsg(fd, message, flags),
            |ring| give(ring, Buffers::pieces(iov, count), flags),
        )
    }

    /// recvmmsg(2): left to the kernel.
    fn recvmmsg(fd: i32, messages: *mut u8, count: u32, flags: i32, timeout: *mut crate::sys::Time) -> i32 {
        natively(fd);
        next::recvmmsg(fd, messages, count, flags, timeout)
    }

    /// sendmmsg(2): left to the kernel.
    fn sendmmsg(fd: i32, messages: *mut u8, count: u32, flags: i32) -> i32 {
        natively(fd);
        next::sendmmsg(fd, messages, count, flags)
    }

    /// sendfile(2): the file's bytes pass through memory onto the ring.
    fn sendfile(target: i32, source: i32, offset: *mut i64, len: usize) -> isize {
        natively(source);
        writing(
            target,
            len,
            || next::sendfile(target, source, offset, len),
            |ring| transfer::send_file(ring, source, offset, len),
        )
    }

    /// sendfile(2) under its name for large files.
    fn sendfile64(target: i32, source: i32, offset: *mut i64, len: usize) -> isize {
        sendfile(target, source, offset, len)
    }

    /// splice(2): left to the kernel.
    fn splice(from: i32, from_at: *mut i64, to: i32, to_at: *mut i64, len: usize, flags: u32) -> isize {
        natively(from);
        natively(to);
        next::splice(from, from_at, to, to_at, len, flags)
    }
}

/// A fortified call was given less room than it asks for: ends the program, as libc's own check does.
pub fn overflow() {
    // SAFETY: libc's own end of the program.
    let _ = unsafe { next::__chk_fail() };
}

/// The descriptors in ancillary data are somebody else's too from now on.
unsafe fn release_sent(control: *const u8, len: usize) {
    /// `struct cmsghdr`: length (8 bytes), level, type.
    const HEADER_BYTES: usize = 16;
    const SCM_RIGHTS: i32 = 1;
    let mut at = 0;
    while at + HEADER_BYTES <= len {
        // SAFETY: within the caller's ancillary data.
        let (size, level, kind) = unsafe {
            let header = control.add(at);
            (
                header.cast::<usize>().read_unaligned(),
                header.add(8).cast::<i32>().read_unaligned(),
                header.add(12).cast::<i32>().read_unaligned(),
            )
        };
        // musl has a length of four bytes and padding there.
        let size = size & 0xffff_ffff;
        if size < HEADER_BYTES || size > len - at {
            return;
        }
        if level == crate::sys::SOL_SOCKET && kind == SCM_RIGHTS {
            for number in 0..(size - HEADER_BYTES) / 4 {
                // SAFETY: within this header's data.
                let fd = unsafe {
                    control
                        .add(at + HEADER_BYTES + number * 4)
                        .cast::<i32>()
                        .read_unaligned()
                };
                natively(fd);
                crate::epoll::retire(table::look(fd));
            }
        }
        at += size.next_multiple_of(8);
    }
}

/// What another module's call leaves to the kernel.
pub fn leave_to_kernel(fd: i32) {
    natively(fd);
}
