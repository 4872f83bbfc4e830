//! Whose the waiters of a slab are. A process that ends without giving its own back must not use them up.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use jd_ring::abi::WAITERS;
use jd_ring::host::Slab;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{pidfd_open, Pid, PidfdFlags};

/// A process, kept without a descriptor: a guest of many processes would pin one for each of its waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: Pid,
    /// Tells it from a later process of that number (Linux 6.9; the same for all before).
    inode: u64,
}

/// By waiter: the process that has it.
pub(crate) struct Waiters(Mutex<[Option<Process>; WAITERS]>);

impl Default for Waiters {
    fn default() -> Self {
        Self(Mutex::new([const { None }; WAITERS]))
    }
}

impl Waiters {
    /// Gives one to the process behind the pidfd `owner`. Those of processes that are gone come back when none
    /// is free.
    ///
    /// # Errors
    /// `ENOBUFS`: living processes have all; `EMFILE`: no eventfd could be made.
    pub fn take(&self, slab: &Slab, owner: OwnedFd) -> Result<u32, Errno> {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || slab.waiter_open().map_err(|_| Errno::MFILE);
        let mut given = open()?;
        if given.is_none() {
            for (index, owner) in (0..).zip(owners.iter_mut()) {
                if owner.is_some_and(Process::is_gone) {
                    *owner = None;
                    let _ = slab.waiter_free(index);
                }
            }
            given = open()?;
        }
        let index = given.ok_or(Errno::NOBUFS)?;
        if let Some(place) = owners.get_mut(index as usize) {
            // One that is gone already, or has no number here, is not looked for later: its waiter goes with
            // the slab.
            *place = Process::behind(&owner);
        }
        Ok(index)
    }

    /// Takes one back.
    ///
    /// # Errors
    /// `EINVAL`: it was not given.
    pub fn give_back(&self, slab: &Slab, index: u32) -> Result<(), Errno> {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !slab.waiter_free(index) {
            return Err(Errno::INVAL);
        }
        if let Some(place) = owners.get_mut(index as usize) {
            *place = None;
        }
        Ok(())
    }
}

impl Process {
    fn behind(pidfd: &OwnedFd) -> Option<Self> {
        let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
        let pid = facts.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        let pid = Pid::from_raw(pid.trim().parse().ok().filter(|&pid| pid > 0)?)?;
        Some(Self {
            pid,
            inode: inode(pidfd)?,
        })
    }

    fn is_gone(self) -> bool {
        match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(now) => has_ended(&now) || inode(&now) != Some(self.inode),
            Err(error) => error == Errno::SRCH,
        }
    }
}

fn inode(pidfd: impl AsFd) -> Option<u64> {
    Some(rustix::fs::fstat(pidfd).ok()?.st_ino)
}

/// Whether the process behind a pidfd ended (pidfd_open(2): it is readable then).
fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Tests that fill a crowd of waiters, or count what one pins, do so one after the other.
    static CROWD: Mutex<()> = Mutex::new(());

    fn pidfd(pid: u32) -> OwnedFd {
        let pid = Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid");
        pidfd_open(pid, PidfdFlags::empty()).expect("pidfd")
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_number() {
        let own = Process::behind(&pidfd(std::process::id())).expect("a process");
        assert!(!own.is_gone());
        let earlier = Process {
            inode: own.inode + 1,
            ..own
        };
        assert!(earlier.is_gone());
    }

    #[test]
    fn waiters_pin_an_eventfd_each_and_no_more() {
        let _alone = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || fs::read_dir("/proc/self/fd").expect("list").count();
        let (waiters, slab) = (Waiters::default(), Slab::create().expect("slab"));
        let owner = pidfd(std::process::id());
        let before = open();
        for _ in 0..WAITERS {
            waiters
                .take(&slab, owner.try_clone().expect("copy"))
                .expect("a waiter");
        }
        // Other tests of this process come and go.
        assert!(open() - before < WAITERS + WAITERS / 2);
    }

    #[test]
    fn waiters_of_the_dead_come_back() {
        let _alone = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
        let (waiters, slab) = (Waiters::default(), Slab::create().expect("slab"));
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let own = std::process::id();
        assert_eq!(waiters.take(&slab, pidfd(child.id())), Ok(0));
        for index in 1..WAITERS {
            assert_eq!(
                waiters.take(&slab, pidfd(own)),
                Ok(u32::try_from(index).expect("small"))
            );
        }
        assert_eq!(waiters.take(&slab, pidfd(own)), Err(Errno::NOBUFS));
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert_eq!(waiters.take(&slab, pidfd(own)), Ok(0));
        assert_eq!(waiters.give_back(&slab, 7), Ok(()));
        assert_eq!(waiters.give_back(&slab, 7), Err(Errno::INVAL));
        assert_eq!(waiters.give_back(&slab, 9_999), Err(Errno::INVAL));
    }
}
