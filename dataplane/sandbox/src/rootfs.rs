//! The guest's root file system, built inside its mount namespace while still real root.
//!
//! Order matters for safety: everything of the host is opened first, then the root is entered, and only then
//! are paths of the image walked. From there on a link of the image cannot lead back to the host.

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{chown, DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    mount, mount_change, mount_remount, move_mount, open_tree, unmount, MountFlags,
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::process::{chdir, pivot_root};

use crate::account::{self, Account};
use crate::launch_error::{LaunchError, Step};
use crate::spec::{Bind, Rootfs, Secret, Spec};
use crate::sys::idmap;
use crate::{device, names, procfs};

/// Where functions look for secrets (OpenFaaS contract).
const SECRETS: &str = "/var/openfaas/secrets";
/// Largest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 1 << 20;
/// Largest `/etc/passwd` and `/etc/group` that are read, in bytes.
const ACCOUNTS_BYTES_MAX: u64 = 4 << 20;

/// Files that a tmpfs of the guest may hold per MiB of its size. Empty files take no size, but kernel memory.
pub(crate) const INODES_PER_MIB: u32 = 256;

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// Who the program runs as.
    pub account: Account,
    /// What the host could not do.
    pub warnings: Vec<String>,
    /// The writable layer, where a snapshot is to be taken.
    pub layer: Option<OwnedFd>,
}

/// Things of the host that the root needs, opened before it is entered.
struct Borrowed {
    binds: Vec<(PathBuf, OwnedFd, bool)>,
    secrets: Vec<(String, Vec<u8>)>,
}

/// Builds the root and enters it.
///
/// # Errors
/// [`LaunchError`] names the step and path.
pub fn build(spec: &Spec, user_namespace: BorrowedFd<'_>) -> Result<Built, LaunchError> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .step(|| "making mounts private")?;
    let borrowed = Borrowed {
        binds: spec.binds.iter().map(open_bind).collect::<Result<_, _>>()?,
        secrets: spec
            .secrets
            .iter()
            .map(read_secret)
            .collect::<Result<_, _>>()?,
    };
    let mut warnings = Vec::new();
    overlay(
        &spec.rootfs,
        &spec.run_dir,
        spec.uid_base,
        user_namespace,
        &mut warnings,
    )?;
    let takes = spec
        .snapshot
        .as_ref()
        .is_some_and(|wish| wish.take.is_some());
    let layer = if takes {
        let folder = File::open("upper").step(|| "opening the writable layer")?;
        Some(folder.into())
    } else {
        None
    };
    enter()?;
    let owner = spec.uid_base;
    let account = account::resolve(
        &spec.process.user,
        &accounts("/etc/passwd")?,
        &accounts("/etc/group")?,
    )
    .map_err(|error| LaunchError::new("process.user", error.to_string()))?;
    names::write(spec)?;
    folder(Path::new("/tmp"), owner)?;
    tmpfs(
        "/tmp",
        &format!(
            "mode=1777,size={}m,nr_inodes={},uid={owner},gid={owner}",
            spec.rootfs.tmp_mib,
            spec.rootfs.tmp_mib.saturating_mul(INODES_PER_MIB)
        ),
        MountFlags::empty(),
    )?;
    procfs::mount_sys(owner)?;
    device::mount_dev(owner, spec.rootfs.tmp_mib)?;
    procfs::mount_proc(owner)?;
    if !borrowed.secrets.is_empty() {
        secrets(&borrowed.secrets, owner, owner + account.uid)?;
    }
    for (target, tree, is_folder) in &borrowed.binds {
        bind(target, tree, *is_folder, owner)?;
    }
    if spec.rootfs.read_only {
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount("/", flags, c"").step(|| "making the root read-only")?;
    }
    Ok(Built {
        account,
        warnings,
        layer,
    })
}

/// Mounts the overlay below the run folder. Only this mount namespace sees any of it.
fn overlay(
    rootfs: &Rootfs,
    run_dir: &Path,
    owner: u32,
    user_namespace: BorrowedFd<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), LaunchError> {
    let inodes = rootfs.writable_mib.saturating_mul(INODES_PER_MIB);
    let size = format!("mode=0700,size={}m,nr_inodes={inodes}", rootfs.writable_mib);
    tmpfs(run_dir, &size, MountFlags::empty())?;
    chdir(run_dir).step(|| format!("entering {}", run_dir.display()))?;
    for name in ["upper", "work", "root"] {
        DirBuilder::new()
            .mode(0o755)
            .create(name)
            .step(|| format!("creating {name}"))?;
    }
    chown("upper", Some(owner), Some(owner)).step(|| "owning the upper layer")?;
    let mut lower = String::new();
    let mut shifted = true;
    for (index, layer) in rootfs.layers.iter().enumerate() {
        let name = format!("l{index}");
        DirBuilder::new()
            .mode(0o755)
            .create(&name)
            .step(|| format!("creating {name}"))?;
        shifted &= attach_layer(layer, &name, user_namespace)?;
        let _ = write!(lower, "{}{name}", if index == 0 { "" } else { ":" });
    }
    if !shifted {
        warnings.push(
            "id-mapped mounts refused by this kernel or file system: files of the image appear as owned by nobody; \
             use Linux 5.19 or newer and keep layers on ext4, xfs or btrfs"
                .to_owned(),
        );
    }
    let options = CString::new(format!("lowerdir={lower},upperdir=upper,workdir=work"))
        .map_err(|error| LaunchError::new("overlay options", error.to_string()))?;
    mount(
        "overlay",
        "root",
        "overlay",
        MountFlags::NOSUID | MountFlags::NODEV,
        options.as_c_str(),
    )
    .step(|| "mounting the overlay root")
}

