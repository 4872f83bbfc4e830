//! `accept4(2)` with an address: transactional, because the guest may vanish or run out of
//! descriptors between taking the connection and receiving it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use jd_wire::sockaddr;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, Wait};
use crate::sandbox::{Descriptor, Sandbox, Subject};
use crate::shared::SEND_BUFFER_BYTES;
use crate::sockets::timeouts::{receive_timeout, Brief};
use crate::sys::{self, socket};

impl Sandbox {
    pub(crate) fn on_accept(&mut self, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        if subject.is_datagram() {
            return Err(Errno::OPNOTSUPP);
        }
        let allowed = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        if accept_flags(call) & !allowed != 0 {
            return Err(Errno::INVAL);
        }
        self.accept_from(call, subject, None)
    }

    /// Takes a connection if there is one, parks the call if it may wait.
    pub(crate) fn accept_from(
        &mut self,
        call: &Notification,
        listener: Subject,
        deadline: Option<Instant>,
    ) -> Reply {
        let taken = if self.has_connection(&listener)? {
            // Before a connection is taken: after a bad pointer nobody could have it back.
            let room = self.room(call, call.args[2])?;
            self.next_connection(call, &listener)
                .map(|connection| (room, connection))
        } else {
            Err(Errno::AGAIN)
        };
        match taken {
            Ok((room, connection)) => self.hand_over(call, &listener, room, connection),
            Err(Errno::AGAIN)
                if socket::int_option(listener.fd.as_fd(), libc::SO_ACCEPTCONN)? == 0 =>
            {
                Err(Errno::INVAL)
            }
            Err(Errno::AGAIN) if !listener.is_non_blocking()? => {
                let deadline = match deadline {
                    Some(deadline) => Some(deadline),
                    None => receive_timeout(&listener)?.map(|timeout| Instant::now() + timeout),
                };
                let listener = listener.fd;
                Ok(Outcome::Park(Wait::Accept { listener, deadline }))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether an accept would not have to wait; also if it would fail.
    fn has_connection(&self, listener: &Subject) -> Result<bool, Errno> {
        Ok(self.has_stashed(listener)? || is_ready(listener)?)
    }

    fn next_connection(
        &mut self,
        call: &Notification,
        listener: &Subject,
    ) -> Result<OwnedFd, Errno> {
        if let Some(stashed) = self.unstash(listener)? {
            return Ok(stashed);
        }
        let flags = accept_flags(call) & libc::SOCK_NONBLOCK;
        loop {
            let connection = self.sleeping(|| take(listener, flags))?;
            if !self.drops_nudge(&connection) {
                return Ok(connection);
            }
            if !is_ready(listener)? {
                return Err(Errno::AGAIN);
            }
        }
    }

    fn hand_over(
        &mut self,
        call: &Notification,
        listener: &Subject,
        room: usize,
        connection: OwnedFd,
    ) -> Reply {
        // It has no mark: AF_UNIX does not hand the listener's down.
        let connection = Subject {
            fd: connection,
            mark: None,
        };
        let ends = self.ends(&connection)?;
        let remote = ends.remote.unwrap_or(ends.local);
        let address = sockaddr::encode(remote, ends.v6);
        let written = self.write_address(call, (call.args[1], call.args[2]), room, &address);
        let close_on_exec = accept_flags(call) & libc::SOCK_CLOEXEC != 0;
        let sent = written.and_then(|()| {
            sys::notify::inject(
                self.notify.as_fd(),
                call.id,
                connection.fd.as_fd(),
                None,
                close_on_exec,
            )
        });
        if let Err(error) = sent {
            // Without the nudge it waits for the next accept all the same.
            let _ = self.stash(listener, connection.fd);
            return Err(error);
        }
        self.shared.tally.injected.add();
        Ok(Outcome::Answered)
    }
}

fn accept_flags(call: &Notification) -> i32 {
    if call.number() == libc::SYS_accept4 {
        call.int(3)
    } else {
        0
    }
}

fn is_ready(listener: &Subject) -> Result<bool, Errno> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut ready = [PollFd::new(&listener.fd, PollFlags::IN)];
    Ok(rustix::event::poll(&mut ready, Some(&now))? != 0)
}

/// Accepts from a listener that is ready. Another process of the guest may take the connection first,
/// and may change whether the call blocks: this thread waits for a moment at most.
fn take(listener: &Subject, flags: i32) -> Result<OwnedFd, Errno> {
    let connection = {
        let _brief = Brief::receive(listener)?;
        socket::accept(listener.fd.as_fd(), flags | libc::SOCK_CLOEXEC)?
    };
    let _ = socket::set_int_option(connection.as_fd(), libc::SO_SNDBUF, SEND_BUFFER_BYTES);
    Ok(connection)
}
