//! `ptrace(2)`: a tracee that is stopped, its registers, and system calls made in its name.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use super::checked;

const SEIZE: libc::c_uint = 0x4206;
const INTERRUPT: libc::c_uint = 0x4207;
const GET_SEQUENCES: libc::c_uint = 0x420f;
const NT_PRSTATUS: usize = 1;
const NT_X86_XSTATE: usize = 0x202;
/// Larger than any XSAVE area of today (11,008 bytes with AMX).
const EXTENDED_BYTES_MAX: usize = 64 * 1024;
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// Registers as `PTRACE_GETREGSET` gives them.
pub type Registers = libc::user_regs_struct;

/// `struct ptrace_rseq_configuration`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequences {
    /// Address of the area.
    pub address: u64,
    /// Its length; 0: none is registered.
    pub bytes: u32,
    /// Signature before abort handlers.
    pub signature: u32,
    flags: u32,
    pad: u32,
}

/// A process that this thread traces. It goes on running when this is dropped.
#[derive(Debug)]
pub struct Tracee {
    pid: libc::pid_t,
}

fn request(
    request: libc::c_uint,
    pid: libc::pid_t,
    address: usize,
    data: usize,
) -> io::Result<libc::c_long> {
    // SAFETY: every caller in this module passes pointers to live memory of the length that the request asks for.
    checked(unsafe { libc::ptrace(request, pid, address, data) })
}

impl Tracee {
    /// Begins to trace `pid` and stops it.
    ///
    /// # Errors
    /// `EPERM` where tracing is forbidden (Yama's `ptrace_scope` 3, another tracer), `ESRCH`, `TimedOut` when it does
    /// not stop, as one that waits for the data plane's answer to a call does not.
    pub fn stop(pid: libc::pid_t) -> io::Result<Self> {
        request(SEIZE, pid, 0, 0)?;
        let tracee = Self { pid };
        request(INTERRUPT, pid, 0, 0)?;
        tracee.wait()?;
        Ok(tracee)
    }

    /// Waits until the tracee has stopped; returns the status word.
    fn wait(&self) -> io::Result<libc::c_int> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            let mut status = 0;
            let options = libc::__WALL | libc::WNOHANG;
            // SAFETY: `status` lives across the call.
            let got = checked(libc::c_long::from(unsafe {
                libc::waitpid(self.pid, &raw mut status, options)
            }))?;
            if got != 0 {
                if libc::WIFSTOPPED(status) {
                    return Ok(status);
                }
                return Err(io::Error::other("the program ended"));
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn regset(&self, kind: usize, into: &mut [u8]) -> io::Result<usize> {
        let mut vector = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        request(
            libc::PTRACE_GETREGSET,
            self.pid,
            kind,
            std::ptr::from_mut(&mut vector) as usize,
        )?;
        Ok(vector.iov_len.min(into.len()))
    }

    /// General registers.
    ///
    /// # Errors
    /// `ESRCH` when it was killed.
    pub fn registers(&self) -> io::Result<Registers> {
        let mut bytes = [0; mem::size_of::<Registers>()];
        let got = self.regset(NT_PRSTATUS, &mut bytes)?;
        if got != bytes.len() {
            return Err(io::Error::other("a program of another architecture"));
        }
        // SAFETY: the structure is plain integers of exactly this size.
        Ok(unsafe { mem::transmute::<[u8; mem::size_of::<Registers>()], Registers>(bytes) })
    }

    /// Vector and floating point registers as an XSAVE area.
    ///
    /// # Errors
    /// `ENODEV` on a processor without XSAVE.
    pub fn extended(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; EXTENDED_BYTES_MAX];
        let got = self.regset(NT_X86_XSTATE, &mut bytes)?;
        bytes.truncate(got);
        Ok(bytes)
    }

    /// Blocked signals.
    ///
    /// # Errors
    /// `ESRCH`.
    pub fn mask(&self) -> io::Result<u64> {
        let mut mask = 0_u64;
        request(
            libc::PTRACE_GETSIGMASK,
            self.pid,
            mem::size_of::<u64>(),
            std::ptr::from_mut(&mut mask) as usize,
        )?;
        Ok(mask)
    }

    /// Registered restartable sequences.
    ///
    /// # Errors
    /// `EIO` on kernels without them.
    pub fn sequences(&self) -> io::Result<Sequences> {
        let mut found = Sequences::default();
        request(
            GET_SEQUENCES,
            self.pid,
            mem::size_of::<Sequences>(),
            std::ptr::from_mut(&mut found) as usize,
        )?;
        Ok(found)
    }

    /// Lets the tracee make one system call with the instruction at `site`, under its own filter; returns its result
    /// as the kernel does (negated errno).
    ///
    /// # Errors
    /// Those of ptrace; `Interrupted` when a signal came instead.
    pub fn call(
        &self,
        base: &Registers,
        site: u64,
        number: libc::c_long,
        arguments: [u64; 6],
    ) -> io::Result<i64> {
        let mut registers = *base;
        let [first, second, third, fourth, fifth, sixth] = arguments;
        registers.rax = number.unsigned_abs();
        registers.orig_rax = u64::MAX;
        registers.rip = site;
        registers.rdi = first;
        registers.rsi = second;
        registers.rdx = third;
        registers.r10 = fourth;
        registers.r8 = fifth;
        registers.r9 = sixth;
        let mut vector = libc::iovec {
            iov_base: std::ptr::from_mut(&mut registers).cast(),
            iov_len: mem::size_of::<Registers>(),
        };
        let data = std::ptr::from_mut(&mut vector) as usize;
        request(libc::PTRACE_SETREGSET, self.pid, NT_PRSTATUS, data)?;
        request(libc::PTRACE_SINGLESTEP, self.pid, 0, 0)?;
        let status = self.wait()?;
        if libc::WSTOPSIG(status) != libc::SIGTRAP {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let after = self.registers()?;
        if after.rip != site + 2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(i64::from_ne_bytes(after.rax.to_ne_bytes()))
    }

    /// Puts the registers back as they were at the stop; the call that was interrupted then goes on.
    ///
    /// # Errors
    /// Those of ptrace.
    pub fn set_registers(&self, registers: &Registers) -> io::Result<()> {
        let mut copy = *registers;
        let mut vector = libc::iovec {
            iov_base: std::ptr::from_mut(&mut copy).cast(),
            iov_len: mem::size_of::<Registers>(),
        };
        let data = std::ptr::from_mut(&mut vector) as usize;
        request(libc::PTRACE_SETREGSET, self.pid, NT_PRSTATUS, data).map(drop)
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // It may be gone, and then there is nothing to let go.
        let _ = request(libc::PTRACE_DETACH, self.pid, 0, 0);
    }
}

/// Whether two descriptors of a process are the same open file (`kcmp(2)`).
///
/// # Errors
/// `ENOSYS` on kernels built without it.
pub fn same_file(pid: libc::pid_t, one: i32, other: i32) -> io::Result<bool> {
    const KCMP_FILE: libc::c_int = 0;
    let number = |fd: i32| libc::c_ulong::from(fd.unsigned_abs());
    // SAFETY: plain numbers.
    let result = checked(unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            pid,
            pid,
            KCMP_FILE,
            number(one),
            number(other),
        )
    })?;
    Ok(result == 0)
}
