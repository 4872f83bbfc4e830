//! The kernel's numbers and structures (x86-64), and thin wrappers that answer as the kernel does: a value, or `-errno`.

pub mod call;
pub mod number;

pub use call::{thread, ticks};
use number as nr;

use crate::syscall;

/// errno(3) values that the shim itself produces or looks at.
pub mod errno {
    #![allow(missing_docs)]
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EBADF: i32 = 9;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EFAULT: i32 = 14;
    pub const EEXIST: i32 = 17;
    pub const EINVAL: i32 = 22;
    pub const EMFILE: i32 = 24;
    pub const EPIPE: i32 = 32;
    pub const EMSGSIZE: i32 = 90;
}

/// poll(2) and epoll(7) bits; the two families share their values.
pub mod ready {
    #![allow(missing_docs)]
    pub const IN: u32 = 0x001;
    pub const PRI: u32 = 0x002;
    pub const OUT: u32 = 0x004;
    pub const ERR: u32 = 0x008;
    pub const HUP: u32 = 0x010;
    pub const NVAL: u32 = 0x020;
    pub const RDNORM: u32 = 0x040;
    pub const RDBAND: u32 = 0x080;
    pub const WRNORM: u32 = 0x100;
    pub const WRBAND: u32 = 0x200;
    pub const RDHUP: u32 = 0x2000;
    pub const EXCLUSIVE: u32 = 1 << 28;
    pub const WAKEUP: u32 = 1 << 29;
    pub const ONESHOT: u32 = 1 << 30;
    pub const EDGE: u32 = 1 << 31;
}

/// Flags of recv(2) and send(2).
pub mod msg {
    #![allow(missing_docs)]
    pub const OOB: i32 = 0x1;
    pub const PEEK: i32 = 0x2;
    pub const DONTROUTE: i32 = 0x4;
    pub const CTRUNC: i32 = 0x8;
    pub const TRUNC: i32 = 0x20;
    pub const DONTWAIT: i32 = 0x40;
    pub const EOR: i32 = 0x80;
    pub const WAITALL: i32 = 0x100;
    pub const CONFIRM: i32 = 0x800;
    pub const NOSIGNAL: i32 = 0x4000;
    pub const MORE: i32 = 0x8000;
    pub const CMSG_CLOEXEC: i32 = 0x4000_0000;
}

/// `O_NONBLOCK` of fcntl(2).
pub const O_NONBLOCK: i32 = 0o4000;
/// `O_ASYNC` of fcntl(2).
pub const O_ASYNC: i32 = 0o20_000;
/// `O_CLOEXEC`, the same bit in every call that has one.
pub const CLOEXEC: i32 = 0o2_000_000;
/// fcntl(2) commands.
pub const F_DUPFD: i32 = 0;
/// See fcntl(2).
pub const F_GETFD: i32 = 1;
/// See fcntl(2).
pub const F_GETFL: i32 = 3;
/// See fcntl(2).
pub const F_SETFL: i32 = 4;
/// See fcntl(2).
pub const F_DUPFD_CLOEXEC: i32 = 1_030;
/// See socket(7).
pub const SOL_SOCKET: i32 = 1;
/// See socket(7).
pub const SO_RCVLOWAT: i32 = 18;
/// See socket(7).
pub const SO_RCVTIMEO: i32 = 20;
/// See socket(7).
pub const SO_SNDTIMEO: i32 = 21;
/// Bytes of the kernel's own signal set.
pub const SIGSET_BYTES: usize = 8;

/// `struct epoll_event`, packed on x86-64.
#[repr(C, packed)]
#[derive(Clone, Copy, Default)]
pub struct EpollEvent {
    /// Bits of [`ready`].
    pub events: u32,
    /// The caller's word.
    pub data: u64,
}

/// `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PollFd {
    /// Descriptor; negative: skip.
    pub fd: i32,
    /// Asked for.
    pub events: i16,
    /// Answered.
    pub revents: i16,
}

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoVec {
    /// First byte.
    pub base: *mut u8,
    /// Bytes.
    pub len: usize,
}

/// `struct msghdr`.
#[repr(C)]
pub struct MsgHdr {
    /// Peer's name.
    pub name: *mut u8,
    /// Bytes of it.
    pub name_len: u32,
    /// Pieces.
    pub iov: *mut IoVec,
    /// How many: the lower half of glibc's `size_t`, all of musl's `int`.
    pub iov_len: u32,
    /// The upper half: 0 in glibc, padding in musl.
    pub iov_len_high: u32,
    /// Ancillary data.
    pub control: *mut u8,
    /// Bytes of it: the lower half of glibc's `size_t`, all of musl's `socklen_t`.
    pub control_len: u32,
    /// The upper half: 0 in glibc, padding in musl.
    pub control_len_high: u32,
    /// Answered flags.
    pub flags: i32,
}

