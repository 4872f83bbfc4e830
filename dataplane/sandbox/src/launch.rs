//! From a specification to a running process 1.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::net::{socketpair, AddressFamily, SocketFlags, SocketType};
use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{pidfd_send_signal, waitpid, Pid, Signal, WaitOptions};

use crate::berth::{self, Berth};
use crate::cgroup::Group;
use crate::guest::{self, Handover};
use crate::launch_error::{LaunchError, Step};
use crate::snapshot::Rebirth;
use crate::spec::Spec;
use crate::sys::clone::{fork_into, fork_into_cgroup, Side};
use crate::{privilege, user_namespace};

pub(crate) const NAMESPACES: libc::c_int =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

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

/// A network namespace that was made before, with `lo` up.
#[derive(Debug)]
pub struct GuestNetwork {
    /// The namespace.
    pub namespace: OwnedFd,
    /// Address of a former sandbox, to be taken off `lo`.
    pub former: Option<Ipv4Addr>,
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
    /// The program is brought back instead of being executed.
    pub restoring: bool,
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

/// Starts process 1 in new namespaces and in its control group; network namespaces come from the berth, if there is one.
/// The caller moves into the socket namespace: the keeper needs no network of its own, and being there it keeps the
/// namespace alive.
///
/// # Errors
/// [`LaunchError`] names the step; nothing is left running.
pub fn launch(spec: &Spec, group: &Group, berth: Option<Berth>) -> Result<Launched, LaunchError> {
    let users =
        user_namespace::create(spec.uid_base).step(|| "user namespace (see jsandbox check)")?;
    let (guest_network, sockets) = match berth {
        Some(berth) => {
            berth::enter(berth.sockets.as_fd()).step(|| "network namespace of the sockets")?;
            let network = GuestNetwork {
                namespace: berth.guest,
                former: berth.address,
            };
            (Some(network), Some(berth.sockets))
        }
        None => (None, None),
    };
    let (outer, inner) = ends().step(|| "pipes")?;
    let doors = group.doors().step(|| "control group")?;
    let rebirth = Rebirth::open(spec.snapshot.as_ref());
    let restoring = rebirth.is_some();
    match fork(group, guest_network.is_none())? {
        Side::Child => {
            drop(outer);
            guest::run(Handover {
                spec,
                user_namespace: users,
                network: guest_network,
                reports: inner.reports,
                ending: inner.ending,
                stdout: inner.stdout,
                stderr: inner.stderr,
                rebirth,
                cgroups: group.visible(),
                doors,
            })
        }
        Side::Parent { pid, pidfd } => {
            // Only the inside keeps the inner ends, so that their last close is seen here.
            drop((inner, doors, rebirth));
            match sockets.map_or_else(socket_namespace, Ok) {
                Ok(socket_namespace) => Ok(Launched {
                    pid,
                    pidfd,
                    ends: outer,
                    socket_namespace,
                    restoring,
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

/// Process 1 is born into its version 2 group; those of version 1 it joins by itself.
fn fork(group: &Group, with_network: bool) -> Result<Side, LaunchError> {
    let network = if with_network { libc::CLONE_NEWNET } else { 0 };
    let namespaces = u64::from((NAMESPACES | network).unsigned_abs());
    let forked = match group.birthplace().step(|| "control group")? {
        Some(folder) => fork_into_cgroup(namespaces, folder.as_fd()),
        None => fork_into(namespaces),
    };
    forked.step(|| "clone3 with new namespaces")
}

/// Made while process 1 builds: nothing in there needs it, and it takes most of a millisecond.
fn socket_namespace() -> Result<OwnedFd, LaunchError> {
    let step = || "network namespace of the sockets";
    privilege::new_network_namespace().step(step)?;
    Ok(File::open("/proc/self/ns/net").step(step)?.into())
}
