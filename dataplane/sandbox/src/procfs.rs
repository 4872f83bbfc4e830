//! The guest's `/proc` and `/sys`.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{mount, move_mount, open_tree, MountFlags, MoveMountFlags, OpenTreeFlags};

use crate::cgroup::Hierarchy;
use crate::launch_error::{LaunchError, Step};
use crate::rootfs::{folder, tmpfs};
use crate::sys::idmap;

/// Facts of the host that no function needs (runc's defaults).
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
];

/// Controls of the host; the guest's users own none of these, so this is the second lock.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Mounts `/proc` of the current pid namespace; `/dev/null` must exist already.
///
/// # Errors
/// [`LaunchError`] names the file.
pub fn mount_proc(owner: u32) -> Result<(), LaunchError> {
    folder(Path::new("/proc"), owner)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, c"").step(|| "mounting /proc")?;
    for path in MASKED {
        let Ok(facts) = fs::symlink_metadata(path) else {
            continue;
        };
        if facts.is_dir() {
            tmpfs(path, "mode=0555,size=0,nr_inodes=1", MountFlags::RDONLY)?;
        } else {
            clone_onto("/dev/null", path, false)?;
        }
    }
    for path in READ_ONLY {
        if fs::symlink_metadata(path).is_ok() {
            clone_onto(path, path, true)?;
        }
    }
    Ok(())
}

fn clone_onto(source: &str, target: &str, read_only: bool) -> Result<(), LaunchError> {
    let step = || format!("covering {target}");
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree: OwnedFd = open_tree(CWD, source, flags).step(step)?;
    if read_only {
        idmap::make_read_only(&tree).step(step)?;
    }
    move_mount(
        &tree,
        c"",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .step(step)
}

/// Mounts an empty `/sys` that can only hold the sandbox's own control groups.
///
/// # Errors
/// [`LaunchError`] names the step.
pub fn mount_sys(owner: u32) -> Result<(), LaunchError> {
    folder(Path::new("/sys"), owner)?;
    tmpfs(
        "/sys",
        &format!("mode=0755,size=64k,nr_inodes=64,uid={owner},gid={owner}"),
        MountFlags::NOEXEC,
    )?;
    folder(Path::new("/sys/fs/cgroup"), owner)
}

/// Shows the sandbox its own limits, read-only: the JVM, Node and Go size themselves by them.
/// Call it in a fresh cgroup namespace whose root is the sandbox's group.
///
/// # Errors
/// [`LaunchError`] names the hierarchy.
pub fn mount_cgroups(hierarchies: &[Hierarchy], owner: u32) -> Result<(), LaunchError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    let alone = hierarchies.len() == 1;
    for hierarchy in hierarchies {
        let (kind, options) = match &hierarchy.v1_options {
            Some(options) => ("cgroup", options.as_str()),
            None => ("cgroup2", ""),
        };
        let target = match &hierarchy.v1_options {
            None if alone => PathBuf::from("/sys/fs/cgroup"),
            None => PathBuf::from("/sys/fs/cgroup/unified"),
            Some(names) => Path::new("/sys/fs/cgroup").join(names),
        };
        folder(&target, owner)?;
        let options = CString::new(options)
            .map_err(|error| LaunchError::new("cgroup options", error.to_string()))?;
        mount(kind, &target, kind, flags, options.as_c_str())
            .step(|| format!("mounting {}", target.display()))?;
    }
    Ok(())
}
