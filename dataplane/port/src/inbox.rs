//! How other threads reach a worker.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;

use jd_link::{Granted, Owner, Refusal};
use rustix::event::EventfdFlags;
use rustix::io::Errno;

use crate::sandbox::Sandbox;

/// A message to a worker.
pub(crate) enum Command {
    /// Serve this sandbox; the descriptor is its init's pidfd.
    Attach(Box<Sandbox>, OwnedFd),
    /// Stop serving it.
    Detach(u64, String),
    /// A connection for a parked call stands, or could not be made.
    Connected {
        sandbox: u64,
        cookie: u64,
        result: Result<OwnedFd, Errno>,
    },
    /// A connection changed over to a ring for a parked call, or did not.
    Upgraded {
        sandbox: u64,
        number: u64,
        outcome: Result<Granted, Refusal>,
        owner: Arc<dyn Owner>,
    },
    /// End the thread.
    Stop,
}

/// The sending side.
pub(crate) struct Inbox {
    /// Readable while there may be a command.
    pub bell: OwnedFd,
    sender: Sender<Command>,
}

impl Inbox {
    pub fn new() -> Result<(Self, Receiver<Command>), Errno> {
        let (sender, receiver) = mpsc::channel();
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok((Self { bell, sender }, receiver))
    }

    /// Hands over a command; false: the worker is gone.
    pub fn send(&self, command: Command) -> bool {
        let sent = self.sender.send(command).is_ok();
        // A full counter rings just as well.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        sent
    }

    /// Takes the rings that were heard.
    pub fn hush(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }
}