/// `struct timespec` and, with another unit, `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds (timespec) or microseconds (timeval).
    pub part: i64,
}

/// Whether an answer of the kernel is an error.
#[inline]
#[must_use]
pub fn failed(answer: isize) -> bool {
    (-4_095..0).contains(&answer)
}

/// Closes a descriptor without any of the program's own wrappers.
pub fn close(fd: i32) {
    // SAFETY: the caller owns the descriptor.
    let _ = unsafe { syscall!(nr::CLOSE, fd) };
}

/// Tells an eventfd's watchers to look: see `jd_ring::abi::EVENTFD_WAKE` for why it writes 0.
pub fn wake(eventfd: i32) {
    let value = jd_ring::abi::EVENTFD_WAKE;
    // SAFETY: eight readable bytes.
    let _ = unsafe { syscall!(nr::WRITE, eventfd, &raw const value, 8) };
}

/// epoll_ctl(2).
pub fn epoll_ctl(epoll: i32, operation: i32, fd: i32, events: u32, data: u64) -> isize {
    let event = EpollEvent { events, data };
    // SAFETY: the event lives during the call.
    unsafe { syscall!(nr::EPOLL_CTL, epoll, operation, fd, &raw const event) }
}

/// epoll_wait(2) that does not wait.
pub fn epoll_look(epoll: i32, events: *mut EpollEvent, room: usize) -> isize {
    // SAFETY: the caller's room for events.
    unsafe { syscall!(nr::EPOLL_PWAIT, epoll, events, room, 0, 0, SIGSET_BYTES) }
}

/// fcntl(2).
pub fn fcntl(fd: i32, command: i32, argument: usize) -> isize {
    // SAFETY: only used with commands that take a number.
    unsafe { syscall!(nr::FCNTL, fd, command, argument) }
}

/// getpid(2).
#[must_use]
pub fn process() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { syscall!(nr::GETPID) as i32 }
}

/// recvfrom(2) without an address.
///
/// # Safety
/// `target` is writable for `len` bytes.
pub unsafe fn receive(fd: i32, target: *mut u8, len: usize, flags: i32) -> isize {
    // SAFETY: the caller's promise.
    unsafe { syscall!(nr::RECVFROM, fd, target, len, flags, 0, 0) }
}

/// What poll(2) says about one descriptor now; 0 where it says nothing.
#[must_use]
pub fn poll_one(fd: i32, events: u32) -> u32 {
    let mut one = PollFd {
        fd,
        events: events as i16,
        revents: 0,
    };
    // SAFETY: one element, no waiting.
    let answer = unsafe { syscall!(nr::POLL, &raw mut one, 1, 0) };
    if answer == 1 {
        one.revents as u16 as u32
    } else {
        0
    }
}

/// Sends SIGPIPE to the calling thread, as a write to a closed stream does.
pub fn raise_sigpipe() {
    const SIGPIPE: usize = 13;
    // SAFETY: numbers only; the thread is this one.
    unsafe {
        let thread = syscall!(nr::GETTID);
        let _ = syscall!(nr::TGKILL, process(), thread, SIGPIPE);
    }
}

/// Blocks every signal of this thread; the answer goes to [`restore_signals`].
#[must_use]
pub fn block_signals() -> u64 {
    let (all, mut before) = (u64::MAX, 0_u64);
    // SAFETY: two sets of the kernel's size. SIG_BLOCK is 0.
    let _ = unsafe {
        syscall!(
            nr::RT_SIGPROCMASK,
            0,
            &raw const all,
            &raw mut before,
            SIGSET_BYTES
        )
    };
    before
}

/// Undoes [`block_signals`].
pub fn restore_signals(before: u64) {
    // SAFETY: a set of the kernel's size. SIG_SETMASK is 2.
    let _ = unsafe { syscall!(nr::RT_SIGPROCMASK, 2, &raw const before, 0, SIGSET_BYTES) };
}

/// Sleeps while the word is `value`.
pub fn futex_wait(word: *const u32, value: u32) {
    // SAFETY: the word lives in a static. 128: FUTEX_WAIT_PRIVATE.
    let _ = unsafe { syscall!(nr::FUTEX, word, 128, value, 0, 0, 0) };
}

/// Wakes up to `count` sleepers of the word.
pub fn futex_wake(word: *const u32, count: i32) {
    // SAFETY: the word lives in a static. 129: FUTEX_WAKE_PRIVATE.
    let _ = unsafe { syscall!(nr::FUTEX, word, 129, count, 0, 0, 0) };
}
