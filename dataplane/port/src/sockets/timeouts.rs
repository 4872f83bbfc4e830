//! `SO_RCVTIMEO` and `SO_SNDTIMEO` of a guest's socket: honoured for parked calls, and borrowed for
//! a moment so that a call made on the guest's behalf cannot block this thread.
//!
//! Why that holds: connect and accept sleep only without `O_NONBLOCK`, and then as long as the
//! timeout says that they read when they begin. `O_NONBLOCK` is the guest's to change at any moment,
//! so it decides nothing here. The timeout is not: setting one is always notified, never continued
//! natively, and the worker that would set it is the one that makes the call. So each such call ends
//! within a tick of the kernel's clock.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::sandbox::Subject;
use crate::sys::socket;

const TIMEVAL_BYTES: usize = 16;
type Timeval = [u8; TIMEVAL_BYTES];

/// One microsecond: the shortest that is not "for ever".
fn moment() -> Timeval {
    let mut value = [0; TIMEVAL_BYTES];
    value[8..].copy_from_slice(&1_i64.to_ne_bytes());
    value
}

fn get(subject: &Subject, name: i32) -> Result<Timeval, Errno> {
    let mut value = [0; TIMEVAL_BYTES];
    socket::option(subject.fd.as_fd(), libc::SOL_SOCKET, name, &mut value)?;
    Ok(value)
}

fn timeout(subject: &Subject, name: i32) -> Result<Option<Duration>, Errno> {
    let value = get(subject, name)?;
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&value[at..at + 8]);
        u64::try_from(i64::from_ne_bytes(word)).unwrap_or(0)
    };
    let timeout = Duration::from_secs(word(0)) + Duration::from_micros(word(8));
    Ok((!timeout.is_zero()).then_some(timeout))
}

/// How long a receiving call of the guest waits; `None`: for ever.
pub(crate) fn receive_timeout(subject: &Subject) -> Result<Option<Duration>, Errno> {
    timeout(subject, libc::SO_RCVTIMEO)
}

/// How long a sending or connecting call of the guest waits; `None`: for ever.
pub(crate) fn send_timeout(subject: &Subject) -> Result<Option<Duration>, Errno> {
    timeout(subject, libc::SO_SNDTIMEO)
}

/// A timeout made brief; dropping it restores the guest's own.
pub(crate) struct Brief<'a> {
    subject: &'a Subject,
    name: i32,
    own: Timeval,
}

impl<'a> Brief<'a> {
    /// Lets receiving wait for a moment only.
    pub fn receive(subject: &'a Subject) -> Result<Self, Errno> {
        Self::new(subject, libc::SO_RCVTIMEO)
    }

    /// Lets sending and connecting wait for a moment only.
    pub fn send(subject: &'a Subject) -> Result<Self, Errno> {
        Self::new(subject, libc::SO_SNDTIMEO)
    }

    fn new(subject: &'a Subject, name: i32) -> Result<Self, Errno> {
        // Most sockets never had one: spares reading it.
        let own = match subject.mark {
            Some(mark) if !mark.timed => [0; TIMEVAL_BYTES],
            _ => get(subject, name)?,
        };
        socket::set_option(subject.fd.as_fd(), libc::SOL_SOCKET, name, &moment())?;
        Ok(Self { subject, name, own })
    }
}

impl Drop for Brief<'_> {
    fn drop(&mut self) {
        let _ = socket::set_option(
            self.subject.fd.as_fd(),
            libc::SOL_SOCKET,
            self.name,
            &self.own,
        );
    }
}
