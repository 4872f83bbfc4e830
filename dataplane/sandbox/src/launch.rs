//! From a specification to a running process 1.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::net::{socketpair, AddressFamily, SocketFlags, SocketType};
use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{pidfd_send_signal, waitpid, Pid, Signal, WaitOptions};

use crate::cgroup::Group;
use crate::guest::{self, Handover};
use crate::launch_error::{LaunchError, Step};
use crate::spec::Spec;
use crate::sys::clone::{fork_into, Side};
use crate::{privilege, user_namespace};

pub(crate) const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNET;

/// Functions die before daemons when the host itself runs out of memory. Written with privilege it is also the lowest
/// value that the guest can set (`proc_pid_oom_score_adj(5)`).
const OOM_SCORE_ADJ: &str = "500";

/// The keeper's ends of everything that leads inside, all non-blocking.
#[derive(Debug)]
pub struct Ends {
    /// Facts while building, see [`crate::report`].
    pub reports: OwnedFd,
    /// How the program ended.
    pub ending: OwnedFd,
    /// The program's output.
    pub stdout: OwnedFd,
    /// The program's error output.
    pub stderr: OwnedFd,
}

/// A started process 1.
#[derive(Debug)]
pub struct Launched {
    /// Its process id on the host.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// Pipes and pair to it.
    pub ends: Ends,
    /// Network namespace for injected sockets.
    pub socket_namespace: OwnedFd,
}

fn ends() -> io::Result<(Ends, Ends)> {
    let (reports, inner_reports) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let (ending, inner_ending) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stdout, inner_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, inner_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    // A pipe's two ends are two open files, so the guest's stay blocking: a full log pipe stops it, not us.
    for reader in [&ending, &stdout, &stderr] {
        rustix::fs::fcntl_setfl(reader, OFlags::NONBLOCK)?;
    }
    let outer = Ends {
        reports,
        ending,
        stdout,
        stderr,
    };
    let inner = Ends {
        reports: inner_reports,
        ending: inner_ending,
        stdout: inner_stdout,
        stderr: inner_stderr,
    };
    Ok((outer, inner))
}

fn prefer_for_oom(file: &str) -> Result<(), LaunchError> {
    match std::fs::write(file, OOM_SCORE_ADJ) {
        // Ours is higher already and this root may not lower it (no CAP_SYS_RESOURCE): as good.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done.step(|| "setting oom_score_adj"),
    }
}

/// Starts process 1 in new namespaces and in its control group. The caller moves into the socket namespace: the
/// keeper needs no network of its own, and being there it keeps the namespace alive.
///
/// # Errors
/// [`LaunchError`] names the step; nothing is left running.
pub fn launch(spec: &Spec, group: &Group) -> Result<Launched, LaunchError> {
    let users =
        user_namespace::create(spec.uid_base).step(|| "user namespace (see jsandbox check)")?;
    let (outer, inner) = ends().step(|| "pipes")?;
    match fork_into(u64::from(NAMESPACES.unsigned_abs())).step(|| "clone3 with new namespaces")? {
        Side::Child => {
            drop(outer);
            guest::run(Handover {
                spec,
                user_namespace: users,
                reports: inner.reports,
                ending: inner.ending,
                stdout: inner.stdout,
                stderr: inner.stderr,
                cgroups: group.visible(),
            })
        }
        Side::Parent { pid, pidfd } => {
            // Only the inside keeps the inner ends, so that their last close is seen here.
            drop(inner);
            match admit(pid, group, &outer.reports).and_then(|()| socket_namespace()) {
                Ok(socket_namespace) => Ok(Launched {
                    pid,
                    pidfd,
                    ends: outer,
                    socket_namespace,
                }),
                Err(error) => {
                    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                    let _ = waitpid(Pid::from_raw(pid), WaitOptions::empty());
                    Err(error)
                }
            }
        }
    }
}

/// Puts process 1 into its control group and lets it go on.
fn admit(pid: i32, group: &Group, reports: &OwnedFd) -> Result<(), LaunchError> {
    group.add(pid).step(|| "joining the control group")?;
    prefer_for_oom(&format!("/proc/{pid}/oom_score_adj"))?;
    match rustix::io::write(reports, b"g") {
        // It has ended already; why it did stands in its report, which is read next.
        Ok(_) | Err(rustix::io::Errno::PIPE) => Ok(()),
        Err(error) => Err(error).step(|| "starting process 1"),
    }
}

/// Made while process 1 builds: nothing in there needs it, and it takes most of a millisecond.
fn socket_namespace() -> Result<OwnedFd, LaunchError> {
    let step = || "network namespace of the sockets";
    privilege::new_network_namespace().step(step)?;
    Ok(File::open("/proc/self/ns/net").step(step)?.into())
}
