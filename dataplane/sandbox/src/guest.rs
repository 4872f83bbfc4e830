//! Process 1 of the sandbox: builds it as real root, gives that up, starts the program, reaps, ends with it.

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use rustix::process::{set_parent_process_death_signal, wait, Signal, WaitOptions};
use rustix::thread::{
    move_into_link_name_space, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid, Gid, LinkNameSpaceType, Uid,
};

use crate::cgroup::{Hierarchy, OURSELVES};
use crate::launch::GuestNetwork;
use crate::launch_error::{LaunchError, Step};
use crate::payload::{self, Payload};
use crate::snapshot::Rebirth;
use crate::spec::Spec;
use crate::sys::clone::{exit_now, fork_into, vfork, Side};
use crate::sys::{interface, signals};
use crate::{berth, privilege, procfs, report, rootfs};

/// Functions die before daemons when the host itself runs out of memory. Written with privilege it is also the lowest
/// value that the guest can set (`proc_pid_oom_score_adj(5)`).
const OOM_SCORE_ADJ: &str = "500";

/// What the keeper hands to process 1.
#[derive(Debug)]
pub struct Handover<'a> {
    /// What to build.
    pub spec: &'a Spec,
    /// Namespace that maps the sandbox's ids; process 1 moves into it at the end.
    pub user_namespace: OwnedFd,
    /// Network namespace to enter; none: process 1 was born into a new one.
    pub network: Option<GuestNetwork>,
    /// Facts go out here.
    pub reports: OwnedFd,
    /// How the program ended goes out here.
    pub ending: OwnedFd,
    /// The program's output.
    pub stdout: OwnedFd,
    /// The program's error output.
    pub stderr: OwnedFd,
    /// Control groups that the guest may see.
    pub cgroups: Vec<Hierarchy>,
    /// What the program is to be brought back by, instead of being executed.
    pub rebirth: Option<Rebirth>,
    /// Files by which process 1 joins its control groups of version 1.
    pub doors: Vec<File>,
}

/// How the program ended, as it crosses from process 1 to the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Exit code, -1 if a signal ended it.
    pub code: i32,
    /// Signal, 0 if none.
    pub signal: i32,
}

impl Ending {
    /// Length on the pipe, in bytes.
    pub const BYTES: usize = 8;

    /// Bytes for the pipe.
    #[must_use]
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.code.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.signal.to_ne_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    #[must_use]
    pub fn decode(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self {
            code: i32::from_ne_bytes([a, b, c, d]),
            signal: i32::from_ne_bytes([e, f, g, h]),
        }
    }
}

/// The life of process 1. Never returns.
pub fn run(mut handover: Handover<'_>) -> ! {
    let payload = match build(&mut handover) {
        Ok(payload) => payload,
        Err(error) => {
            let _ = report::failure(&handover.reports, &error.to_string());
            exit_now(1)
        }
    };
    let Handover {
        reports,
        ending,
        stdout,
        stderr,
        rebirth,
        spec,
        ..
    } = handover;
    if spec
        .snapshot
        .as_ref()
        .is_some_and(|wish| wish.take.is_some())
    {
        // A program that comes back has another process id than when it was captured, as after a fork: random number
        // generators look at it.
        waste_a_process_id();
    }
    // It closes what is not its own at its exec; until then it alone runs.
    let program = vfork(|| payload::run(&payload, &reports, &stdout, &stderr, rebirth.as_ref()));
    // Changing its ids has changed what the memory that both had is marked as.
    if signals::forbid_dumping().is_err() {
        exit_now(1);
    }
    match program {
        Ok((pid, pidfd)) => {
            // The keeper sees the program's exec as the end of this pair, and its output's end on those pipes.
            drop((payload, pidfd, reports, stdout, stderr, rebirth));
            reap(pid, &ending)
        }
        Err(error) => {
            let _ = report::failure(&reports, &format!("starting the program: {error}"));
            exit_now(1)
        }
    }
}

fn waste_a_process_id() {
    match fork_into(0) {
        Ok(Side::Child) => exit_now(0),
        Ok(Side::Parent { .. }) => {
            let _ = wait(WaitOptions::empty());
        }
        Err(_) => {}
    }
}

fn build(handover: &mut Handover<'_>) -> Result<Payload, LaunchError> {
    let spec = handover.spec;
    die_with_keeper(&handover.reports)?;
    // First of all, so that everything built from here on is charged to the sandbox.
    join_groups(handover.doors.drain(..))?;
    prefer_for_oom()?;
    signals::reset_signals();
    signals::forbid_dumping().step(|| "clearing the dumpable flag")?;
    rustix::process::umask(rustix::fs::Mode::empty());
    rustix::system::sethostname(spec.hostname.as_bytes()).step(|| "setting the host name")?;
    join_network(handover.network.take(), spec.network.address)?;
    let built = rootfs::build(spec, handover.user_namespace.as_fd())?;
    for warning in &built.warnings {
        report::warning(&handover.reports, warning).step(|| "reporting")?;
    }
    if let Some(layer) = &built.layer {
        report::layer(&handover.reports, layer).step(|| "reporting")?;
    }
    // The output pipes are the host's root's; /dev/stdout must be open to the program that owns its end.
    let reader = Uid::from_raw(spec.uid_base + built.account.uid);
    for pipe in [&handover.stdout, &handover.stderr] {
        rustix::fs::fchown(pipe, Some(reader), None).step(|| "owning the output pipes")?;
    }
    for (resource, most) in [
        (Resource::Nofile, spec.limits.nofile_max),
        // Not 0: a core pattern that is a pipe ignores 0 and would hand the guest's memory to a program of the host (core(5)).
        (Resource::Core, 1),
    ] {
        limit(resource, most, &handover.reports)?;
    }
    privilege::new_cgroup_namespace().step(|| "entering a cgroup namespace")?;
    procfs::mount_cgroups(&handover.cgroups, spec.uid_base)?;
    leave_host_users(&handover.user_namespace)?;
    die_with_keeper(&handover.reports)?;
    Payload::prepare(spec, built.account)
}

