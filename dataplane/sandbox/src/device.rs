//! The guest's `/dev`: the six devices every program expects, nothing of the host's.

use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use rustix::fs::{makedev, mknodat, FileType, Mode, CWD};
use rustix::mount::{mount, MountFlags};

use crate::launch_error::{LaunchError, Step};
use crate::rootfs::{folder, tmpfs, INODES_PER_MIB};

/// Name, major and minor number (Linux allocated devices list).
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Mounts it; `owner` is the guest's root, `shm_mib` the size limit of `/dev/shm`.
///
/// # Errors
/// [`LaunchError`] names the device.
pub fn mount_dev(owner: u32, shm_mib: u32) -> Result<(), LaunchError> {
    folder(Path::new("/dev"), owner)?;
    let options = std::ffi::CString::new(format!(
        "mode=0755,size=64k,nr_inodes=64,uid={owner},gid={owner}"
    ))
    .map_err(|error| LaunchError::new("/dev options", error.to_string()))?;
    mount(
        "tmpfs",
        "/dev",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        options.as_c_str(),
    )
    .step(|| "mounting /dev")?;
    for (name, major, minor) in DEVICES {
        let path = Path::new("/dev").join(name);
        let step = || format!("creating /dev/{name}");
        mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            makedev(major, minor),
        )
        .step(step)?;
        chown(&path, Some(owner), Some(owner)).step(step)?;
    }
    for (to, link) in LINKS {
        symlink(to, link).step(|| format!("creating {link}"))?;
    }
    folder(Path::new("/dev/shm"), owner)?;
    tmpfs(
        "/dev/shm",
        &format!(
            "mode=1777,size={shm_mib}m,nr_inodes={}",
            shm_mib.saturating_mul(INODES_PER_MIB)
        ),
        MountFlags::NOEXEC,
    )
}
