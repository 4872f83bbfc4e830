//! The two network namespaces of a sandbox, made before they are needed and used again afterwards.
//!
//! Making and destroying both is the dearest part of a launch (docs/decisions/0006-launch.md). They can outlive a
//! sandbox without telling the next one anything: no guest has a capability over them or an IP socket in them, so all
//! that a guest can leave there is a socket, and a namespace that still has one is not used again.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};

use crate::privilege;
use crate::sys::interface;

/// Berths kept on an idle host, ready for the next launch.
const READY_MIN: usize = 4;
/// Berths kept while sandboxes come and go; more are given back to the kernel.
const READY_MAX: usize = 16;

/// The namespaces of one sandbox.
#[derive(Debug)]
pub struct Berth {
    /// Where the guest lives; `lo` is up.
    pub guest: OwnedFd,
    /// Where its injected sockets live.
    pub sockets: OwnedFd,
    /// Address that an earlier sandbox left on `lo`.
    pub address: Option<Ipv4Addr>,
}

impl Berth {
    /// Makes both; this process is in the second one afterwards.
    ///
    /// # Errors
    /// `EPERM` without privilege, `ENOSPC` at the host's limit of namespaces.
    pub fn make() -> io::Result<Self> {
        let sockets = fresh()?;
        let guest = fresh()?;
        interface::bring_loopback_up()?;
        Ok(Self {
            guest,
            sockets,
            address: None,
        })
    }

    /// Whether no socket of any family is left in either; this process is in the second one afterwards.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.sockets, &self.guest]
            .into_iter()
            .all(|namespace| enter(namespace.as_fd()).is_ok() && sockets_here() == Some(0))
    }
}

/// Moves this process into a network namespace.
///
/// # Errors
/// `EPERM` without privilege.
pub fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(
        namespace,
        Some(LinkNameSpaceType::Network),
    )?)
}

fn fresh() -> io::Result<OwnedFd> {
    privilege::new_network_namespace()?;
    Ok(File::open("/proc/self/ns/net")?.into())
}

/// Sockets of every family in this process's network namespace, those of the kernel excepted (`proc_net_sockstat`).
fn sockets_here() -> Option<u64> {
    counted(&fs::read_to_string("/proc/self/net/sockstat").ok()?)
}

fn counted(sockstat: &str) -> Option<u64> {
    let count = sockstat.lines().next()?.strip_prefix("sockets: used ")?;
    count.trim().parse().ok()
}

/// Those that are ready. Bounded, so an idle host holds few and a burst leaves few behind.
#[derive(Debug, Default)]
pub struct Berths {
    ready: VecDeque<Berth>,
    /// None could be made the last time.
    failing: bool,
}

impl Berths {
    /// One that nobody else has anything in; made now if none is ready.
    ///
    /// # Errors
    /// As [`Berth::make`].
    pub fn take(&mut self) -> io::Result<Berth> {
        while let Some(berth) = self.ready.pop_front() {
            if berth.address.is_none() || berth.is_empty() {
                return Ok(berth);
            }
        }
        self.make()
    }

    /// Takes back what a sandbox that ended in order had. It goes behind the others, to rest as long as possible.
    pub fn give_back(&mut self, berth: Berth) {
        if self.ready.len() < READY_MAX {
            self.ready.push_back(berth);
        }
    }

    /// Whether [`Self::prepare`] has something to do.
    #[must_use]
    pub fn is_short(&self) -> bool {
        !self.failing && self.ready.len() < READY_MIN
    }

    /// Whether [`Self::shrink`] has something to do.
    #[must_use]
    pub fn is_ample(&self) -> bool {
        self.ready.len() > READY_MIN
    }

    /// Gives back to the kernel what an idle host need not hold.
    pub fn shrink(&mut self) {
        self.ready.truncate(READY_MIN);
    }

    /// Makes one ahead of its need.
    ///
    /// # Errors
    /// As [`Berth::make`].
    pub fn prepare(&mut self) -> io::Result<()> {
        let berth = self.make()?;
        self.ready.push_back(berth);
        Ok(())
    }

    /// After a failure nothing is made ahead until a launch has found that it is possible again.
    fn make(&mut self) -> io::Result<Berth> {
        let made = Berth::make();
        self.failing = made.is_err();
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_sockets_is_read() {
        assert_eq!(counted("sockets: used 12\nTCP: inuse 1\n"), Some(12));
        assert_eq!(counted("TCP: inuse 1\n"), None);
        assert_eq!(counted(""), None);
    }
}
