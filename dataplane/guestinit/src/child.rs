//! One forked process of the function, in its own process group.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{fcntl_setfl, OFlags};
use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{kill_process_group, pidfd_open, Pid, PidfdFlags, Signal};

use crate::fork_env::Variable;
use crate::settings::{Mode, Settings};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Exit code.
    Code(i32),
    /// Signal.
    Signal(i32),
    /// Killed by us after `exec_timeout`.
    TimedOut,
    /// Killed by us because nobody waits for the answer any more.
    ClientGone,
}

impl Ending {
    /// As Go's `os/exec` words it; the watchdogs send it to the client.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Code(code) => format!("exit status {code}"),
            Self::Signal(signal) => format!("signal: {}", signal_name(signal)),
            Self::TimedOut | Self::ClientGone => "signal: killed".to_owned(),
        }
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGILL => "illegal instruction",
        libc::SIGABRT => "aborted",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGKILL => "killed",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGPIPE => "broken pipe",
        libc::SIGALRM => "alarm clock",
        libc::SIGTERM => "terminated",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

/// A running process and our ends of its pipes, all non-blocking.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    group: Pid,
    /// Readable once the process has ended.
    pub pidfd: OwnedFd,
    /// Standard input, until it is closed.
    pub stdin: Option<OwnedFd>,
    /// Standard output, until its end.
    pub stdout: Option<OwnedFd>,
    /// Standard error, until its end; `None` from the start where it goes with the output.
    pub stderr: Option<OwnedFd>,
}

impl Child {
    /// Starts the function's process.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `E2BIG` for headers that do not fit an environment, `EAGAIN` at the limit of
    /// processes.
    pub fn spawn(settings: &Settings, variables: Vec<Variable>) -> io::Result<Self> {
        let (stdin_read, stdin) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stdout, stdout_write) = pipe_with(PipeFlags::CLOEXEC)?;
        let combined = settings.mode == Mode::Classic && settings.combine_output;
        let (stderr, stderr_write) = if combined {
            (None, stdout_write.try_clone()?)
        } else {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            (Some(reader), writer)
        };
        for ours in [Some(&stdin), Some(&stdout), stderr.as_ref()]
            .into_iter()
            .flatten()
        {
            fcntl_setfl(ours, OFlags::NONBLOCK)?;
        }
        let mut command = Command::new(&settings.process[0]);
        command
            .args(&settings.process[1..])
            .envs(variables)
            .process_group(0);
        command
            .stdin(Stdio::from(stdin_read))
            .stdout(Stdio::from(stdout_write))
            .stderr(Stdio::from(stderr_write));
        let process = command.spawn()?;
        drop(command); // Holds our copies of the child's ends.
        let number = i32::try_from(process.id()).map_err(io::Error::other)?;
        let group = Pid::from_raw(number).ok_or_else(|| io::Error::other("no process id"))?;
        let pidfd = pidfd_open(group, PidfdFlags::empty())?;
        Ok(Self {
            process,
            group,
            pidfd,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr,
        })
    }

    /// Kills the process and every child of it that stayed in its group.
    pub fn kill(&self) {
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub fn ended(&mut self) -> io::Result<Option<Ending>> {
        let classify = |status: ExitStatus| match status.signal() {
            Some(signal) => Ending::Signal(signal),
            None => Ending::Code(status.code().unwrap_or(-1)),
        };
        Ok(self.process.try_wait()?.map(classify))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.kill();
            let _ = self.process.wait();
        }
    }
}
