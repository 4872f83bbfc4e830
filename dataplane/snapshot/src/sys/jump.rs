//! The restorer's last steps: a tiny interpreter of system calls that lies outside of everything that is replaced.
//!
//! It is copied to a page of its own, walks an array of [`Step`]s and ends in `rt_sigreturn(2)`, which loads all registers at
//! once. From its first step on no other code of the restorer can be relied on, so it is written by hand.

use std::io;

use super::checked;

/// One step: a system call and what it must return.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Number of the call, or [`STORE`].
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The result that is right, or [`ANY`] for every one that is no error.
    pub expected: u64,
}

/// Instead of a call: the low 32 bits of argument 1 go to the address in argument 0.
pub const STORE: u64 = u64::MAX;
/// Every result but an error is right.
pub const ANY: u64 = u64::MAX;
/// Every result is right.
pub const IGNORED: u64 = u64::MAX - 1;
/// Length of the packet that tells of a failure: `r` and seven zeros, then number, result and steps left as u64.
pub const FAILURE_BYTES: usize = 32;

std::arch::global_asm!(
    ".pushsection .text.jrestore_steps, \"ax\", @progbits",
    ".globl jrestore_steps_begin",
    ".globl jrestore_steps_end",
    "jrestore_steps_begin:",
    // rdi: steps, rsi: their count, rdx: signal frame, rcx: descriptor for the failure, r8: its packet.
    "mov r12, rdi",
    "mov r13, rsi",
    "mov r14, rdx",
    "mov r15, rcx",
    "mov rbx, r8",
    "2:",
    "test r13, r13",
    "jz 5f",
    "mov rax, [r12]",
    "mov rdi, [r12 + 8]",
    "mov rsi, [r12 + 16]",
    "mov rdx, [r12 + 24]",
    "mov r10, [r12 + 32]",
    "mov r8, [r12 + 40]",
    "mov r9, [r12 + 48]",
    "cmp rax, -1",
    "je 4f",
    "syscall",
    "mov rcx, [r12 + 56]",
    "cmp rcx, -2",
    "je 3f",
    "cmp rax, -4095",
    "jae 6f",
    "cmp rcx, -1",
    "je 3f",
    "cmp rax, rcx",
    "jne 6f",
    "3:",
    "add r12, 64",
    "dec r13",
    "jmp 2b",
    "4:",
    "mov dword ptr [rdi], esi",
    "jmp 3b",
    "5:",
    // rt_sigreturn expects the stack pointer behind the frame's first word.
    "lea rsp, [r14 + 8]",
    "mov eax, 15",
    "syscall",
    "ud2",
    "6:",
    "mov rcx, [r12]",
    "mov [rbx + 8], rcx",
    "mov [rbx + 16], rax",
    "mov [rbx + 24], r13",
    "mov eax, 1",
    "mov rdi, r15",
    "mov rsi, rbx",
    "mov edx, 32",
    "syscall",
    "mov eax, 231",
    "mov edi, 125",
    "syscall",
    "ud2",
    "jrestore_steps_end:",
    ".popsection",
);

extern "C" {
    static jrestore_steps_begin: u8;
    static jrestore_steps_end: u8;
}

/// The interpreter's code.
#[must_use]
pub fn code() -> &'static [u8] {
    let begin = &raw const jrestore_steps_begin;
    let end = &raw const jrestore_steps_end;
    // SAFETY: both labels are in one section of this program, in this order, and what is between is never written.
    unsafe { std::slice::from_raw_parts(begin, end as usize - begin as usize) }
}

/// Makes a private anonymous mapping, readable and writable, for [`fill`] and [`go`].
///
/// # Errors
/// `ENOMEM`.
pub fn room(bytes: usize) -> io::Result<u64> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses the place, so no mapping is replaced.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(at as u64)
}

