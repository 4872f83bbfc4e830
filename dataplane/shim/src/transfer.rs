//! Moving bytes: what read(2), recv(2), write(2), send(2) and sendfile(2) do on a ring.
//!
//! Every function answers as the kernel would (`-errno` for an error), or `None` when the connection has gone back to
//! its descriptor: the caller then makes the native call.

use core::sync::atomic::Ordering;

use crate::buffers::Buffers;
use crate::connection::{Ring, DEAD, HOST_HUNG_UP, NONBLOCK, SENT_LAST, WRITE_CUT};
use crate::park::{self, Side, Woken};
use crate::sys::{self, errno, msg, number as nr};
use crate::{process, syscall};

/// Flags of recv(2) that change nothing here or are obeyed.
const RECEIVE_FLAGS: i32 =
    msg::PEEK | msg::TRUNC | msg::DONTWAIT | msg::WAITALL | msg::NOSIGNAL | msg::CMSG_CLOEXEC;
/// Flags of send(2) that change nothing here or are obeyed.
const SEND_FLAGS: i32 =
    msg::DONTROUTE | msg::DONTWAIT | msg::EOR | msg::CONFIRM | msg::NOSIGNAL | msg::MORE;

/// What one look at the ring gave.
enum Look {
    /// So many bytes; 0: nothing there yet.
    Bytes(usize),
    /// The end of the stream, or an error.
    End(isize),
    /// On its descriptor.
    Left,
}

/// Takes bytes into `buffers`.
pub fn receive(ring: Ring, mut buffers: Buffers<'_>, flags: i32) -> Option<isize> {
    let both = |pair: i32| flags & pair == pair;
    if flags & !RECEIVE_FLAGS != 0 || both(msg::PEEK | msg::WAITALL) || both(msg::PEEK | msg::TRUNC)
    {
        ring.leave();
        return None;
    }
    if buffers.left() == 0 {
        return Some(0);
    }
    let may_wait = flags & msg::DONTWAIT == 0 && !ring.has(NONBLOCK);
    let mut wait = park::Wait::new(ring, Side::Read);
    let mut done = 0_usize;
    loop {
        match take(ring, &mut buffers, flags) {
            Look::Bytes(len) => done += len,
            Look::End(answer) => return Some(if done > 0 { done as isize } else { answer }),
            Look::Left => return (done > 0).then_some(done as isize),
        }
        if buffers.left() == 0 || (done > 0 && (!may_wait || flags & msg::WAITALL == 0)) {
            return Some(done as isize);
        }
        if !may_wait {
            notice_death(ring);
            return Some(-(errno::EAGAIN as isize));
        }
        match wait.sleep() {
            Woken::Look => {}
            Woken::Refused(_) if done > 0 => return Some(done as isize),
            Woken::Refused(errno) => return Some(-(errno as isize)),
        }
    }
}

/// One look: what is in the socket still, then what is in the ring.
fn take(ring: Ring, buffers: &mut Buffers<'_>, flags: i32) -> Look {
    let connection = ring.connection;
    let Some(_held) = connection.reading.enter() else {
        // A signal handler on top of this thread's own reading: nothing for it now.
        return Look::End(-(errno::EAGAIN as isize));
    };
    if !ring.is_current() {
        return Look::Left;
    }
    let ended = ring.ended();
    let mut done = 0;
    while connection.pending.load(Ordering::Relaxed) > 0 {
        let len = take_pending(ring, buffers, flags);
        if len <= 0 || flags & msg::PEEK != 0 {
            break;
        }
        done += len as usize;
        if buffers.left() == 0 {
            return Look::Bytes(done);
        }
    }
    if done > 0 && flags & msg::PEEK != 0 {
        return Look::Bytes(done);
    }
    let end = ring.end();
    let before = done;
    while let Some((target, len)) = buffers.stretch() {
        // SAFETY: memory that the caller named for this; a wrong address faults here as it would fail there.
        let taken = unsafe {
            match flags & (msg::PEEK | msg::TRUNC) {
                0 => end.take(target, len),
                msg::PEEK => end.peek(target, len),
                _ => end.skip(len),
            }
        };
        buffers.advance(taken);
        done += taken;
        if taken < len || flags & msg::PEEK != 0 {
            break;
        }
    }
    if done > before && flags & msg::PEEK == 0 {
        process::ring(end.notify_space());
    }
    if done == 0 && ended {
        return Look::End(last_word(ring));
    }
    Look::Bytes(done)
}

