//! Whose the waiters of a slab are. A process that ends without giving its own back must not use them up.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use jd_ring::abi::WAITERS;
use jd_ring::host::Slab;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// By waiter: a descriptor of the process that has it.
pub(crate) struct Waiters(Mutex<[Option<OwnedFd>; WAITERS]>);

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
                if owner.as_ref().is_some_and(is_gone) {
                    *owner = None;
                    let _ = slab.waiter_free(index);
                }
            }
            given = open()?;
        }
        let index = given.ok_or(Errno::NOBUFS)?;
        if let Some(place) = owners.get_mut(index as usize) {
            *place = Some(owner);
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

/// Whether the process behind a pidfd ended (pidfd_open(2): it is readable then).
fn is_gone(owner: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(owner, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn pidfd(pid: u32) -> OwnedFd {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid");
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("pidfd")
    }

    #[test]
    fn waiters_of_the_dead_come_back() {
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
