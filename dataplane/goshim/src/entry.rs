//! Where the patched runtime function arrives: Go's registers in, Go's registers out.
//!
//! Go's calling convention (`ABIInternal`, cmd/compile/abi-internal.md): the number in rax, arguments in rbx, rcx, rdi,
//! rsi, r8, r9; results in rax, rbx and (errno) rcx. Every register but rsp, rbp, r14 (the goroutine) and xmm15 (zero)
//! is the callee's to use. The goroutine's stack may have a few hundred bytes left, so the call is made on one of ours.

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;

use jshim::embedded::{self, STACK_BYTES};

/// Threads that can be inside at once; a further one yields until a stack is free. Only a thread that waits for events
/// stays long, and Go has one of those.
const STACKS: usize = 64;

#[repr(C, align(65536))]
struct Stacks(UnsafeCell<[[u8; STACK_BYTES]; STACKS]>);

// SAFETY: a stack belongs to the thread that took its bit in FREE.
unsafe impl Sync for Stacks {}

static ROOM: Stacks = Stacks(UnsafeCell::new([[0; STACK_BYTES]; STACKS]));
/// One bit a stack.
static FREE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Which system calls are of interest: those on descriptors. All others go to the kernel at once.
static CONCERNS: [bool; 512] = concerns();

const fn concerns() -> [bool; 512] {
    // read, write, close, poll, ioctl, readv, writev, select, dup, dup2, sendfile, accept, sendto, recvfrom, sendmsg,
    // recvmsg, shutdown, setsockopt, fcntl, epoll_create, epoll_wait, epoll_ctl, ppoll, splice, epoll_pwait, accept4,
    // epoll_create1, dup3, recvmmsg, sendmmsg, close_range, epoll_pwait2.
    const NUMBERS: [usize; 32] = [
        0, 1, 3, 7, 16, 19, 20, 23, 32, 33, 40, 43, 44, 45, 46, 47, 48, 54, 72, 213, 232, 233, 271,
        275, 281, 288, 291, 292, 299, 307, 436, 441,
    ];
    let mut table = [false; 512];
    let mut at = 0;
    while at < NUMBERS.len() {
        table[NUMBERS[at]] = true;
        at += 1;
    }
    table
}

/// `Syscall6(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)` of Go's runtime.
///
/// # Safety
/// Called by Go code in Go's convention only.
#[unsafe(naked)]
#[no_mangle]
pub unsafe extern "C" fn jgo_syscall6() {
    naked_asm!(
        "cmp rax, 512",
        "jae 20f",
        "lea r11, [rip + {concerns}]",
        "cmp byte ptr [r11 + rax], 0",
        "je 20f",
        // Take a stack.
        "10:",
        "mov r12, qword ptr [rip + {free}]",
        "bsf r13, r12",
        "jz 30f",
        "lock btr qword ptr [rip + {free}], r13",
        "jnc 10b",
        "lea r12, [r13 + 1]",
        "shl r12, 16",
        "lea r11, [rip + {room}]",
        "add r12, r11",
        "mov r10, rsp",
        "mov rsp, r12",
        "push r10",
        "push r13",
        "push r9",
        "push r9",
        // The C convention: rdi, rsi, rdx, rcx, r8, r9, stack.
        "mov r9, r8",
        "mov r8, rsi",
        "mov rdx, rcx",
        "mov rcx, rdi",
        "mov rsi, rbx",
        "mov rdi, rax",
        "cld",
        "call {call}",
        "add rsp, 16",
        "pop r13",
        "pop rsp",
        "lock bts qword ptr [rip + {free}], r13",
        "xorps xmm15, xmm15",
        "xor edx, edx",
        "jmp 21f",
        // Straight to the kernel, as the original does.
        "20:",
        "mov r10, rsi",
        "mov rdx, rdi",
        "mov rsi, rcx",
        "mov rdi, rbx",
        "syscall",
        "21:",
        "cmp rax, -4095",
        "jae 22f",
        "mov rbx, rdx",
        "xor ecx, ecx",
        "ret",
        "22:",
        "neg rax",
        "mov rcx, rax",
        "mov rax, -1",
        "xor ebx, ebx",
        "ret",
        // No stack is free: let others run (sched_yield), then look again.
        "30:",
        "mov r12, rax",
        "mov r13, rcx",
        "mov eax, 24",
        "syscall",
        "mov rax, r12",
        "mov rcx, r13",
        "jmp 10b",
        concerns = sym CONCERNS,
        free = sym FREE,
        room = sym ROOM,
        call = sym embedded::call,
    )
}
