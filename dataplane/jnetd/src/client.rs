//! One connection of the control socket: frames in, frames out, both bounded.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jd_wire::control::{push_frame, take_frame};
use rustix::io::Errno;

/// Answers and events that wait for a client that does not read. A slower client is cut: it
/// reconnects and asks for the whole state, which is cheaper than memory without a bound.
const UNSENT_BYTES_MAX: usize = 8 << 20;

/// Read at a time.
const READ_BYTES: usize = 64 << 10;

/// State of one connection.
pub struct Client {
    socket: OwnedFd,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// Whether it said `hello` and gets events.
    pub subscribed: bool,
}

/// The connection is over.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// The peer hung up.
    #[error("the peer closed the connection")]
    ByPeer,
    /// The peer does not keep to the protocol.
    #[error("{0}")]
    Broken(String),
    /// The kernel's word.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Client {
    /// Takes over an accepted, non-blocking connection.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            received: Vec::new(),
            unsent: Vec::new(),
            subscribed: false,
        }
    }

    /// Reads what is there and returns the whole frames.
    ///
    /// # Errors
    /// The connection is over; frames that came with the end are lost, as the client would not see their answers.
    pub fn receive(&mut self) -> Result<Vec<Vec<u8>>, Closed> {
        let mut chunk = [0u8; READ_BYTES];
        match rustix::io::read(&self.socket, &mut chunk) {
            Ok(0) => return Err(Closed::ByPeer),
            Ok(count) => self.received.extend_from_slice(&chunk[..count]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(Closed::Io(error.into())),
        }
        let mut frames = Vec::new();
        loop {
            match take_frame(&mut self.received) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return Ok(frames),
                Err(error) => return Err(Closed::Broken(error.to_string())),
            }
        }
    }

    /// Queues one frame and sends what the socket takes. True: more is left, wait until it is writable.
    ///
    /// # Errors
    /// The connection is over, or the client left too much unread.
    pub fn send(&mut self, body: &[u8]) -> Result<bool, Closed> {
        push_frame(&mut self.unsent, body);
        if self.unsent.len() > UNSENT_BYTES_MAX {
            return Err(Closed::Broken("it does not read its answers".into()));
        }
        self.flush()
    }

    /// Sends what the socket takes. True: more is left.
    ///
    /// # Errors
    /// The connection is over.
    pub fn flush(&mut self) -> Result<bool, Closed> {
        while !self.unsent.is_empty() {
            match rustix::io::write(&self.socket, &self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Closed::Io(error.into())),
            }
        }
        Ok(false)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