/// Reads what was in the socket before the ring began.
fn take_pending(ring: Ring, buffers: &mut Buffers<'_>, flags: i32) -> isize {
    let pending = &ring.connection.pending;
    let Some((target, len)) = buffers.stretch() else {
        return 0;
    };
    let len = len.min(pending.load(Ordering::Relaxed) as usize);
    let native = msg::DONTWAIT | flags & (msg::PEEK | msg::TRUNC);
    // SAFETY: memory that the caller named for this.
    let answer = unsafe { sys::receive(ring.fd(), target, len, native) };
    if answer > 0 {
        buffers.advance(answer as usize);
        if flags & msg::PEEK == 0 {
            pending.fetch_sub(answer as u32, Ordering::Relaxed);
        }
    } else if answer == 0 || answer == -(errno::EAGAIN as isize) {
        // The host counted more than there was; waiting for it would be for ever.
        pending.store(0, Ordering::Relaxed);
    }
    answer
}

/// The end of a stream whose ring is empty: as the descriptor says it where that is what ended it.
fn last_word(ring: Ring) -> isize {
    if !ring.has(HOST_HUNG_UP) {
        return 0;
    }
    let mut byte = 0_u8;
    // SAFETY: one byte of our own.
    let answer = unsafe { sys::receive(ring.fd(), &raw mut byte, 1, msg::DONTWAIT | msg::PEEK) };
    if answer < 0 && answer != -(errno::EAGAIN as isize) {
        answer
    } else {
        0
    }
}

/// A program that only ever tries again, and never waits, hears of the host's death here.
fn notice_death(ring: Ring) {
    if ring.connection.parker.every_64th_refusal() {
        ring.heard(sys::poll_one(ring.fd(), sys::ready::RDHUP));
    }
}

/// Publishes the bytes of `buffers`.
pub fn send(ring: Ring, mut buffers: Buffers<'_>, flags: i32) -> Option<isize> {
    if flags & !SEND_FLAGS != 0 {
        ring.leave();
        return None;
    }
    let may_wait = flags & msg::DONTWAIT == 0 && !ring.has(NONBLOCK);
    let mut wait = park::Wait::new(ring, Side::Write);
    let mut done = 0_usize;
    loop {
        match put(ring, &mut buffers) {
            Look::Bytes(len) => done += len,
            Look::End(_) if done > 0 => return Some(done as isize),
            Look::End(answer) => {
                if answer == -(errno::EPIPE as isize) && flags & msg::NOSIGNAL == 0 {
                    sys::raise_sigpipe();
                }
                return Some(answer);
            }
            Look::Left if done > 0 => return Some(done as isize),
            Look::Left => return None,
        }
        if buffers.left() == 0 {
            return Some(done as isize);
        }
        if !may_wait {
            return Some(if done > 0 {
                done as isize
            } else {
                -(errno::EAGAIN as isize)
            });
        }
        match wait.sleep() {
            Woken::Look => {}
            Woken::Refused(_) if done > 0 => return Some(done as isize),
            Woken::Refused(errno) => return Some(-(errno as isize)),
        }
    }
}

