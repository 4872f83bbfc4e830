//! The bytes between one client and one process, in one poll loop: body to standard input, standard output to the
//! client or into memory, standard error to the log, the deadline, and the client's disappearance.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{poll, PollFd, PollFlags};
use rustix::io::Errno;

use crate::child::{Child, Ending};
use crate::client::{is_transient, time_left, Client};
use crate::line_log::LineLog;

const READ_BYTES: usize = 16 * 1024;

/// Output that waits for a slow client before the process is no longer read.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Where standard output goes.
#[derive(Debug)]
pub enum Sink<'a> {
    /// To the client as it comes.
    Client,
    /// Into memory.
    Memory(&'a mut Vec<u8>),
}

/// One conversation.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The process.
    pub child: &'a mut Child,
    /// The client.
    pub client: &'a mut Client,
    /// Where output goes.
    pub sink: Sink<'a>,
    /// Where standard error goes.
    pub log: &'a mut LineLog,
    /// When the process is killed.
    pub deadline: Option<Instant>,
    /// When the client must have sent its whole body.
    pub read_deadline: Option<Instant>,
    /// Bytes of the body that are already here.
    pub feed: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Client,
    Stdin,
    Stdout,
    Stderr,
    Exit,
}

impl Exchange<'_> {
    /// Runs until the process has ended and its output is read.
    ///
    /// # Errors
    /// Only what the kernel says about polling and waiting; a client's failure is [`Ending::ClientGone`].
    pub fn run(mut self) -> io::Result<Ending> {
        let mut ending = None;
        let mut killed: Option<Ending> = None;
        loop {
            if killed.is_none() && self.advance_body().is_err() {
                killed = self.kill(Ending::ClientGone);
            }
            if ending.is_none() {
                ending = self.child.ended()?;
            }
            let quiet = self.child.stdout.is_none() && self.child.stderr.is_none();
            match (ending, killed) {
                (Some(_), Some(why)) => return Ok(why),
                (Some(ending), None) if quiet => return Ok(ending),
                _ => {}
            }
            let ready = self.wait(ending.is_some(), killed.is_some())?;
            if killed.is_none() {
                killed = self.overdue().and_then(|why| self.kill(why));
            }
            for source in ready {
                if self.serve(source).is_err() && killed.is_none() {
                    killed = self.kill(Ending::ClientGone);
                }
            }
        }
    }

    fn kill(&mut self, why: Ending) -> Option<Ending> {
        self.child.kill();
        Some(why)
    }

    fn overdue(&self) -> Option<Ending> {
        let now = Instant::now();
        let past = |deadline: Option<Instant>| deadline.is_some_and(|at| now >= at);
        if past(self.deadline) {
            return Some(Ending::TimedOut);
        }
        (!self.client.body_is_done() && past(self.read_deadline)).then_some(Ending::ClientGone)
    }

    /// Decodes the body that has arrived; closes standard input behind its last byte.
    fn advance_body(&mut self) -> io::Result<()> {
        if self.child.stdin.is_none() {
            self.feed.clear(); // The process does not want the rest; it is read all the same, to keep the connection.
        }
        if self.feed.is_empty() && !self.client.body_is_done() {
            self.client.take_body(&mut self.feed)?;
        }
        if self.feed.is_empty() && self.client.body_is_done() {
            self.child.stdin = None;
        }
        Ok(())
    }

    /// What the client's socket is watched for: its body only while standard input keeps up. Without any flag
    /// its disappearance still shows.
    fn client_flags(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.client.body_is_done() && self.feed.is_empty() {
            flags |= PollFlags::IN;
        }
        if !self.client.output.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    fn wait(&self, ended: bool, killed: bool) -> io::Result<Vec<Source>> {
        let full = self.client.output.len() >= OUTPUT_BYTES_MAX;
        let stdin = self.child.stdin.as_ref().filter(|_| !self.feed.is_empty());
        let stdout = self.child.stdout.as_ref().filter(|_| !full);
        let all: [(Source, Option<BorrowedFd<'_>>, PollFlags); 5] = [
            (
                Source::Client,
                (!killed).then(|| self.client.descriptor()),
                self.client_flags(),
            ),
            (Source::Stdin, stdin.map(AsFd::as_fd), PollFlags::OUT),
            (Source::Stdout, stdout.map(AsFd::as_fd), PollFlags::IN),
            (
                Source::Stderr,
                self.child.stderr.as_ref().map(AsFd::as_fd),
                PollFlags::IN,
            ),
            (
                Source::Exit,
                (!ended).then(|| self.child.pidfd.as_fd()),
                PollFlags::IN,
            ),
        ];
        let mut sources = Vec::with_capacity(all.len());
        let mut watched = Vec::with_capacity(all.len());
        for (source, descriptor, flags) in all {
            if let Some(descriptor) = descriptor {
                sources.push(source);
                watched.push(PollFd::from_borrowed_fd(descriptor, flags));
            }
        }
        let read_deadline = self.read_deadline.filter(|_| !self.client.body_is_done());
        let due = [self.deadline, read_deadline]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !killed);
        match poll(&mut watched, time_left(due).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = sources
            .iter()
            .zip(&watched)
            .filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(source, _)| *source).collect())
    }

    fn serve(&mut self, source: Source) -> io::Result<()> {
        match source {
            Source::Client => self.serve_client(),
            Source::Stdin => {
                self.feed_stdin();
                Ok(())
            }
            Source::Stdout => self.read_output(),
            Source::Stderr => {
                self.read_errors();
                Ok(())
            }
            Source::Exit => Ok(()),
        }
    }

    fn serve_client(&mut self) -> io::Result<()> {
        self.client.write_some()?;
        if !self.client.body_is_done() {
            return match self.client.read() {
                Ok(true) => Ok(()),
                Ok(false) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if is_transient(&error) => Ok(()),
                Err(error) => Err(error),
            };
        }
        let mut watched = [PollFd::from_borrowed_fd(
            self.client.descriptor(),
            PollFlags::empty(),
        )];
        poll(&mut watched, Some(&rustix::time::Timespec::default()))?;
        let gone = PollFlags::HUP | PollFlags::ERR;
        if watched[0].revents().intersects(gone) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn feed_stdin(&mut self) {
        let Some(stdin) = &self.child.stdin else {
            return;
        };
        match rustix::io::write(stdin, &self.feed) {
            Ok(bytes) => drop(self.feed.drain(..bytes)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The process closed its standard input: that is its right, not an error.
            Err(_) => self.child.stdin = None,
        }
    }

    fn read_output(&mut self) -> io::Result<()> {
        let Some(stdout) = &self.child.stdout else {
            return Ok(());
        };
        let mut buffer = [0_u8; READ_BYTES];
        match rustix::io::read(stdout, &mut buffer) {
            Ok(0) => self.child.stdout = None,
            Ok(bytes) => match &mut self.sink {
                Sink::Memory(memory) => memory.extend_from_slice(&buffer[..bytes]),
                Sink::Client => {
                    self.client.push(&buffer[..bytes]);
                    self.client.write_some()?;
                }
            },
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.child.stdout = None,
        }
        Ok(())
    }

    fn read_errors(&mut self) {
        let Some(stderr) = &self.child.stderr else {
            return;
        };
        let mut buffer = [0_u8; READ_BYTES];
        match rustix::io::read(stderr, &mut buffer) {
            Ok(bytes) if bytes > 0 => self.log.push(&buffer[..bytes]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            _ => {
                self.log.finish();
                self.child.stderr = None;
            }
        }
    }
}
