//! One notified call and what becomes of it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use jd_link::Ticket;
use rustix::io::Errno;

use crate::datagram::Datagram;

pub(crate) use crate::sys::notify::Notification;

/// What a handler decided; an `Err` fails the call with that errno.
pub(crate) enum Outcome {
    /// The call returns this.
    Value(i64),
    /// The kernel executes the call. Only for descriptors that are not injected ones.
    Native,
    /// The call returns a new descriptor.
    Inject(Injection),
    /// The handler answered already.
    Answered,
    /// The call waits.
    Park(Wait),
}

/// The result of a handler.
pub(crate) type Reply = Result<Outcome, Errno>;

/// The usual success.
pub(crate) const DONE: Reply = Ok(Outcome::Value(0));

/// A descriptor for the guest.
pub(crate) struct Injection {
    pub socket: OwnedFd,
    /// Number to give it, else the lowest free one.
    pub at: Option<u32>,
    pub close_on_exec: bool,
    /// The supervisor's half, to be watched.
    pub watch: Option<Arc<Datagram>>,
}

/// What a parked call waits for. It holds the guest's socket, as the kernel would during the call.
pub(crate) enum Wait {
    /// A connection to a listener.
    Accept {
        listener: OwnedFd,
        deadline: Option<Instant>,
    },
    /// A connection that was begun without waiting, after a signal broke the wait.
    Pending {
        socket: OwnedFd,
        deadline: Option<Instant>,
    },
    /// A connection that the egress thread makes: out of the host, or to a listener of the same
    /// sandbox whose backlog is full.
    Egress {
        socket: OwnedFd,
        cookie: u64,
        deadline: Option<Instant>,
    },
    /// A worker of the front door that changes a connection over to a ring.
    Upgrade {
        number: u64,
        ticket: Arc<Ticket>,
        deadline: Instant,
    },
    /// Something to receive.
    Receive {
        socket: OwnedFd,
        deadline: Option<Instant>,
    },
    /// Room to send.
    Send {
        socket: OwnedFd,
        deadline: Option<Instant>,
    },
}

impl Wait {
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Accept { deadline, .. }
            | Self::Pending { deadline, .. }
            | Self::Egress { deadline, .. }
            | Self::Receive { deadline, .. }
            | Self::Send { deadline, .. } => *deadline,
            Self::Upgrade { deadline, .. } => Some(*deadline),
        }
    }
}

impl Notification {
    /// Argument `index` as the kernel takes an `int`: its low half.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // That is what it does.
    pub fn int(&self, index: usize) -> i32 {
        self.args[index] as u32 as i32
    }

    /// The number of the call as libc names it.
    pub fn number(&self) -> libc::c_long {
        libc::c_long::from(self.nr)
    }
}