/// Sets both limits of `resource`. A root without CAP_SYS_RESOURCE cannot go above what it was given itself; less than asked for is
/// then better than no function, and said.
fn limit(resource: Resource, most: u64, reports: &OwnedFd) -> Result<(), LaunchError> {
    let both = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    let step = || format!("setting limit {resource:?}");
    match setrlimit(resource, both(most)) {
        Err(Errno::PERM) => {
            let ours = getrlimit(resource).maximum.unwrap_or(most);
            setrlimit(resource, both(ours.min(most))).step(step)?;
            let text =
                format!("limit {resource:?} is {ours} instead of {most}: raise the daemon's own");
            report::warning(reports, &text).step(|| "reporting")
        }
        done => done.step(step),
    }
}

/// The kernel kills us when the keeper ends; if it already has, its end of the pair is closed.
fn die_with_keeper(reports: &OwnedFd) -> Result<(), LaunchError> {
    set_parent_process_death_signal(Some(Signal::KILL)).step(|| "PR_SET_PDEATHSIG")?;
    let mut watched = [PollFd::new(reports, PollFlags::empty())];
    poll(
        &mut watched,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )
    .step(|| "polling the keeper")?;
    if watched[0].revents().contains(PollFlags::HUP) {
        exit_now(1);
    }
    Ok(())
}

fn join_groups(doors: impl Iterator<Item = File>) -> Result<(), LaunchError> {
    for mut door in doors {
        door.write_all(OURSELVES)
            .step(|| "joining the control group")?;
    }
    Ok(())
}

/// The address of a former sandbox goes before ours comes: a guest sees its own alone.
fn join_network(network: Option<GuestNetwork>, address: Ipv4Addr) -> Result<(), LaunchError> {
    match network {
        Some(network) => {
            berth::enter(network.namespace.as_fd()).step(|| "entering the network namespace")?;
            if let Some(former) = network.former {
                interface::remove_loopback_address(former)
                    .step(|| "taking a former address off lo")?;
            }
        }
        None => interface::bring_loopback_up().step(|| "bringing lo up")?,
    }
    interface::add_loopback_address(address).step(|| "giving lo the function's address")
}

fn prefer_for_oom() -> Result<(), LaunchError> {
    match std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ) {
        // Ours is higher already and this root may not lower it (no CAP_SYS_RESOURCE): as good.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done.step(|| "setting oom_score_adj"),
    }
}

/// From here on this process has no power over anything of the host: all other namespaces belong to the host's user
/// namespace, so even root of the sandbox's owns none of them.
fn leave_host_users(user_namespace: &OwnedFd) -> Result<(), LaunchError> {
    move_into_link_name_space(user_namespace.as_fd(), Some(LinkNameSpaceType::User))
        .step(|| "entering the user namespace")?;
    set_thread_groups(&[Gid::ROOT]).step(|| "setting groups")?;
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .step(|| "becoming the sandbox's root group")?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).step(|| "becoming the sandbox's root")?;
    signals::forbid_dumping().step(|| "clearing the dumpable flag")
}

/// Waits for every child; ends with the program, and the kernel ends the rest of the sandbox with us.
fn reap(program: i32, ending: &OwnedFd) -> ! {
    let _ = set_no_new_privs(true);
    let _ = privilege::drop_all_capabilities();
    privilege::close_all_but(ending.as_fd());
    loop {
        let (pid, status) = match wait(WaitOptions::empty()) {
            Ok(Some(ended)) => ended,
            Ok(None) | Err(Errno::INTR) => continue,
            Err(_) => exit_now(1),
        };
        if pid.as_raw_nonzero().get() != program {
            continue;
        }
        let signal = status.terminating_signal().unwrap_or(0);
        let code = status.exit_status().unwrap_or(-1);
        let _ = rustix::io::write(ending, &Ending { code, signal }.encode());
        exit_now(if signal == 0 { code } else { 128 + signal });
    }
}

/// Reads how the program ended; `None` if process 1 was killed before it could say.
///
/// # Errors
/// Those of the pipe.
pub fn read_ending(pipe: &OwnedFd) -> io::Result<Option<Ending>> {
    let mut bytes = [0; Ending::BYTES];
    let read = rustix::io::read(pipe, &mut bytes)?;
    Ok((read == Ending::BYTES).then(|| Ending::decode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_survives_the_pipe() {
        for ending in [
            Ending { code: 0, signal: 0 },
            Ending {
                code: 255,
                signal: 0,
            },
            Ending {
                code: -1,
                signal: 9,
            },
        ] {
            assert_eq!(Ending::decode(ending.encode()), ending);
        }
    }
}
