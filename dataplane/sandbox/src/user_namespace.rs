//! The user namespace of one sandbox: made by a short-lived process, mapped by the keeper.
//!
//! It exists before anything is mounted, because id-mapped mounts need it; process 1 enters it last.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;

use crate::spec::UID_COUNT;
use crate::sys::clone::with_waiting_child;

/// Makes a namespace whose ids 0..65535 are the host's `uid_base`.. and returns a descriptor of it.
///
/// # Errors
/// `ENOSPC` when `user.max_user_namespaces` is used up, `EPERM` without root.
pub fn create(uid_base: u32) -> io::Result<OwnedFd> {
    with_waiting_child(libc::CLONE_NEWUSER, |pid| map(pid, uid_base))?
}

fn map(pid: i32, uid_base: u32) -> io::Result<OwnedFd> {
    let line = format!("0 {uid_base} {UID_COUNT}\n");
    fs::write(format!("/proc/{pid}/uid_map"), &line)?;
    fs::write(format!("/proc/{pid}/gid_map"), &line)?;
    Ok(File::open(format!("/proc/{pid}/ns/user"))?.into())
}
