//! Process 2 of the sandbox: the last steps on the way to the function's program.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{open, Mode, OFlags};
use rustix::process::{chdir, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::{
    sched_setaffinity, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    CpuSet, Gid, Uid,
};

use crate::account::Account;
use crate::launch_error::{LaunchError, Step};
use crate::report;
use crate::seccomp::{self, assembler::Instruction};
use crate::snapshot::Rebirth;
use crate::spec::Spec;
use crate::sys::clone::exit_now;
use crate::sys::{exec, filter, namespace, rebirth};
use crate::{lookup, privilege};

/// Everything that exec needs, made before the fork.
#[derive(Debug)]
pub struct Payload {
    argv: Vec<CString>,
    env: Vec<CString>,
    candidates: Vec<CString>,
    cwd: String,
    account: Account,
    filter: &'static [Instruction],
    cores: Vec<usize>,
}

impl Payload {
    /// Turns the specification into what the kernel takes.
    ///
    /// # Errors
    /// When a text holds a NUL byte.
    pub fn prepare(spec: &Spec, account: Account) -> Result<Self, LaunchError> {
        let process = &spec.process;
        let c_string = |text: &String| {
            CString::new(text.as_str())
                .map_err(|_| LaunchError::new("process", "argv and env must not hold NUL bytes"))
        };
        let mut env = process.env.clone();
        if !env.iter().any(|pair| pair.starts_with("HOME=")) {
            env.push(format!("HOME={}", account.home));
        }
        let candidates = lookup::candidates(&process.argv[0], &env);
        Ok(Self {
            argv: process
                .argv
                .iter()
                .map(c_string)
                .collect::<Result<_, _>>()?,
            env: env.iter().map(c_string).collect::<Result<_, _>>()?,
            candidates: candidates.iter().map(c_string).collect::<Result<_, _>>()?,
            cwd: process.cwd.clone(),
            account,
            filter: seccomp::program(),
            cores: spec.cores.clone(),
        })
    }
}

/// Becomes the program. Never returns; what goes wrong is reported.
pub fn run(
    payload: &Payload,
    reports: &OwnedFd,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
    rebirth: Option<&Rebirth>,
) -> Infallible {
    let error = match confine(payload, reports, stdout, stderr) {
        Ok(()) => {
            if let Some(rebirth) = rebirth {
                come_back(payload, reports, rebirth);
            }
            execute(payload)
        }
        Err(error) => error,
    };
    let _ = report::failure(reports, &error.to_string());
    exit_now(127)
}

fn confine(
    payload: &Payload,
    reports: &OwnedFd,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
) -> Result<(), LaunchError> {
    let account = &payload.account;
    setsid().step(|| "setsid")?;
    settle(&payload.cores, reports)?;
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .step(|| "opening /dev/null")?;
    dup2_stdin(&null).step(|| "standard input")?;
    dup2_stdout(stdout).step(|| "standard output")?;
    dup2_stderr(stderr).step(|| "standard error")?;
    let groups: Vec<Gid> = account
        .groups
        .iter()
        .map(|gid| Gid::from_raw(*gid))
        .collect();
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_groups(&groups).step(|| "setting groups")?;
    set_thread_res_gid(gid, gid, gid).step(|| format!("becoming group {}", account.gid))?;
    crate::sys::signals::empty_bounding_set().step(|| "emptying the bounding set")?;
    set_thread_res_uid(uid, uid, uid).step(|| format!("becoming user {}", account.uid))?;
    privilege::drop_held_capabilities().step(|| "dropping capabilities")?;
    set_no_new_privs(true).step(|| "no_new_privs")?;
    chdir(payload.cwd.as_str())
        .step(|| format!("working folder {} as user {}", payload.cwd, account.uid))?;
    umask(Mode::from_raw_mode(0o022));
    // Whatever the keeper was given without close-on-exec must not reach the guest.
    namespace::close_at_exec(3).step(|| "closing inherited descriptors")?;
    let listener = install(payload.filter).step(|| "installing the system call filter")?;
    report::listener(reports, &listener).step(|| "handing over the filter's listener")
}

/// Goes to the cores that the program is to see from its first instruction on: runtimes count them once, at their start.
/// Cores that the host has taken away meanwhile must not keep a function from starting.
fn settle(cores: &[usize], reports: &OwnedFd) -> Result<(), LaunchError> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    let Err(error) = sched_setaffinity(None, &set) else {
        return Ok(());
    };
    let text = format!("cores {cores:?} cannot be used: {error}; the function uses any");
    report::warning(reports, &text).step(|| "reporting")
}

/// Signals must not abort a call that the supervisor has already carried out, where the kernel can promise that.
fn install(program: &[Instruction]) -> io::Result<OwnedFd> {
    match filter::install(program, true) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => filter::install(program, false),
        other => other,
    }
}

/// Becomes the restorer. Returns when that cannot be executed: then the program starts in the ordinary way.
fn come_back(payload: &Payload, reports: &OwnedFd, rebirth: &Rebirth) {
    let given = [rebirth.snapshot.as_fd(), reports.as_fd()];
    let error = rebirth::exec(rebirth.restorer.as_fd(), given, &payload.argv, &payload.env);
    let _ = report::warning(reports, &format!("executing the restorer: {error}"));
}

/// Tries every candidate as `execvp(3)` does; a script without `#!` is given to `/bin/sh`.
fn execute(payload: &Payload) -> LaunchError {
    let mut denied = None;
    for program in &payload.candidates {
        let error = exec::execve(program, &payload.argv, &payload.env);
        let failed = |problem: String| {
            LaunchError::new(format!("executing {}", program.to_string_lossy()), problem)
        };
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => {
                denied = Some(failed(format!(
                    "{error}; is it executable for user {}?",
                    payload.account.uid
                )))
            }
            Some(libc::ENOEXEC) => return failed(interpret(payload, program).to_string()),
            _ => return failed(error.to_string()),
        }
    }
    denied.unwrap_or_else(|| not_found(payload))
}

fn interpret(payload: &Payload, script: &CString) -> io::Error {
    let shell = c"/bin/sh".to_owned();
    let mut argv = vec![shell.clone(), script.clone()];
    argv.extend(payload.argv.iter().skip(1).cloned());
    let error = exec::execve(&shell, &argv, &payload.env);
    io::Error::other(format!(
        "not a program of this machine, and as a script: /bin/sh: {error}"
    ))
}

fn not_found(payload: &Payload) -> LaunchError {
    let name = payload.argv[0].to_string_lossy();
    let exists = payload
        .candidates
        .iter()
        .find(|path| rustix::fs::stat(path.as_c_str()).is_ok());
    match exists {
        Some(path) => LaunchError::new(
            format!("executing {}", path.to_string_lossy()),
            "the file is there but its interpreter or loader is not (wrong #! line, or a libc that the image lacks)",
        ),
        None => LaunchError::new(format!("executing {name}"), "program not found in the image"),
    }
}
