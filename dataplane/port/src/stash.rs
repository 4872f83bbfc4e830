//! Connections taken from a listener whose accept could not be answered: the caller was hit by a
//! signal or has no descriptor left. On TCP the connection would still wait in the backlog.
//!
//! A stashed connection is invisible to epoll, so the listener is nudged: an empty connection of the
//! supervisor's keeps it readable, and is dropped when it is taken.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use jd_wire::names::Name;
use rustix::io::Errno;

use crate::sandbox::{Sandbox, Subject};
use crate::shared;
use crate::sys::socket;

/// Connections kept per sandbox, and for how long.
const STASH_MAX: usize = 64;
const STASH_AGE_MAX: Duration = Duration::from_secs(10);

/// The stash of one sandbox, by the cookie of the listener.
#[derive(Default)]
pub(crate) struct Stash {
    kept: HashMap<u64, Vec<(Instant, OwnedFd)>>,
    /// Nudges that were not taken yet.
    nudges: usize,
}

impl Stash {
    fn put(&mut self, listener: u64, connection: OwnedFd, now: Instant) {
        self.kept.retain(|_, kept| {
            kept.retain(|(since, _)| now.saturating_duration_since(*since) < STASH_AGE_MAX);
            !kept.is_empty()
        });
        if self.kept.values().map(Vec::len).sum::<usize>() < STASH_MAX {
            self.kept
                .entry(listener)
                .or_default()
                .push((now, connection));
        }
    }

    fn take(&mut self, listener: u64) -> Option<OwnedFd> {
        let kept = self.kept.get_mut(&listener)?;
        let (_, connection) = kept.remove(0);
        if kept.is_empty() {
            self.kept.remove(&listener);
        }
        Some(connection)
    }
}

impl Sandbox {
    /// Keeps a connection for the next accept and wakes whoever polls the listener.
    pub(crate) fn stash(&mut self, listener: &Subject, connection: OwnedFd) -> Result<(), Errno> {
        self.stash
            .put(listener.cookie()?, connection, Instant::now());
        let name = socket::own_name(listener.fd.as_fd())?.ok_or(Errno::INVAL)?;
        self.settle()?;
        let nudge = shared::stream(libc::SOCK_NONBLOCK)?;
        socket::bind(nudge.as_fd(), &self.nudge_name())?;
        socket::connect(nudge.as_fd(), &name)?;
        self.stash.nudges += 1;
        Ok(())
    }

    /// Whether one waits for an accept of this listener.
    pub(crate) fn has_stashed(&self, listener: &Subject) -> Result<bool, Errno> {
        Ok(!self.stash.kept.is_empty() && self.stash.kept.contains_key(&listener.cookie()?))
    }

    /// The connection that waits longest for an accept of this listener.
    pub(crate) fn unstash(&mut self, listener: &Subject) -> Result<Option<OwnedFd>, Errno> {
        if self.stash.kept.is_empty() {
            return Ok(None);
        }
        Ok(self.stash.take(listener.cookie()?))
    }

    /// Whether a connection is one of the supervisor's own, which mean nothing to the guest.
    pub(crate) fn drops_nudge(&mut self, connection: &OwnedFd) -> bool {
        if self.stash.nudges == 0 {
            return false;
        }
        let name = socket::peer_name(connection.as_fd()).ok().flatten();
        let dropped = name.is_some_and(|name| name == self.nudge_name());
        self.stash.nudges -= usize::from(dropped);
        dropped
    }

    /// From port 0, which no connection has.
    fn nudge_name(&self) -> Vec<u8> {
        let end = |ip| SocketAddr::new(std::net::IpAddr::V4(ip), 0);
        let (source, destination) = (end(self.shared.gateway), end(self.shared.address));
        Name::Client {
            source,
            destination,
        }
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_kept_in_order_within_bounds() {
        let mut stash = Stash::default();
        let now = Instant::now();
        let connection = || socket::unix(libc::SOCK_STREAM).unwrap();
        for _ in 0..100 {
            stash.put(1, connection(), now);
        }
        assert_eq!(stash.kept[&1].len(), STASH_MAX);
        assert!(stash.take(2).is_none() && stash.take(1).is_some());
        stash.put(2, connection(), now + STASH_AGE_MAX);
        assert_eq!((stash.kept.len(), stash.kept[&2].len()), (1, 1));
        assert!(stash.take(2).is_some() && stash.kept.is_empty());
    }
}
