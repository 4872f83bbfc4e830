//! What the kernel keeps about a process beside its memory and descriptors: most of it must be as the sandbox gave it,
//! the rest is written down.

use std::io;

use crate::error::{unfit, Part, Refusal};
use crate::format::{Action, Space, Thread};
use crate::maps::Area;
use crate::procfs;
use crate::remote::Remote;
use crate::sys::trace::Registers;

/// Fields of `/proc/PID/status` that a program may change and a snapshot does not carry.
const KEPT: [&str; 12] = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "THP_enabled",
];
/// Signals of Linux on x86-64.
const SIGNALS: i32 = 64;
/// Bytes of a signal set.
const SET_BYTES: u64 = 8;
/// `prctl` questions with the only answer that is carried: what a fresh program has.
const ANSWERS: [(libc::c_int, i64, &str); 4] = [
    (libc::PR_GET_DUMPABLE, 1, "changed whether it may be dumped"),
    (libc::PR_GET_KEEPCAPS, 0, "keeps capabilities"),
    (libc::PR_GET_TIMERSLACK, 50_000, "changed its timer slack"),
    (libc::PR_GET_THP_DISABLE, 0, "switched huge pages off"),
];
/// XSAVE features beyond the signal frame's default: AMX tiles.
const TILES: u64 = 3 << 17;

/// What the sandbox gave the program, noted before the program could change it.
#[derive(Clone, Debug)]
pub struct Baseline {
    status: Vec<String>,
    limits: String,
    priorities: Vec<String>,
    child_of: i32,
}

impl Baseline {
    /// Looks at a process.
    ///
    /// # Errors
    /// [`Refusal::Host`] when it is gone.
    pub fn of(pid: i32) -> Result<Self, Refusal> {
        let status = procfs::text(pid, "status")?;
        let stat = procfs::text(pid, "stat")?;
        let fields = procfs::stat_fields(&stat);
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or("").to_owned();
        Ok(Self {
            status: KEPT
                .iter()
                .map(|key| procfs::value(&status, key).to_owned())
                .collect(),
            limits: procfs::text(pid, "limits")?,
            // Session and group, nice value, real-time priority and policy (proc(5), stat).
            priorities: [5, 6, 7, 18, 19, 40, 41].map(field).to_vec(),
            child_of: field(4).parse().unwrap_or(0),
        })
    }

    /// Process id of its parent.
    #[must_use]
    pub fn parent(&self) -> i32 {
        self.child_of
    }

    /// Makes sure that the process is still as it was, and alone.
    ///
    /// # Errors
    /// [`Refusal::Unfit`] names what changed.
    pub fn check(&self, pid: i32) -> Result<(), Refusal> {
        let now = Self::of(pid)?;
        for ((key, was), is) in KEPT.iter().zip(&self.status).zip(&now.status) {
            if was != is {
                return unfit(format!("it changed its {key}"));
            }
        }
        if self.limits != now.limits {
            return unfit("it changed its resource limits");
        }
        if self.priorities != now.priorities {
            return unfit("it changed its session or scheduling");
        }
        let status = procfs::text(pid, "status")?;
        for key in ["SigPnd", "ShdPnd"] {
            if procfs::value(&status, key)
                .bytes()
                .any(|digit| digit != b'0')
            {
                return Err(Refusal::Restless("a signal is pending".to_owned()));
            }
        }
        if procfs::value(&status, "Threads") != "1" {
            return unfit("it has threads");
        }
        if !procfs::text(pid, &format!("task/{pid}/children"))?
            .trim()
            .is_empty()
            || procfs::only_child(self.child_of)? != Some(pid)
        {
            return unfit("it has child processes");
        }
        if !procfs::text(pid, "timers")?.trim().is_empty() {
            return unfit("it has timers");
        }
        if procfs::text(pid, "personality")?.trim() != "00000000" {
            return unfit("it changed its personality");
        }
        Ok(())
    }
}

/// Creation mask of a process.
///
/// # Errors
/// [`Refusal::Host`].
pub fn umask(pid: i32) -> Result<u32, Refusal> {
    let status = procfs::text(pid, "status")?;
    Ok(u32::from_str_radix(procfs::value(&status, "Umask"), 8).unwrap_or(0o022))
}

/// State that only the process itself can ask for.
///
/// # Errors
/// [`Refusal::Unfit`] for what is not carried.
pub fn questions(remote: &mut Remote) -> Result<(), Refusal> {
    for (question, right, words) in ANSWERS {
        let answer = remote.call(
            libc::SYS_prctl,
            [question.unsigned_abs().into(), 0, 0, 0, 0, 0],
        )?;
        if answer != right {
            return unfit(format!("it {words}"));
        }
    }
    let at = remote.scratch()?;
    for (question, words) in [
        (
            libc::PR_GET_PDEATHSIG,
            "wants a signal when its parent ends",
        ),
        (libc::PR_GET_CHILD_SUBREAPER, "reaps orphans"),
    ] {
        remote.write(at, &[0; 8])?;
        remote.must(
            libc::SYS_prctl,
            [question.unsigned_abs().into(), at, 0, 0, 0, 0],
        )?;
        if remote.half(at)? != 0 {
            return unfit(format!("it {words}"));
        }
    }
    for timer in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
        remote.must(
            libc::SYS_getitimer,
            [u64::from(timer.unsigned_abs()), at, 0, 0, 0, 0],
        )?;
        if remote.word(at + 16)? != 0 || remote.word(at + 24)? != 0 {
            return unfit("it has an interval timer");
        }
    }
    Ok(())
}

