//! The definitions that the shim stands in front of: the program's own libc, looked up at the first use of each.
//!
//! What is not ours goes there and not straight to the kernel, so that thread cancellation, fortification and whatever
//! another preloaded library does stay as they are. Where a libc lacks a name (musl, an old glibc) the kernel is asked.

use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::sys::{self, number as nr, EpollEvent, IoVec, MsgHdr, PollFd, Time};
use crate::syscall;

/// Looked up and not there.
const ABSENT: usize = 1;

// Weak: before glibc 2.34 dlsym lived in a library of its own, which a program need not have loaded.
core::arch::global_asm!(".weak dlsym");

#[cfg(not(feature = "embedded"))]
unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

/// Without a libc, errno lies at the lower end of the stack that the call was given.
#[cfg(feature = "embedded")]
unsafe fn __errno_location() -> *mut i32 {
    crate::embedded::stack() as *mut i32
}

/// Where dlsym(3) is; 0: the program has none.
#[cfg(not(feature = "embedded"))]
fn dlsym_address() -> usize {
    let address: usize;
    // SAFETY: the entry of a weak symbol in the global offset table: its address, or 0.
    unsafe {
        core::arch::asm!("mov {}, qword ptr [rip + dlsym@GOTPCREL]", out(reg) address, options(nostack, readonly));
    }
    address
}

/// There is nothing to look names up in.
#[cfg(feature = "embedded")]
fn dlsym_address() -> usize {
    0
}

#[cfg(not(feature = "embedded"))]
use crate::symbols::next as walk;

#[cfg(feature = "embedded")]
fn walk(_: &CStr) -> usize {
    0
}

/// A name of libc and where it is.
pub struct Name {
    name: &'static CStr,
    address: AtomicUsize,
}

impl Name {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            address: AtomicUsize::new(0),
        }
    }

    /// The name in a literal that ends in a zero.
    #[must_use]
    pub const fn literal(name: &'static str) -> Self {
        match CStr::from_bytes_with_nul(name.as_bytes()) {
            Ok(name) => Self::new(name),
            Err(_) => Self::new(c""),
        }
    }

    /// Its address; 0 where no loaded library has it.
    #[inline]
    pub fn address(&self) -> usize {
        match self.address.load(Ordering::Relaxed) {
            0 => self.look_up(),
            ABSENT => 0,
            address => address,
        }
    }

    #[cold]
    fn look_up(&self) -> usize {
        type Dlsym = unsafe extern "C" fn(usize, *const core::ffi::c_char) -> usize;
        const RTLD_NEXT: usize = usize::MAX;
        let dlsym = dlsym_address();
        let address = if dlsym == 0 || walks_always() {
            walk(self.name)
        } else {
            let errno = get_errno();
            // SAFETY: dlsym(3); the name is a C string.
            let found = unsafe {
                core::mem::transmute::<usize, Dlsym>(dlsym)(RTLD_NEXT, self.name.as_ptr())
            };
            set_errno(errno);
            found
        };
        self.address.store(
            if address == 0 { ABSENT } else { address },
            Ordering::Relaxed,
        );
        address
    }
}

/// Whether the tests want names to be found as where there is no dlsym.
#[cfg(feature = "test-host")]
fn walks_always() -> bool {
    crate::test_host::variable(b"JSHIM_TEST_WALK=").is_some()
}

#[cfg(not(feature = "test-host"))]
fn walks_always() -> bool {
    false
}

/// This thread's errno.
pub fn get_errno() -> i32 {
    // SAFETY: glibc and musl answer with this thread's errno.
    unsafe { *__errno_location() }
}

/// Sets this thread's errno.
pub fn set_errno(value: i32) {
    // SAFETY: glibc and musl answer with this thread's errno.
    unsafe { *__errno_location() = value };
}

/// Turns an answer of the kernel into one of libc: -1 and errno.
#[inline]
pub fn finish(answer: isize) -> isize {
    if sys::failed(answer) {
        set_errno(-answer as i32);
        return -1;
    }
    answer
}

