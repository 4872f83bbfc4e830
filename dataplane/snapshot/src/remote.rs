//! The stopped guest: its memory, and system calls made in its name under its own filter.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::error::{unfit, Part, Refusal};
use crate::format::PAGE;
use crate::quiet::WAITS;
use crate::sys::trace::{Registers, Tracee};

/// `syscall` on x86-64.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Negated errnos with which the kernel marks a call that a stop interrupted and that begins again (`ERESTART*`), and
/// `EINTR`, which the epoll calls give instead.
const INTERRUPTED: [i64; 5] = [-512, -513, -514, -516, -4];

/// A guest that is stopped in a wait.
#[derive(Debug)]
pub struct Remote {
    /// Its pid on the host.
    pub pid: i32,
    /// The tracer's grip on it.
    pub tracee: Tracee,
    /// Registers rewound to the call it waits in: from them it begins that call again.
    pub rewound: Registers,
    memory: File,
    scratch: u64,
}

impl Remote {
    /// Stops a process that waits.
    ///
    /// # Errors
    /// [`Refusal::Restless`] when it does something else, [`Refusal::Host`] when it cannot be traced.
    pub fn stop(pid: i32) -> Result<Self, Refusal> {
        let memory = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .part(|| "opening its memory")?;
        let tracee = Tracee::stop(pid).part(|| "stopping it (ptrace)")?;
        let now = tracee.registers().part(|| "reading its registers")?;
        let mut remote = Self {
            pid,
            tracee,
            rewound: now,
            memory,
            scratch: 0,
        };
        let number = i64::try_from(now.orig_rax).unwrap_or(-1);
        let result = i64::from_ne_bytes(now.rax.to_ne_bytes());
        let waits = WAITS.contains(&number) && INTERRUPTED.contains(&result);
        let site = now.rip.wrapping_sub(2);
        let mut code = [0; 2];
        let readable = remote.memory.read_exact_at(&mut code, site).is_ok();
        if !waits || !readable || code != SYSCALL || now.cs != 0x33 {
            return Err(Refusal::Restless(
                "it was not in a wait when it stopped".to_owned(),
            ));
        }
        remote.rewound.rip = site;
        remote.rewound.rax = now.orig_rax;
        remote.rewound.orig_rax = u64::MAX;
        Ok(remote)
    }

    /// Lets it go on with its wait.
    pub fn resume(self) {
        if self.scratch != 0 {
            let arguments = [self.scratch, PAGE, 0, 0, 0, 0];
            let _ = self.call(libc::SYS_munmap, arguments);
        }
        let _ = self.tracee.set_registers(&self.rewound);
    }

    /// Makes a call in its name; the result as the kernel gives it (negated errno).
    ///
    /// # Errors
    /// [`Refusal::Restless`] when a signal came in between.
    pub fn call(&self, number: libc::c_long, arguments: [u64; 6]) -> Result<i64, Refusal> {
        let done = self
            .tracee
            .call(&self.rewound, self.rewound.rip, number, arguments);
        done.map_err(|error| Refusal::Restless(format!("call {number} in its name: {error}")))
    }

    /// As [`Self::call`], but an errno is an error.
    ///
    /// # Errors
    /// Also [`Refusal::Unfit`].
    pub fn must(&self, number: libc::c_long, arguments: [u64; 6]) -> Result<u64, Refusal> {
        let result = self.call(number, arguments)?;
        match u64::try_from(result) {
            Ok(value) => Ok(value),
            Err(_) => unfit(format!(
                "call {number} in its name fails with errno {}",
                -result
            )),
        }
    }

    /// Address of a page for arguments, made at the first use: afterwards its mappings are no longer as they were.
    ///
    /// # Errors
    /// As [`Self::must`].
    pub fn scratch(&mut self) -> Result<u64, Refusal> {
        if self.scratch == 0 {
            let protection = (libc::PROT_READ | libc::PROT_WRITE).unsigned_abs();
            let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).unsigned_abs();
            let arguments = [0, PAGE, protection.into(), flags.into(), u64::MAX, 0];
            self.scratch = self.must(libc::SYS_mmap, arguments)?;
        }
        Ok(self.scratch)
    }

    /// Reads its memory.
    ///
    /// # Errors
    /// [`Refusal::Host`] when it is not mapped.
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Refusal> {
        self.memory
            .read_exact_at(into, at)
            .part(|| format!("reading its memory at {at:#x}"))
    }

    /// Reads one word.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn word(&self, at: u64) -> Result<u64, Refusal> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Reads half a word.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn half(&self, at: u64) -> Result<u32, Refusal> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    /// Writes its memory (the scratch page).
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write(&self, at: u64, content: &[u8]) -> Result<(), Refusal> {
        self.memory
            .write_all_at(content, at)
            .part(|| format!("writing its memory at {at:#x}"))
    }
}
