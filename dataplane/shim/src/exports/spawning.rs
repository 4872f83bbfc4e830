//! fork(2), exec(2) and their relatives, and the calls that hand a descriptor to code of libc that does not pass by us.
//!
//! A fork shares every descriptor with the child, so every connection leaves its ring before; what exec(3) leads to
//! inherits only what is not close-on-exec.

use crate::connection;
use crate::epoll::set;
use crate::exports;
use crate::lock::Guard;
use crate::next::{self, Name};
use crate::process;
use crate::signals;
use crate::table::{self, Kind, Word};
use crate::upgrade;

use super::transfer::leave_to_kernel;

/// Before a process is copied; what is answered is held until it is.
fn before_fork() -> Option<Guard<'static>> {
    let held = upgrade::pause();
    connection::leave_all();
    // A connection that both processes have is no candidate in either.
    table::each(0, u32::MAX, |fd, word| {
        if word.kind() == Kind::Watched {
            table::replace(fd, word, Word::UNKNOWN);
        }
    });
    held
}

/// Nothing of the slab is known any more; the next upgrade asks again.
fn start_over() {
    connection::forget_parkers();
    set::forget_waiters();
    process::forget_slab();
}

/// After it, in the copy.
fn in_child() {
    connection::after_fork_in_child();
    set::after_fork_in_child();
    process::after_fork_in_child();
}

fn forked(answer: i32) -> i32 {
    if answer == 0 {
        in_child();
    }
    answer
}

exports! {
    /// fork(2).
    fn fork() -> i32 {
        let _held = before_fork();
        forked(next::fork())
    }

    /// fork(2) as glibc's own libraries call it.
    fn __fork() -> i32 {
        fork()
    }

    /// The fork(2) that runs no handlers.
    fn _Fork() -> i32 {
        let _held = before_fork();
        forked(next::_Fork())
    }

    /// daemon(3) returns in a child.
    fn daemon(keep_folder: i32, keep_streams: i32) -> i32 {
        let _held = before_fork();
        forked(next::daemon(keep_folder, keep_streams))
    }

    /// forkpty(3).
    fn forkpty(terminal: *mut i32, name: *mut u8, settings: *const u8, size: *const u8) -> i32 {
        let _held = before_fork();
        forked(next::forkpty(terminal, name, settings, size))
    }
}

/// What the shim has to do before a call whose arguments it must not touch: variadic ones, and vfork(2), which returns
/// twice. Answers with the address to go on at.
type Hook = unsafe extern "C" fn(usize, usize, usize) -> usize;

/// Where a call goes on that no library has: it fails.
extern "C" fn missing() -> isize {
    next::finish(-38)
}

fn address(name: &Name) -> usize {
    match name.address() {
        0 => missing as *const () as usize,
        address => address,
    }
}