/// Turns an answer of libc into one of the kernel.
#[inline]
pub fn raw(answer: isize) -> isize {
    if answer == -1 {
        return -(get_errno() as isize);
    }
    answer
}

macro_rules! definitions {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty = $fallback:expr;)*) => {
        $(
            #[doc = concat!("The next `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As the manual page says.
            #[inline]
            #[allow(non_snake_case, unused_unsafe)]
            pub unsafe fn $name($($argument: $kind),*) -> $answer {
                static NAME: Name = Name::literal(concat!(stringify!($name), "\0"));
                let address = NAME.address();
                if address == 0 {
                    // SAFETY: the caller's promise.
                    return finish(unsafe { $fallback }) as $answer;
                }
                // SAFETY: the address of the function of this name, whose type this is.
                let function: unsafe extern "C" fn($($kind),*) -> $answer = unsafe { core::mem::transmute(address) };
                // SAFETY: the caller's promise.
                unsafe { function($($argument),*) }
            }
        )*
    };
}

/// What ends a program whose libc has no check of its own.
const SIGABRT: usize = 6;
/// Answer of a call that a libc lacks and the kernel has no number for.
const NO_SUCH_CALL: isize = -38;

definitions! {
    read(fd: i32, target: *mut u8, len: usize) -> isize = syscall!(nr::READ, fd, target, len);
    readv(fd: i32, iov: *const IoVec, count: i32) -> isize = syscall!(nr::READV, fd, iov, count);
    recv(fd: i32, target: *mut u8, len: usize, flags: i32) -> isize
        = syscall!(nr::RECVFROM, fd, target, len, flags, 0, 0);
    recvfrom(fd: i32, target: *mut u8, len: usize, flags: i32, name: *mut u8, name_len: *mut u32) -> isize
        = syscall!(nr::RECVFROM, fd, target, len, flags, name, name_len);
    recvmsg(fd: i32, message: *mut MsgHdr, flags: i32) -> isize = syscall!(nr::RECVMSG, fd, message, flags);
    recvmmsg(fd: i32, messages: *mut u8, count: u32, flags: i32, timeout: *mut Time) -> i32
        = syscall!(nr::RECVMMSG, fd, messages, count, flags, timeout);
    write(fd: i32, source: *const u8, len: usize) -> isize = syscall!(nr::WRITE, fd, source, len);
    writev(fd: i32, iov: *const IoVec, count: i32) -> isize = syscall!(nr::WRITEV, fd, iov, count);
    send(fd: i32, source: *const u8, len: usize, flags: i32) -> isize
        = syscall!(nr::SENDTO, fd, source, len, flags, 0, 0);
    sendto(fd: i32, source: *const u8, len: usize, flags: i32, name: *const u8, name_len: u32) -> isize
        = syscall!(nr::SENDTO, fd, source, len, flags, name, name_len);
    sendmsg(fd: i32, message: *const MsgHdr, flags: i32) -> isize = syscall!(nr::SENDMSG, fd, message, flags);
    sendmmsg(fd: i32, messages: *mut u8, count: u32, flags: i32) -> i32
        = syscall!(nr::SENDMMSG, fd, messages, count, flags);
    sendfile(target: i32, source: i32, offset: *mut i64, len: usize) -> isize
        = syscall!(nr::SENDFILE, target, source, offset, len);
    splice(from: i32, from_at: *mut i64, to: i32, to_at: *mut i64, len: usize, flags: u32) -> isize
        = syscall!(nr::SPLICE, from, from_at, to, to_at, len, flags);
    poll(list: *mut PollFd, count: u64, timeout_ms: i32) -> i32 = syscall!(nr::POLL, list, count, timeout_ms);
    ppoll(list: *mut PollFd, count: u64, timeout: *const Time, mask: *const u64) -> i32
        = syscall!(nr::PPOLL, list, count, timeout, mask, sys::SIGSET_BYTES);
    select(count: i32, read: *mut u64, write: *mut u64, except: *mut u64, timeout: *mut Time) -> i32
        = syscall!(nr::SELECT, count, read, write, except, timeout);
    pselect(count: i32, read: *mut u64, write: *mut u64, except: *mut u64, timeout: *const Time, mask: *const u64)
        -> i32 = {
            let mut rest = if timeout.is_null() { Time::default() } else { *timeout };
            let rest: *mut Time = if timeout.is_null() { core::ptr::null_mut() } else { &raw mut rest };
            let pair = [mask as usize, sys::SIGSET_BYTES];
            syscall!(nr::PSELECT6, count, read, write, except, rest, pair.as_ptr())
        };
    epoll_create(size: i32) -> i32 = syscall!(nr::EPOLL_CREATE, size);
    epoll_create1(flags: i32) -> i32 = syscall!(nr::EPOLL_CREATE1, flags);
    epoll_ctl(epoll: i32, operation: i32, fd: i32, event: *mut EpollEvent) -> i32
        = syscall!(nr::EPOLL_CTL, epoll, operation, fd, event);
    epoll_pwait(epoll: i32, events: *mut EpollEvent, room: i32, timeout_ms: i32, mask: *const u64) -> i32
        = syscall!(nr::EPOLL_PWAIT, epoll, events, room, timeout_ms, mask, sys::SIGSET_BYTES);
    epoll_pwait2(epoll: i32, events: *mut EpollEvent, room: i32, timeout: *const Time, mask: *const u64) -> i32
        = syscall!(nr::EPOLL_PWAIT2, epoll, events, room, timeout, mask, sys::SIGSET_BYTES);
    accept(fd: i32, name: *mut u8, name_len: *mut u32) -> i32 = syscall!(nr::ACCEPT, fd, name, name_len);
    accept4(fd: i32, name: *mut u8, name_len: *mut u32, flags: i32) -> i32
        = syscall!(nr::ACCEPT4, fd, name, name_len, flags);
    shutdown(fd: i32, how: i32) -> i32 = syscall!(nr::SHUTDOWN, fd, how);
    close(fd: i32) -> i32 = syscall!(nr::CLOSE, fd);
    close_range(first: u32, last: u32, flags: i32) -> i32 = syscall!(nr::CLOSE_RANGE, first, last, flags);
    dup(fd: i32) -> i32 = syscall!(nr::DUP, fd);
    dup2(from: i32, to: i32) -> i32 = syscall!(nr::DUP2, from, to);
    dup3(from: i32, to: i32, flags: i32) -> i32 = syscall!(nr::DUP3, from, to, flags);
    fcntl(fd: i32, command: i32, argument: usize) -> i32 = syscall!(nr::FCNTL, fd, command, argument);
    ioctl(fd: i32, request: usize, argument: usize) -> i32 = syscall!(nr::IOCTL, fd, request, argument);
    setsockopt(fd: i32, level: i32, option: i32, value: *const u8, len: u32) -> i32
        = syscall!(nr::SETSOCKOPT, fd, level, option, value, len);
    syscall(number: i64, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> i64
        = syscall!(number as usize, a, b, c, d, e, f);
    fork() -> i32 = syscall!(nr::FORK);
    _Fork() -> i32 = syscall!(nr::FORK);
    daemon(_keep_folder: i32, _keep_streams: i32) -> i32 = NO_SUCH_CALL;
    forkpty(_terminal: *mut i32, _name: *mut u8, _settings: *const u8, _size: *const u8) -> i32 = NO_SUCH_CALL;
    __chk_fail() -> isize = syscall!(nr::TGKILL, sys::process(), syscall!(nr::GETTID), SIGABRT);
    clock_gettime(clock: i32, time: *mut Time) -> i32 = syscall!(nr::CLOCK_GETTIME, clock, time);
}

/// Nanoseconds of the monotonic clock (through libc, which asks the vDSO).
#[must_use]
pub fn now_ns() -> u64 {
    let mut time = Time::default();
    // SAFETY: room for one timespec. 1: CLOCK_MONOTONIC.
    unsafe { clock_gettime(1, &raw mut time) };
    (time.seconds as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.part as u64)
}
