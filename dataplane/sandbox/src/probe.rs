//! `jsandbox check`: every kernel feature that the launcher needs, found out by trying it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    mount, mount_change, move_mount, open_tree, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags,
};
use rustix::process::{chdir, pidfd_open, waitpid, Pid, PidfdFlags, WaitOptions};
use serde::Serialize;

use crate::cgroup::{self, Controller};
use crate::sys::clone::{exit_now, fork_into, Side};
use crate::sys::{filter, idmap, socket_option};
use crate::{seccomp, user_namespace};

/// Ids for the trial namespace; nothing runs in it.
const TRIAL_UID_BASE: u32 = 2_000_000_000;

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// Whether it works here.
    pub on: bool,
    /// Whether no sandbox can start without it.
    pub required: bool,
    /// What was seen.
    pub why: String,
    /// What to do when it is off.
    pub mend: &'static str,
}

struct Trial {
    name: &'static str,
    required: bool,
    good: &'static str,
    mend: &'static str,
    run: fn() -> io::Result<()>,
}

const TRIALS: [Trial; 9] = [
    Trial {
        name: "root",
        required: true,
        good: "runs as root",
        mend: "run junctiond as root: it makes namespaces, mounts and control groups",
        run: root,
    },
    Trial {
        name: "clone3",
        required: true,
        good: "mount, pid, ipc, uts and network namespaces were made",
        mend: "Linux 5.14 or newer is needed; raise user.max_*_namespaces if the limit is reached",
        run: namespaces,
    },
    Trial {
        name: "user_namespaces",
        required: true,
        good: "a namespace was made and mapped",
        mend: "build the kernel with CONFIG_USER_NS and set sysctl user.max_user_namespaces above 0",
        run: || user_namespace::create(TRIAL_UID_BASE).map(drop),
    },
    Trial {
        name: "pidfd",
        required: true,
        good: "pidfd_open works",
        mend: "Linux 5.14 or newer is needed",
        run: pidfd,
    },
    Trial {
        name: "overlay",
        required: true,
        good: "an overlay was mounted",
        mend: "load the module (modprobe overlay) or build the kernel with CONFIG_OVERLAY_FS",
        run: || in_child(libc::CLONE_NEWNS, || overlay(false)),
    },
    Trial {
        name: "idmapped_mounts",
        required: false,
        good: "an overlay on id-mapped layers was mounted",
        mend: "Linux 5.19 or newer, layers on ext4, xfs or btrfs; without it files of images appear as owned by nobody",
        run: || in_child(libc::CLONE_NEWNS, || overlay(true)),
    },
    Trial {
        name: "seccomp_notify",
        required: true,
        good: "a filter with a listener was installed",
        mend: "build the kernel with CONFIG_SECCOMP_FILTER; Linux 5.14 or newer; do not run below another seccomp listener",
        run: || in_child(0, || install(false)),
    },
    Trial {
        name: "seccomp_wait_killable",
        required: false,
        good: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is accepted",
        mend: "Linux 5.19 or newer; without it a signal may abort a socket call that was already carried out",
        run: || in_child(0, || install(true)),
    },
    Trial {
        name: "so_passrights",
        required: false,
        good: "SO_PASSRIGHTS can be set",
        mend: "Linux 6.16 or newer; without it the platform reads such sockets so that no descriptor is taken",
        run: socket_option::try_passrights,
    },
];

/// Tries everything.
#[must_use]
pub fn findings() -> Vec<Finding> {
    let tried = TRIALS.iter().map(|trial| {
        let outcome = (trial.run)();
        let why = outcome
            .as_ref()
            .err()
            .map_or_else(|| trial.good.to_owned(), io::Error::to_string);
        Finding {
            name: trial.name,
            on: outcome.is_ok(),
            required: trial.required,
            why,
            mend: trial.mend,
        }
    });
    tried.chain(control_groups()).collect()
}

fn control_groups() -> Vec<Finding> {
    let hierarchies = cgroup::hierarchies().unwrap_or_default();
    let finding = |controller: Controller| {
        let place = hierarchies
            .iter()
            .find(|hierarchy| hierarchy.controllers.contains(&controller));
        let version =
            |hierarchy: &cgroup::Hierarchy| if hierarchy.v1_options.is_some() { 1 } else { 2 };
        Finding {
            name: match controller {
                Controller::Memory => "cgroup_memory",
                Controller::Cpu => "cgroup_cpu",
                Controller::Pids | Controller::Account | Controller::Cpuset => "cgroup_pids",
            },
            on: place.is_some(),
            required: false,
            why: place.map_or_else(
                || "no mounted hierarchy has it".to_owned(),
                |hierarchy| format!("version {} at {}", version(hierarchy), hierarchy.mount.display()),
            ),
            mend: "mount cgroup2 at /sys/fs/cgroup with this controller (kernel command line: cgroup_enable=memory)",
        }
    };
    Controller::LIMITS.into_iter().map(finding).collect()
}

fn root() -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(io::Error::other("is not root"))
}

/// Runs a trial in a process of its own, so that it leaves nothing behind.
fn in_child(namespaces: libc::c_int, trial: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match fork_into(u64::from(namespaces.unsigned_abs()))? {
        Side::Child => exit_now(match trial() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        }),
        Side::Parent { pid, .. } => match waitpid(Pid::from_raw(pid), WaitOptions::empty())? {
            Some((_, status)) => match status.exit_status() {
                Some(0) => Ok(()),
                Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                None => Err(io::Error::other("the trial was killed")),
            },
            None => Err(io::Error::other("the trial vanished")),
        },
    }
}

fn namespaces() -> io::Result<()> {
    in_child(crate::launch::NAMESPACES | libc::CLONE_NEWNET, || Ok(()))
}

fn pidfd() -> io::Result<()> {
    let own = rustix::process::getpid();
    pidfd_open(own, PidfdFlags::empty())?;
    Ok(())
}

fn install(wait_killable: bool) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    filter::install(seccomp::program(), wait_killable).map(drop)
}

/// The way the launcher builds a root: layer below, tmpfs above. The layer is a folder of a real file system.
fn overlay(shifted: bool) -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let layer: OwnedFd = open_tree(CWD, layer_folder(), flags)?;
    if shifted {
        let users = user_namespace::create(TRIAL_UID_BASE)?;
        idmap::shift_owners(&layer, users.as_fd())?;
    }
    mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), c"size=64k")?;
    chdir("/tmp")?;
    for name in ["lower", "upper", "work", "root"] {
        fs::create_dir(name)?;
    }
    move_mount(
        &layer,
        c"",
        CWD,
        "lower",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?;
    mount(
        "overlay",
        "root",
        "overlay",
        MountFlags::empty(),
        c"lowerdir=lower,upperdir=upper,workdir=work",
    )?;
    Ok(())
}

/// Where layers will be, as far as it exists.
fn layer_folder() -> &'static Path {
    let places = [
        "/var/lib/junctiond/layers",
        "/var/lib/junctiond",
        "/var/lib",
        "/",
    ]
    .map(Path::new);
    places
        .into_iter()
        .find(|place| place.is_dir())
        .unwrap_or(Path::new("/"))
}