/// Functions that call a hook and go on in the next definition with registers and stack as they came.
macro_rules! detours {
    ($($(#[$note:meta])* $name:ident = $hook:expr;)*) => {
        $(
            $(#[$note])*
            ///
            /// # Safety
            /// As the manual page says.
            #[cfg_attr(feature = "freestanding", no_mangle)]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() {
                unsafe extern "C" fn enter(first: usize, second: usize, third: usize) -> usize {
                    static NAME: Name = Name::literal(concat!(stringify!($name), "\0"));
                    let hook: fn(usize, usize, usize) = $hook;
                    hook(first, second, third);
                    address(&NAME)
                }
                const _: Hook = enter;
                core::arch::naked_asm!(
                    "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
                    "call {enter}",
                    "mov r11, rax",
                    "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
                    "jmp r11",
                    enter = sym enter,
                )
            }
        )*
    };
}

const CLONE_VM: usize = 0x100;

fn before_exec(_: usize, _: usize, _: usize) {
    if connection::any() {
        connection::leave_inheritable();
    }
}

fn before_vfork(_: usize, _: usize, _: usize) {
    process::will_share_memory();
}

fn before_clone(_function: usize, _stack: usize, flags: usize) {
    /// `CLONE_THREAD`.
    const THREAD: usize = 0x10000;
    if flags & CLONE_VM == 0 {
        drop(before_fork());
        // The child does not come back to us: what it must not use is forgotten before, here and there.
        start_over();
    } else if flags & THREAD == 0 {
        process::will_share_memory();
    }
}

fn before_handler(_: usize, _: usize, _: usize) {
    signals::changed();
}

fn before_stream(fd: usize, _: usize, _: usize) {
    leave_to_kernel(fd as i32);
}

fn before_aio(control: usize, _: usize, _: usize) {
    // `struct aiocb` begins with the descriptor.
    // SAFETY: the caller's control block.
    if let Some(fd) = unsafe { (control as *const i32).as_ref() } {
        leave_to_kernel(*fd);
    }
}

fn before_spawned_copy(_actions: usize, from: usize, _to: usize) {
    leave_to_kernel(from as i32);
}

detours! {
    /// vfork(2): the child shares our memory until it runs another program.
    vfork = before_vfork;
    /// clone(2) as libc has it.
    clone = before_clone;
    /// execve(2).
    execve = before_exec;
    /// execveat(2).
    execveat = before_exec;
    /// exec(3).
    execv = before_exec;
    /// exec(3).
    execvp = before_exec;
    /// exec(3).
    execvpe = before_exec;
    /// exec(3).
    execl = before_exec;
    /// exec(3).
    execlp = before_exec;
    /// exec(3).
    execle = before_exec;
    /// fexecve(3).
    fexecve = before_exec;
    /// posix_spawn(3).
    posix_spawn = before_exec;
    /// posix_spawn(3).
    posix_spawnp = before_exec;
    /// popen(3).
    popen = before_exec;
    /// system(3).
    system = before_exec;
    /// A descriptor that the spawned program will have under another number.
    posix_spawn_file_actions_adddup2 = before_spawned_copy;
    /// fdopen(3): the stream reads and writes inside libc.
    fdopen = before_stream;
    /// dprintf(3): writes inside libc.
    dprintf = before_stream;
    /// dprintf(3).
    vdprintf = before_stream;
    /// The fortified dprintf(3).
    __dprintf_chk = before_stream;
    /// The fortified dprintf(3).
    __vdprintf_chk = before_stream;
    /// preadv2(2) takes sockets, unlike its elders.
    preadv2 = before_stream;
    /// preadv2(2).
    preadv64v2 = before_stream;
    /// pwritev2(2).
    pwritev2 = before_stream;
    /// pwritev2(2).
    pwritev64v2 = before_stream;
    /// aio_read(3): reads in a thread of libc's own.
    aio_read = before_aio;
    /// aio_read(3).
    aio_read64 = before_aio;
    /// aio_write(3).
    aio_write = before_aio;
    /// aio_write(3).
    aio_write64 = before_aio;
    /// vfork(2) as glibc's own libraries call it.
    __vfork = before_vfork;
    /// sigaction(2).
    sigaction = before_handler;
    /// sigaction(2) as glibc's own libraries call it.
    __sigaction = before_handler;
    /// signal(2).
    signal = before_handler;
    /// signal(2).
    bsd_signal = before_handler;
    /// signal(2).
    ssignal = before_handler;
    /// signal(2).
    sysv_signal = before_handler;
    /// signal(2).
    __sysv_signal = before_handler;
    /// sigset(3).
    sigset = before_handler;
    /// siginterrupt(3).
    siginterrupt = before_handler;
}

/// A raw system call that makes a process: `flags` as clone(2) has them, `None` for fork.
pub fn before_raw(flags: Option<usize>) {
    let flags = flags.unwrap_or(0);
    if flags & CLONE_VM == 0 {
        drop(before_fork());
    } else {
        before_clone(0, 0, flags);
    }
}

/// After it, in the child.
pub fn raw_forked(flags: Option<usize>, answer: i64) {
    if answer == 0 && flags.unwrap_or(0) & CLONE_VM == 0 {
        in_child();
    }
}
