//! The user namespace of one sandbox: made by a short-lived process, mapped by the keeper.
//!
//! It exists before anything is mounted, because id-mapped mounts need it; process 1 enters it last.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{waitpid, Pid, WaitOptions};

use crate::spec::UID_COUNT;
use crate::sys::clone::{exit_now, fork_into, Side};

/// Makes a namespace whose ids 0..65535 are the host's `uid_base`.. and returns a descriptor of it.
///
/// # Errors
/// `ENOSPC` when `user.max_user_namespaces` is used up, `EPERM` without root.
pub fn create(uid_base: u32) -> io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match fork_into(u64::from(libc::CLONE_NEWUSER.unsigned_abs()))? {
        Side::Child => {
            drop(writer);
            // Ends when the keeper closes its end, also by dying.
            let _ = rustix::io::read(&reader, &mut [0_u8; 1]);
            exit_now(0)
        }
        Side::Parent { pid, .. } => {
            let namespace = map(pid, uid_base);
            drop(writer);
            let _ = waitpid(Pid::from_raw(pid), WaitOptions::empty());
            namespace
        }
    }
}

fn map(pid: i32, uid_base: u32) -> io::Result<OwnedFd> {
    let line = format!("0 {uid_base} {UID_COUNT}\n");
    fs::write(format!("/proc/{pid}/uid_map"), &line)?;
    fs::write(format!("/proc/{pid}/gid_map"), &line)?;
    Ok(File::open(format!("/proc/{pid}/ns/user"))?.into())
}
