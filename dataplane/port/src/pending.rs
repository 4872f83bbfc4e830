//! Connects that are under way without a thread of the guest waiting for them.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::shared::SEND_BUFFER_BYTES;
use crate::sys::{process, socket};

/// Connects of one sandbox that may be remembered at once.
const PENDING_MAX: usize = 512;
/// Fillers sent at most; the smallest send buffer takes a handful.
const FILLERS_MAX: usize = 64;
/// The kernel raises this to its minimum.
const SMALLEST_BUFFER: i32 = 1;

/// How far a connect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Under way.
    Connecting,
    /// Over; the guest was not told yet.
    Failed(Errno),
}

/// The connects of one sandbox, by the cookie of the guest's socket.
#[derive(Default)]
pub(crate) struct Pending {
    by_cookie: Mutex<HashMap<u64, Progress>>,
    // Lets the common case, none at all, pass without the lock.
    count: AtomicUsize,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Progress>> {
        self.by_cookie
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<u64, Progress>) -> T) -> T {
        let mut map = self.lock();
        let result = change(&mut map);
        self.count.store(map.len(), Ordering::Release);
        result
    }

    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// How far the connect of a socket is; `None`: it has none, or it stands.
    pub fn get(&self, cookie: u64) -> Option<Progress> {
        if self.is_empty() {
            None
        } else {
            self.lock().get(&cookie).copied()
        }
    }

    /// Begins one; false: there are too many.
    pub fn begin(&self, cookie: u64) -> bool {
        self.change(|map| {
            if map.len() >= PENDING_MAX {
                // Failures that nobody asks for: their sockets were closed without a look.
                map.retain(|_, progress| *progress == Progress::Connecting);
            }
            map.len() < PENDING_MAX && map.insert(cookie, Progress::Connecting).is_none()
        })
    }

    /// Ends one. A success needs no memory.
    pub fn end(&self, cookie: u64, result: Result<(), Errno>) {
        self.change(|map| match result {
            Ok(()) => map.remove(&cookie),
            Err(error) => map.insert(cookie, Progress::Failed(error)),
        });
    }

    /// Takes the failure of one, as `SO_ERROR` does.
    pub fn take_failure(&self, cookie: u64) -> Option<Errno> {
        self.change(|map| match map.get(&cookie) {
            Some(Progress::Failed(error)) => {
                let error = *error;
                map.remove(&cookie);
                Some(error)
            }
            _ => None,
        })
    }
}

/// Where the guest keeps a socket: enough to take it up again for a moment, without holding it.
#[derive(Clone)]
pub(crate) struct GuestSocket {
    pub pidfd: Arc<OwnedFd>,
    pub fd: i32,
    pub cookie: u64,
}

impl GuestSocket {
    /// The socket, if it is still where it was.
    pub fn borrow(&self) -> Option<OwnedFd> {
        let copy = process::descriptor_of(self.pidfd.as_fd(), self.fd).ok()?;
        (socket::cookie(copy.as_fd()) == Ok(self.cookie)).then_some(copy)
    }
}

/// Stuffs a connected socket of the guest until it is not writable, so that its connect seems to be
/// under way; gives the bytes that lie in the way.
pub(crate) fn stuff(guest: &OwnedFd) -> Result<usize, Errno> {
    socket::set_int_option(guest.as_fd(), libc::SO_SNDBUF, SMALLEST_BUFFER)?;
    let mut stuffed = 0;
    while stuffed < FILLERS_MAX {
        match socket::send(guest.as_fd(), &[0], 0) {
            Ok(sent) => stuffed += sent,
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(stuffed)
}

/// Takes the filler out again, which makes the guest's socket writable: its connect succeeded.
pub(crate) fn unstuff(guest: &GuestSocket, end: &OwnedFd, mut stuffed: usize) -> Result<(), Errno> {
    // If the guest moved the socket it keeps the small buffer: slower, and its own doing.
    if let Some(socket) = guest.borrow() {
        let _ = socket::set_int_option(socket.as_fd(), libc::SO_SNDBUF, SEND_BUFFER_BYTES);
    }
    let mut sink = [0; FILLERS_MAX];
    while stuffed > 0 {
        let got = socket::receive(end.as_fd(), &mut sink[..stuffed.min(FILLERS_MAX)], 0)?;
        if got == 0 {
            return Err(Errno::CONNRESET);
        }
        stuffed -= got;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_once() {
        let pending = Pending::default();
        assert!(pending.is_empty() && pending.begin(7));
        assert_eq!(pending.get(7), Some(Progress::Connecting));
        assert_eq!(pending.take_failure(7), None);
        pending.end(7, Err(Errno::CONNREFUSED));
        assert_eq!(pending.take_failure(7), Some(Errno::CONNREFUSED));
        assert_eq!((pending.get(7), pending.is_empty()), (None, true));
    }

    #[test]
    fn forgotten_failures_make_room_and_connects_do_not() {
        let pending = Pending::default();
        for cookie in 0..PENDING_MAX as u64 {
            assert!(pending.begin(cookie));
        }
        assert!(!pending.begin(9999));
        pending.end(3, Err(Errno::TIMEDOUT));
        assert!(pending.begin(9999));
        assert!(!pending.begin(10_000));
    }

    #[test]
    fn a_stuffed_socket_is_not_writable_until_it_is_emptied() {
        use rustix::event::{poll, PollFd, PollFlags, Timespec};
        let (guest, end) = socket::unix_pair(libc::SOCK_STREAM).unwrap();
        let writable = || {
            let mut fds = [PollFd::new(&guest, PollFlags::OUT)];
            poll(
                &mut fds,
                Some(&Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                }),
            )
            .unwrap()
                == 1
        };
        assert!(writable());
        let stuffed = stuff(&guest).unwrap();
        assert!(stuffed > 0 && !writable());
        let nobody = GuestSocket {
            pidfd: Arc::new(process::open_thread(std::process::id()).unwrap()),
            fd: std::os::fd::AsRawFd::as_raw_fd(&guest),
            cookie: socket::cookie(guest.as_fd()).unwrap(),
        };
        unstuff(&nobody, &end, stuffed).unwrap();
        assert!(writable());
        assert!(socket::int_option(guest.as_fd(), libc::SO_SNDBUF).unwrap() > 100_000);
    }
}
