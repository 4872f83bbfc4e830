//! Giving up power, for good.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::thread::{
    clear_ambient_capability_set, set_capabilities, CapabilitySet, CapabilitySets,
};

use crate::sys::{namespace, signals};

/// Empties the bounding, ambient, inheritable, permitted and effective sets. With an empty bounding set not even an
/// exec as root gets a capability back.
///
/// # Errors
/// Those of `prctl` and `capset`.
pub fn drop_all_capabilities() -> io::Result<()> {
    signals::empty_bounding_set()?;
    drop_held_capabilities()
}

/// The sets of this process without the bounding set, which needs a capability itself to be emptied.
///
/// # Errors
/// Those of `prctl` and `capset`.
pub fn drop_held_capabilities() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(())
}

/// Makes the current control group the root of what this process and its children see.
///
/// # Errors
/// `EPERM` without privilege.
pub fn new_cgroup_namespace() -> io::Result<()> {
    namespace::unshare_plain(libc::CLONE_NEWCGROUP)
}

/// Makes an empty network namespace for this process.
///
/// # Errors
/// `EPERM` without privilege, `ENOSPC` at the host's limit.
pub fn new_network_namespace() -> io::Result<()> {
    namespace::unshare_plain(libc::CLONE_NEWNET)
}

/// Closes every descriptor but one.
pub fn close_all_but(kept: BorrowedFd<'_>) {
    let kept = u32::try_from(kept.as_raw_fd()).unwrap_or(0);
    namespace::close_range(0, kept.saturating_sub(1), kept > 0);
    namespace::close_range(kept + 1, u32::MAX, true);
}
