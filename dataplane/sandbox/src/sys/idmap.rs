//! `mount_setattr(2)`: id-mapped and read-only mounts.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::checked;

/// Changes the attributes of the detached mount `tree` (as from `open_tree`), its children included.
fn set(
    tree: BorrowedFd<'_>,
    attributes: u64,
    user_namespace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    // SAFETY: all-zero is a valid mount_attr (every field is an integer).
    let mut change: libc::mount_attr = unsafe { mem::zeroed() };
    change.attr_set = attributes;
    if let Some(namespace) = user_namespace {
        change.attr_set |= libc::MOUNT_ATTR_IDMAP;
        change.userns_fd = u64::from(namespace.as_raw_fd().unsigned_abs());
    }
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is an empty C string and the structure outlives the call, which only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&change),
            mem::size_of_val(&change),
        )
    };
    checked(result).map(|_| ())
}

/// Shifts the owners of all files below the mount by the mapping of `user_namespace`.
///
/// # Errors
/// `EINVAL` where the file system or the kernel (before 5.12) cannot.
pub fn shift_owners<Tree: AsFd, Namespace: AsFd>(
    tree: Tree,
    user_namespace: Namespace,
) -> io::Result<()> {
    set(
        tree.as_fd(),
        libc::MOUNT_ATTR_NOSUID,
        Some(user_namespace.as_fd()),
    )
}

/// Makes the mount read-only, without devices and set-user-id programs.
///
/// # Errors
/// `ENOSYS` before Linux 5.12.
pub fn make_read_only<Tree: AsFd>(tree: Tree) -> io::Result<()> {
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    set(tree.as_fd(), attributes, None)
}