/// Puts a private, owner-shifted copy of a layer's mount at `name`; false if owners could not be shifted.
fn attach_layer(
    layer: &Path,
    name: &str,
    user_namespace: BorrowedFd<'_>,
) -> Result<bool, LaunchError> {
    let tree = open_tree(
        CWD,
        layer,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .step(|| format!("opening layer {}", layer.display()))?;
    let shifted = idmap::shift_owners(&tree, user_namespace).is_ok();
    move_mount(
        &tree,
        c"",
        CWD,
        name,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .step(|| format!("attaching layer {}", layer.display()))?;
    Ok(shifted)
}

/// Makes the overlay the root of this namespace and lets go of the host's.
fn enter() -> Result<(), LaunchError> {
    chdir("root").step(|| "entering the root")?;
    pivot_root(".", ".").step(|| "pivot_root")?;
    unmount(".", UnmountFlags::DETACH).step(|| "letting go of the host's root")?;
    chdir("/").step(|| "entering the root")
}

fn open_bind(bind: &Bind) -> Result<(PathBuf, OwnedFd, bool), LaunchError> {
    let source = &bind.source;
    let facts = fs::metadata(source).step(|| format!("bind source {}", source.display()))?;
    let tree = open_tree(
        CWD,
        source,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .step(|| format!("bind source {}", source.display()))?;
    idmap::make_read_only(&tree).step(|| format!("making {} read-only", source.display()))?;
    Ok((bind.target.clone(), tree, facts.is_dir()))
}

fn read_secret(secret: &Secret) -> Result<(String, Vec<u8>), LaunchError> {
    let step = || format!("secret {}", secret.name);
    let file = File::open(&secret.source).step(step)?;
    let mut content = Vec::new();
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .step(step)?;
    if content.len() as u64 > SECRET_BYTES_MAX {
        return Err(LaunchError::new(
            step(),
            format!("is larger than {SECRET_BYTES_MAX} bytes"),
        ));
    }
    Ok((secret.name.clone(), content))
}

/// Reads an account file of the image; a missing one is empty. Pipes and devices are not opened for reading.
fn accounts(path: &str) -> Result<String, LaunchError> {
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).step(|| path.to_owned()),
    };
    if !file.metadata().step(|| path.to_owned())?.is_file() {
        return Err(LaunchError::new(
            path,
            "the image has something else than a file there",
        ));
    }
    let mut content = Vec::new();
    file.take(ACCOUNTS_BYTES_MAX)
        .read_to_end(&mut content)
        .step(|| path.to_owned())?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Creates missing folders of `path`, owned by the guest's root.
pub(crate) fn folder(path: &Path, owner: u32) -> Result<(), LaunchError> {
    if fs::metadata(path).is_ok_and(|facts| facts.is_dir()) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        folder(parent, owner)?;
    }
    let step = || format!("creating folder {} in the image's root", path.display());
    DirBuilder::new().mode(0o755).create(path).step(step)?;
    chown(path, Some(owner), Some(owner)).step(step)
}

/// Mounts a tmpfs, never with devices or set-user-id programs.
pub(crate) fn tmpfs<Target: AsRef<Path>>(
    target: Target,
    options: &str,
    more: MountFlags,
) -> Result<(), LaunchError> {
    let target = target.as_ref();
    let options = CString::new(options)
        .map_err(|error| LaunchError::new("tmpfs options", error.to_string()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | more;
    mount("tmpfs", target, "tmpfs", flags, options.as_c_str())
        .step(|| format!("mounting tmpfs at {}", target.display()))
}

fn secrets(all: &[(String, Vec<u8>)], owner: u32, reader: u32) -> Result<(), LaunchError> {
    folder(Path::new(SECRETS), owner)?;
    let pages: usize = all
        .iter()
        .map(|(_, content)| content.len().div_ceil(4096))
        .sum();
    let kib = 4 * (pages + 1);
    let options = format!(
        "mode=0755,size={kib}k,nr_inodes={},uid={owner},gid={owner}",
        all.len() + 2
    );
    tmpfs(SECRETS, &options, MountFlags::NOEXEC)?;
    for (name, content) in all {
        let path = Path::new(SECRETS).join(name);
        fs::write(&path, content).step(|| format!("writing secret {name}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))
            .step(|| format!("secret {name}"))?;
        chown(&path, Some(reader), Some(reader)).step(|| format!("secret {name}"))?;
    }
    let flags = MountFlags::BIND
        | MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC;
    mount_remount(SECRETS, flags, c"").step(|| "making secrets read-only")
}

fn bind(target: &Path, tree: &OwnedFd, is_folder: bool, owner: u32) -> Result<(), LaunchError> {
    let step = || format!("bind target {}", target.display());
    if is_folder {
        folder(target, owner)?;
    } else if fs::metadata(target).is_ok_and(|facts| facts.mode() & libc::S_IFMT == libc::S_IFDIR) {
        return Err(LaunchError::new(
            step(),
            "the image has a folder there, the source is a file",
        ));
    } else if fs::metadata(target).is_err() {
        folder(target.parent().unwrap_or(Path::new("/")), owner)?;
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(target)
            .step(step)?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(tree.as_fd(), c"", CWD, target, flags).step(step)
}