/// Actions of signals that are not the default.
///
/// # Errors
/// As [`Remote::must`].
pub fn signals(remote: &mut Remote) -> Result<Vec<Action>, Refusal> {
    let at = remote.scratch()?;
    let mut actions = Vec::new();
    for signal in 1..=SIGNALS {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        let arguments = [signal.unsigned_abs().into(), 0, at, SET_BYTES, 0, 0];
        remote.must(libc::SYS_rt_sigaction, arguments)?;
        let mut words = [0; 4];
        for (word, offset) in words.iter_mut().zip([0, 8, 16, 24]) {
            *word = remote.word(at + offset)?;
        }
        if words != [0; 4] {
            actions.push(Action { signal, words });
        }
    }
    Ok(actions)
}

/// The thread, with its registers rewound to the call that it waits in.
///
/// # Errors
/// [`Refusal::Unfit`] for registers that a signal frame cannot carry.
pub fn thread(remote: &mut Remote, areas: &[Area]) -> Result<Thread, Refusal> {
    let extended = remote
        .tracee
        .extended()
        .part(|| "reading its vector registers")?;
    let in_use = extended
        .get(512..520)
        .and_then(|bytes| bytes.first_chunk().copied());
    if in_use.map_or(u64::MAX, u64::from_ne_bytes) & TILES != 0 {
        return unfit("it uses matrix registers");
    }
    let mask = remote.tracee.mask().part(|| "reading its signal mask")?;
    let sequences = match remote.tracee.sequences() {
        Ok(found) => (found.address, found.bytes, found.signature),
        Err(error) if error.raw_os_error() == Some(libc::EIO) => (0, 0, 0),
        Err(error) => return Err(error).part(|| "reading its restartable sequences"),
    };
    let name = procfs::text(remote.pid, "comm")?
        .trim_end_matches('\n')
        .to_owned();
    let at = remote.scratch()?;
    let id = remote.must(libc::SYS_gettid, [0; 6])?;
    remote.must(libc::SYS_get_robust_list, [0, at, at + 8, 0, 0, 0])?;
    let robust = (remote.word(at)?, remote.word(at + 8)?);
    let question = libc::PR_GET_TID_ADDRESS.unsigned_abs().into();
    remote.must(libc::SYS_prctl, [question, at, 0, 0, 0, 0])?;
    let id_address = remote.word(at)?;
    remote.must(libc::SYS_sigaltstack, [0, at, 0, 0, 0, 0])?;
    let stack = [
        remote.word(at)?,
        u64::from(remote.half(at + 8)?),
        remote.word(at + 16)?,
    ];
    let id = u32::try_from(id).unwrap_or(0);
    Ok(Thread {
        registers: words(&remote.rewound),
        extended,
        mask,
        stack,
        id_address,
        id,
        id_copies: id_copies(remote, areas, id_address, id),
        robust,
        sequences,
        name,
    })
}

/// Where the C library remembers the thread's id: glibc at the address that the kernel clears, musl (which gives a lock
/// there) in its thread block.
fn id_copies(remote: &Remote, areas: &[Area], id_address: u64, id: u32) -> Vec<u64> {
    const MUSL_OFFSET: u64 = 0x30;
    let musl = areas.iter().any(|area| area.name.contains("/ld-musl-"));
    let place = if musl {
        remote.rewound.fs_base + MUSL_OFFSET
    } else {
        id_address
    };
    if remote.half(place).is_ok_and(|found| found == id) {
        vec![place]
    } else {
        Vec::new()
    }
}

fn words(registers: &Registers) -> Vec<u64> {
    let r = registers;
    vec![
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx,
        r.rsi, r.rdi, r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds,
        r.es, r.fs, r.gs,
    ]
}

/// What the kernel knows of the address space: where code, heap, arguments and environment lie.
///
/// # Errors
/// [`Refusal::Host`].
pub fn space(remote: &Remote) -> Result<Space, Refusal> {
    let stat = procfs::text(remote.pid, "stat")?;
    let fields = procfs::stat_fields(&stat);
    let field = |number: usize| -> Result<u64, Refusal> {
        let word = fields.get(number - 3).and_then(|word| word.parse().ok());
        word.ok_or_else(|| Refusal::Host {
            what: "reading where its code and heap lie".to_owned(),
            error: io::ErrorKind::InvalidData.into(),
        })
    };
    let heap_end = remote.must(libc::SYS_brk, [0; 6])?;
    // struct prctl_mm_map: code, data, start_brk, brk, start_stack, arguments, environment.
    let words = [
        field(26)?,
        field(27)?,
        field(45)?,
        field(46)?,
        field(47)?,
        heap_end,
        field(28)?,
        field(48)?,
        field(49)?,
        field(50)?,
        field(51)?,
    ];
    let auxiliary = procfs::bytes(remote.pid, "auxv")?;
    let auxiliary = auxiliary
        .chunks_exact(8)
        .filter_map(|word| word.first_chunk().copied());
    Ok(Space {
        words,
        auxiliary: auxiliary.map(u64::from_ne_bytes).collect(),
    })
}
