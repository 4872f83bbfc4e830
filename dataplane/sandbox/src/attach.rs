//! The keeper's side of the attach protocol (`docs/protocols.md`, section 2).
//!
//! While jnetd is there, nothing polls: the connection's end is the only event. While it is not, one timer runs.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use jd_wire::attach::{Answer, Hello, DESCRIPTORS, PACKET_BYTES_MAX};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fcntl_add_seals, ftruncate, memfd_create, MemfdFlags, SealFlags};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    connect, recv, sendmsg, shutdown, socket_with, AddressFamily, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
};

/// Length of the journal, in bytes: 512 slots of u64.
pub const JOURNAL_BYTES: u64 = 4096;

const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Makes the journal: fixed in size for ever, so that jnetd can map it without fear.
///
/// # Errors
/// `ENOMEM` and the like.
pub fn journal() -> io::Result<OwnedFd> {
    let journal = memfd_create(
        "jd-journal",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    ftruncate(&journal, JOURNAL_BYTES)?;
    fcntl_add_seals(
        &journal,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(journal)
}

/// What jnetd gets: the hello and its descriptors, in the protocol's order.
#[derive(Debug)]
pub struct Offer {
    /// Who this is.
    pub hello: Hello,
    /// Seccomp notify descriptor.
    pub listener: OwnedFd,
    /// Network namespace of the injected sockets.
    pub socket_namespace: OwnedFd,
    /// Journal of unanswered notifications.
    pub journal: OwnedFd,
}

/// The connection to jnetd, or the wait for one.
#[derive(Debug)]
pub struct Attachment {
    connection: Option<OwnedFd>,
    accepted: bool,
    backoff: Duration,
    retry_at: Duration,
    refusal: Option<String>,
}

impl Attachment {
    /// Not connected; the first try is due at once.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connection: None,
            accepted: false,
            backoff: RETRY_MIN,
            retry_at: Duration::ZERO,
            refusal: None,
        }
    }

    /// Descriptor to watch for reading.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// When to call [`Self::advance`] even without an event; `None` while connected.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.connection.is_none().then_some(self.retry_at)
    }

    /// Does what is due at `now` (monotonic): reads the answer or the end of the connection, or connects.
    pub fn advance(&mut self, socket: &Path, offer: &Offer, pidfd: &OwnedFd, now: Duration) {
        if let Some(connection) = &self.connection {
            match answer(connection) {
                Ok(None) => {}
                Ok(Some(Answer { ok: true, .. })) => {
                    self.accepted = true;
                    self.backoff = RETRY_MIN;
                }
                Ok(Some(Answer { error, .. })) => {
                    self.complain(&offer.hello.sandbox, error.unwrap_or_default());
                    self.backoff = RETRY_MAX;
                    self.lose(now);
                }
                Err(_) => self.lose(now),
            }
        }
        if self.connection.is_none() && now >= self.retry_at {
            match open(socket, offer, pidfd) {
                Ok(connection) => self.connection = Some(connection),
                Err(_) => self.lose(now),
            }
        }
    }

    /// Ends the connection and waits until jnetd has ended it too; whether it did: then it holds nothing of the
    /// sandbox.
    #[must_use]
    pub fn part(self, longest: &Timespec) -> bool {
        let Some(connection) = self.connection else {
            return true;
        };
        let _ = shutdown(&connection, Shutdown::Write);
        let mut watched = [PollFd::new(&connection, PollFlags::RDHUP)];
        poll(&mut watched, Some(longest)).is_ok_and(|ended| ended > 0)
    }

    /// Says why jnetd does not want the sandbox, once for each reason: it is asked again every second.
    fn complain(&mut self, sandbox: &str, why: String) {
        if self.refusal.as_ref() != Some(&why) {
            eprintln!("jsandbox: {sandbox}: jnetd refused the sandbox: {why}");
            self.refusal = Some(why);
        }
    }

    fn lose(&mut self, now: Duration) {
        if self.accepted {
            self.backoff = RETRY_MIN;
        }
        self.connection = None;
        self.accepted = false;
        self.retry_at = now + self.backoff;
        self.backoff = (self.backoff * 2).min(RETRY_MAX);
    }
}

impl Default for Attachment {
    fn default() -> Self {
        Self::new()
    }
}

fn open(socket: &Path, offer: &Offer, pidfd: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let connection = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&connection, &SocketAddrUnix::new(socket)?)?;
    if !socket_peercred(&connection)?.uid.is_root() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the attach socket is not root's",
        ));
    }
    let packet = serde_json::to_vec(&offer.hello)?;
    let descriptors: [BorrowedFd<'_>; DESCRIPTORS] = [
        offer.listener.as_fd(),
        offer.socket_namespace.as_fd(),
        pidfd.as_fd(),
        offer.journal.as_fd(),
    ];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(
        &connection,
        &[IoSlice::new(&packet)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(connection)
}

/// The next packet of jnetd; `None` if there is none yet, an error at the end of the connection.
fn answer(connection: &OwnedFd) -> io::Result<Option<Answer>> {
    let mut packet = [0_u8; PACKET_BYTES_MAX];
    let bytes = match recv(connection, packet.as_mut_slice(), RecvFlags::DONTWAIT) {
        Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok((bytes, _)) => bytes,
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(serde_json::from_slice(&packet[..bytes])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_at_doubling_distances_up_to_a_second() {
        let mut attachment = Attachment::new();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..9 {
            attachment.lose(now);
            waits.push((attachment.retry_at - now).as_millis());
            now = attachment.retry_at;
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn only_an_end_of_jnetds_counts_as_parted() {
        let pair = || {
            let kind = SocketType::SEQPACKET;
            rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
                .expect("a pair")
        };
        let part = |connection, seconds| {
            let attachment = Attachment {
                connection,
                ..Attachment::new()
            };
            let longest = Timespec {
                tv_sec: seconds,
                tv_nsec: 20_000_000,
            };
            attachment.part(&longest)
        };
        let (ours, held) = pair();
        assert!(!part(Some(ours), 0));
        let (ours, gone) = pair();
        drop((held, gone));
        assert!(part(Some(ours), 60));
        assert!(part(None, 60));
    }

    #[test]
    fn a_connection_that_worked_is_retried_at_once() {
        let mut attachment = Attachment {
            backoff: RETRY_MAX,
            accepted: true,
            ..Attachment::new()
        };
        attachment.lose(Duration::from_secs(5));
        assert_eq!(attachment.retry_at, Duration::from_secs(5) + RETRY_MIN);
    }
}
