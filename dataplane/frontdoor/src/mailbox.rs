//! Orders to a worker from other threads.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use jd_link::Upgrade;

use rustix::event::{eventfd, EventfdFlags};

use crate::drain::DrainWait;
use crate::holder::Holder;
use crate::probe::ProbeOrder;

/// What a worker is asked to do.
pub enum Command {
    /// Serve this connection as a client's.
    Adopt(OwnedFd, SocketAddr),
    /// Ask a sandbox whether it is ready.
    Probe(ProbeOrder),
    /// Tell when a sandbox has nothing in flight.
    Drain(DrainWait),
    /// Something that a drain waits for may have happened.
    CheckDrains,
    /// There are new routes.
    RoutesChanged,
    /// A replica has a free place.
    RunQueues,
    /// A guest asks to change a connection over to a ring.
    Upgrade(Arc<Holder>, Upgrade),
    /// End a connection whose guest does not know that it changed over.
    Cut(Arc<Holder>),
    /// Finish and end.
    Stop,
}

/// A queue with an eventfd as its bell.
pub struct Mailbox {
    orders: Mutex<Vec<Command>>,
    bell: OwnedFd,
}

impl Mailbox {
    pub fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            orders: Mutex::default(),
            bell,
        })
    }

    pub fn send(&self, command: Command) {
        let first = {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            orders.push(command);
            orders.len() == 1
        };
        if first {
            // It can only fail with a full counter, when the worker is awake anyway.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    pub fn take(&self) -> Vec<Command> {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.bell, &mut count);
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
