//! The connection of one client: bytes in, bytes out, body framing; never blocks by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use jd_http::{push_chunk_head, BodyDecoder, Framing, CHUNK_END, LAST_CHUNK};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{recv, send, RecvFlags, SendFlags};

const READ_BYTES: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    /// Bytes read and not used.
    pub input: Vec<u8>,
    /// Bytes to be written.
    pub output: Vec<u8>,
    body: BodyDecoder,
    chunked: bool,
    bodiless: bool,
}

impl Client {
    /// A fresh connection.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        let body = BodyDecoder::new(Framing::None);
        Self {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            body,
            chunked: false,
            bodiless: false,
        }
    }

    /// Descriptor to poll.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what is there into `input`; false at the end of the connection.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing yet.
    pub fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0_u8; READ_BYTES];
        let (bytes, _) = recv(&self.socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT)?;
        self.input.extend_from_slice(&buffer[..bytes]);
        Ok(bytes > 0)
    }

    /// Waits for bytes and reads them; `TimedOut` after `deadline`, `UnexpectedEof` at the end.
    ///
    /// # Errors
    /// Those, and what the socket says.
    pub fn read_until(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            wait(self.socket.as_fd(), PollFlags::IN, deadline)?;
            match self.read() {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins the body of a request whose head was taken from `input`.
    pub fn begin_body(&mut self, framing: Framing) {
        self.body = BodyDecoder::new(framing);
    }

    /// Whether the request's body is complete.
    #[must_use]
    pub fn body_is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Moves what `input` holds of the body to `body`.
    ///
    /// # Errors
    /// `InvalidData` for a malformed body.
    pub fn take_body(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        let taken = self
            .body
            .take_data(&self.input, |data| body.extend_from_slice(data));
        let taken = taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.input.drain(..taken.raw);
        if self.input.is_empty() {
            self.input = Vec::new(); // An idle connection keeps no buffer.
        }
        Ok(())
    }

    /// How the coming answer is framed: chunked or as it is; without a body for HEAD.
    pub fn begin_answer(&mut self, chunked: bool, bodiless: bool) {
        self.chunked = chunked;
        self.bodiless = bodiless;
    }

    /// Queues a piece of the answer's body.
    pub fn push(&mut self, data: &[u8]) {
        if self.bodiless || data.is_empty() {
            return;
        }
        if self.chunked {
            push_chunk_head(&mut self.output, data.len());
        }
        self.output.extend_from_slice(data);
        if self.chunked {
            self.output.extend_from_slice(CHUNK_END);
        }
    }

    /// Queues the end of the answer's body.
    pub fn end_answer(&mut self) {
        if self.chunked && !self.bodiless {
            self.output.extend_from_slice(LAST_CHUNK);
        }
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// The client is gone.
    pub fn write_some(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        match send(
            &self.socket,
            &self.output,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(bytes) if bytes == self.output.len() => self.output = Vec::new(),
            Ok(bytes) => drop(self.output.drain(..bytes)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Writes everything.
    ///
    /// # Errors
    /// `TimedOut` after `deadline`, or the client is gone.
    pub fn write_until(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        self.write_some()?;
        while !self.output.is_empty() {
            wait(self.socket.as_fd(), PollFlags::OUT, deadline)?;
            self.write_some()?;
        }
        Ok(())
    }
}

/// Whether a call only has to be repeated later.
#[must_use]
pub fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Time left for `poll(2)`; `None` waits for ever.
#[must_use]
pub fn time_left(deadline: Option<Instant>) -> Option<Timespec> {
    deadline.and_then(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())).ok())
}

fn wait(descriptor: BorrowedFd<'_>, flags: PollFlags, deadline: Option<Instant>) -> io::Result<()> {
    let mut watched = [PollFd::from_borrowed_fd(descriptor, flags)];
    match poll(&mut watched, time_left(deadline).as_ref()) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