/// One look: as much as fits.
fn put(ring: Ring, buffers: &mut Buffers<'_>) -> Look {
    let Some(_held) = ring.connection.writing.enter() else {
        return Look::End(-(errno::EAGAIN as isize));
    };
    if !ring.is_current() {
        return Look::Left;
    }
    if ring.has(HOST_HUNG_UP) && !ring.has(DEAD) {
        // A host that ended its sending may still listen; a dead one does not.
        ring.heard(sys::poll_one(ring.fd(), 0));
    }
    if ring.has(SENT_LAST) || ring.deaf() {
        return Look::End(-(errno::EPIPE as isize));
    }
    let end = ring.end();
    let mut done = 0;
    while let Some((source, len)) = buffers.stretch() {
        // SAFETY: memory that the caller named for this; a wrong address faults here as it would fail there.
        let put = unsafe { end.publish_from(source, len) };
        buffers.advance(put);
        done += put;
        if put < len {
            break;
        }
    }
    if done > 0 {
        process::ring(end.notify_data());
    }
    if buffers.left() > 0 {
        ring.set(WRITE_CUT, true);
        if end.wants_space() && done == 0 {
            // Space came while we asked for it.
            return put_more(ring, buffers);
        }
    }
    Look::Bytes(done)
}

/// Once more under the same lock, after space has come.
fn put_more(ring: Ring, buffers: &mut Buffers<'_>) -> Look {
    let Some((source, len)) = buffers.stretch() else {
        return Look::Bytes(0);
    };
    let end = ring.end();
    // SAFETY: as in `put`.
    let put = unsafe { end.publish_from(source, len) };
    buffers.advance(put);
    if put > 0 {
        process::ring(end.notify_data());
    }
    let _ = buffers.left() > 0 && end.wants_space();
    Look::Bytes(put)
}

/// Bytes that a file's contents pass through on their way to a ring.
const CHUNK_BYTES: usize = 8_192;

/// sendfile(2) to a ring: from `offset` on, which moves, or from the file's own position.
///
/// # Safety
/// `offset` is null or points at an offset.
pub unsafe fn send_file(ring: Ring, file: i32, offset: *mut i64, len: usize) -> Option<isize> {
    let mut chunk = [0_u8; CHUNK_BYTES];
    // SAFETY: the caller's promise.
    let mut at = unsafe { offset.as_ref() }
        .copied()
        .unwrap_or_else(|| position(file));
    if at < 0 {
        // Not seekable or not a descriptor: the kernel knows what to say.
        ring.leave();
        return None;
    }
    let mut done = 0_usize;
    let answer = loop {
        let want = CHUNK_BYTES.min(len - done);
        if want == 0 {
            break Some(0);
        }
        // SAFETY: `chunk` has room for `want` bytes.
        let got = unsafe { syscall!(nr::PREAD64, file, chunk.as_mut_ptr(), want, at) };
        if got <= 0 {
            break Some(got);
        }
        let piece = [sys::IoVec {
            base: chunk.as_mut_ptr(),
            len: got as usize,
        }];
        let Ok(buffers) = Buffers::new(&piece) else {
            break Some(0);
        };
        let sent = send(ring, buffers, 0);
        let Some(sent) = sent.filter(|sent| *sent > 0) else {
            break sent;
        };
        done += sent as usize;
        at += sent as i64;
        if sent < got {
            break Some(0);
        }
    };
    if offset.is_null() {
        set_position(file, at);
    } else {
        // SAFETY: the caller's promise.
        unsafe { *offset = at };
    }
    if done > 0 {
        Some(done as isize)
    } else {
        answer
    }
}

/// lseek(2) to nowhere: the file's position, or an error.
fn position(file: i32) -> i64 {
    const LSEEK: usize = 8;
    // SAFETY: numbers only. 1: SEEK_CUR.
    unsafe { syscall!(LSEEK, file, 0, 1) as i64 }
}

fn set_position(file: i32, at: i64) {
    const LSEEK: usize = 8;
    // SAFETY: numbers only. 0: SEEK_SET.
    let _ = unsafe { syscall!(LSEEK, file, at, 0) };
}