/// Copies `content` to `at + offset` in a mapping of `bytes` that [`room`] made.
///
/// # Errors
/// `InvalidInput` when it does not fit.
pub fn fill(at: u64, bytes: usize, offset: usize, content: &[u8]) -> io::Result<()> {
    if offset
        .checked_add(content.len())
        .is_none_or(|end| end > bytes)
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let at = usize::try_from(at).map_err(io::Error::other)?;
    let to = (at + offset) as *mut u8;
    // SAFETY: the caller's mapping has `bytes` from `at` on, nothing else refers to it, and the end was checked.
    unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), to, content.len()) };
    Ok(())
}

/// Makes the first `bytes` at `at` code.
///
/// # Errors
/// `EACCES` where a security module forbids it.
pub fn make_code(at: u64, bytes: usize) -> io::Result<()> {
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: the range is one that `room` made; nothing writes there any more.
    let result = unsafe { libc::mprotect(at as *mut libc::c_void, bytes, protection) };
    checked(libc::c_long::from(result)).map(drop)
}

/// Bytes of `Step`s as they lie in memory.
#[must_use]
pub fn bytes_of(steps: &[Step]) -> Vec<u8> {
    let words = steps.iter().flat_map(|step| {
        let [first, second, third, fourth, fifth, sixth] = step.arguments;
        [
            step.number,
            first,
            second,
            third,
            fourth,
            fifth,
            sixth,
            step.expected,
        ]
    });
    words.flat_map(u64::to_ne_bytes).collect()
}

/// Where the interpreter finds what it works on.
#[derive(Clone, Copy, Debug)]
pub struct Launchpad {
    /// The copied code.
    pub code: u64,
    /// The steps.
    pub steps: u64,
    /// Their count.
    pub count: u64,
    /// The signal frame.
    pub frame: u64,
    /// Descriptor that a failure is written to.
    pub report: u64,
    /// Packet of [`FAILURE_BYTES`] for it.
    pub packet: u64,
}

/// Leaves this program for good.
pub fn go(pad: Launchpad) -> ! {
    // SAFETY: the code at `pad.code` is a copy of `code()` that never returns; it uses no stack and no memory but what
    // the launchpad names, all of which lies in a mapping that no step removes.
    unsafe {
        std::arch::asm!(
            "jmp {code}",
            code = in(reg) pad.code,
            in("rdi") pad.steps,
            in("rsi") pad.count,
            in("rdx") pad.frame,
            in("rcx") pad.report,
            in("r8") pad.packet,
            options(noreturn)
        )
    }
}

/// Blocks every signal, for handlers would run on memory that is being replaced, and gives each its default action: the
/// language's runtime has set some.
pub fn silence_signals() {
    let all = u64::MAX;
    // SAFETY: the kernel reads eight bytes of a live local.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const all,
            0_usize,
            8_usize,
        )
    };
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads 32 bytes of a live local; signals that cannot be changed are refused without effect.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const default,
                0_usize,
                8_usize,
            )
        };
    }
}

/// Takes this thread's restartable sequences back, if the C library registered any: the kernel would write into
/// memory that is replaced.
///
/// # Errors
/// When the kernel refuses every length that C libraries use.
pub fn leave_sequences() -> io::Result<()> {
    extern "C" {
        static __rseq_offset: isize;
        static __rseq_size: libc::c_uint;
    }
    const UNREGISTER: libc::c_int = 1;
    const SIGNATURE: u32 = 0x5305_3053;
    // SAFETY: glibc sets both before main and never again.
    let (offset, size) = unsafe { (__rseq_offset, __rseq_size) };
    if size == 0 {
        return Ok(());
    }
    let thread: usize;
    // SAFETY: the first word of the thread's block is its own address (x86-64 psABI).
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly)) };
    let area = thread.wrapping_add_signed(offset);
    for bytes in [32, size, 64, 96, 128] {
        // SAFETY: unregistering touches the area only if it is the one that was registered.
        let done = unsafe { libc::syscall(libc::SYS_rseq, area, bytes, UNREGISTER, SIGNATURE) };
        if done == 0 {
            return Ok(());
        }
    }
    Err(io::Error::last_os_error())
}
