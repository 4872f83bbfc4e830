//! `sendto`, `recvfrom`, `sendmsg`, `recvmsg`, `sendmmsg`, `recvmmsg`: notified where an address is or may
//! be involved. Their data is copied here, within bounds; it never decides how much is allocated.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use jd_wire::sockaddr::{self, Given};
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, Wait};
use crate::datagram::PAYLOAD_BYTES_MAX;
use crate::sandbox::{Descriptor, Sandbox, Subject, World};
use crate::sockets::bind::fitting;
use crate::sockets::parts::{Message, HEADER_BYTES};
use crate::sockets::timeouts::{receive_timeout, send_timeout};
use crate::sys::socket;

/// Most bytes of a stream that one call moves; the guest asks again for the rest.
const STREAM_BYTES_MAX: usize = 256 << 10;
/// Messages of one `sendmmsg` or `recvmmsg`; fewer than asked for is within its contract.
const MESSAGES_MAX: usize = 32;
/// `struct mmsghdr`.
const MULTI_BYTES: u64 = 64;

/// What was received.
struct Received {
    bytes: Vec<u8>,
    /// Its length before it was cut to the buffer.
    whole: usize,
    sender: Option<SocketAddr>,
}

impl Sandbox {
    pub(crate) fn on_message(&mut self, world: &World, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let timeout = if is_receive(call) {
            receive_timeout(&subject)?
        } else {
            send_timeout(&subject)?
        };
        self.message(
            world,
            call,
            subject.fd,
            timeout.map(|timeout| Instant::now() + timeout),
        )
    }

    /// Does the call if it can be done now, parks it if it may wait.
    pub(crate) fn message(
        &mut self,
        world: &World,
        call: &Notification,
        socket: OwnedFd,
        deadline: Option<Instant>,
    ) -> Reply {
        let subject = Subject::resume(socket)?;
        let done = match call.number() {
            libc::SYS_sendto => self.sendto(world, call, &subject),
            libc::SYS_recvfrom => self.recvfrom(call, &subject),
            libc::SYS_sendmsg => self.sendmsg(world, call, &subject, call.args[1]),
            libc::SYS_recvmsg => self.recvmsg(call, &subject, call.args[1], call.int(2)),
            libc::SYS_sendmmsg => self.many(call, |me, at| me.sendmsg(world, call, &subject, at)),
            libc::SYS_recvmmsg => {
                self.many(call, |me, at| me.recvmsg(call, &subject, at, call.int(3)))
            }
            _ => Err(Errno::NOSYS),
        };
        match done {
            Ok(count) => Ok(Outcome::Value(
                i64::try_from(count).map_err(|_| Errno::OVERFLOW)?,
            )),
            Err(Errno::AGAIN)
                if flags_of(call) & libc::MSG_DONTWAIT == 0 && !subject.is_non_blocking()? =>
            {
                let socket = subject.fd;
                let receive = is_receive(call);
                let wait = if receive {
                    Wait::Receive { socket, deadline }
                } else {
                    Wait::Send { socket, deadline }
                };
                Ok(Outcome::Park(wait))
            }
            Err(error) => Err(error),
        }
    }

    /// Repeats a call for each message of an array until one fails; the first failure counts only
    /// if nothing was done before.
    fn many(
        &mut self,
        call: &Notification,
        mut one: impl FnMut(&mut Self, u64) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let asked =
            usize::try_from(call.args[2] & u64::from(u32::MAX)).map_err(|_| Errno::INVAL)?;
        let mut at = call.args[1];
        for done in 0..asked.min(MESSAGES_MAX) {
            match one(self, at) {
                Ok(bytes) => {
                    let bytes = u32::try_from(bytes).map_err(|_| Errno::MSGSIZE)?;
                    let place = at.checked_add(HEADER_BYTES as u64).ok_or(Errno::FAULT)?;
                    self.write(call, place, &bytes.to_ne_bytes())?;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
            at = at.checked_add(MULTI_BYTES).ok_or(Errno::FAULT)?;
        }
        Ok(asked.min(MESSAGES_MAX))
    }

    fn sendto(
        &mut self,
        world: &World,
        call: &Notification,
        subject: &Subject,
    ) -> Result<usize, Errno> {
        let length = usize::try_from(call.args[2]).map_err(|_| Errno::INVAL)?;
        let name_bytes =
            u32::try_from(call.args[5] & u64::from(u32::MAX)).map_err(|_| Errno::INVAL)?;
        let parts = vec![(call.args[1], length)];
        self.transmit(
            world,
            call,
            subject,
            &Message {
                name: call.args[4],
                name_bytes,
                parts,
                total: length,
            },
        )
    }

    fn sendmsg(
        &mut self,
        world: &World,
        call: &Notification,
        subject: &Subject,
        at: u64,
    ) -> Result<usize, Errno> {
        let message = self.read_message(call, at)?;
        self.transmit(world, call, subject, &message)
    }

    fn transmit(
        &mut self,
        world: &World,
        call: &Notification,
        subject: &Subject,
        message: &Message,
    ) -> Result<usize, Errno> {
        if !subject.is_datagram() {
            // TCP ignores an address. Sending some of it only is within the contract of a stream.
            let bytes = self.gather(call, message, STREAM_BYTES_MAX)?;
            return socket::send(subject.fd.as_fd(), &bytes, flags_of(call) & libc::MSG_MORE);
        }
        if message.total > PAYLOAD_BYTES_MAX {
            return Err(Errno::MSGSIZE);
        }
        let to = match (message.name, message.name_bytes) {
            (0, _) | (_, 0) => None,
            (at, length) => match self.given_address(call, at, length.into())? {
                Given::Inet(to) => Some(fitting(to, subject.mark.unwrap_or_default())?),
                Given::Unspecified => return Err(Errno::INVAL),
            },
        };
        let bytes = self.gather(call, message, PAYLOAD_BYTES_MAX)?;
        self.send_from(world, subject, to, &bytes)?;
        Ok(bytes.len())
    }

    fn recvfrom(&mut self, call: &Notification, subject: &Subject) -> Result<usize, Errno> {
        let room = self.room(call, call.args[5])?;
        let length = usize::try_from(call.args[2]).map_err(|_| Errno::INVAL)?;
        let message = Message {
            name: call.args[4],
            name_bytes: 0,
            parts: vec![(call.args[1], length)],
            total: length,
        };
        let received = self.take_in(subject, length, call.int(3))?;
        self.scatter(call, &message, &received.bytes)?;
        let name = self.encoded(subject, received.sender);
        self.write_address(call, (message.name, call.args[5]), room, &name)?;
        Ok(counted(&received, call.int(3)))
    }

    fn recvmsg(
        &mut self,
        call: &Notification,
        subject: &Subject,
        at: u64,
        flags: i32,
    ) -> Result<usize, Errno> {
        let message = self.read_message(call, at)?;
        let received = self.take_in(subject, message.total, flags)?;
        self.scatter(call, &message, &received.bytes)?;
        let place = |offset: u64| at.checked_add(offset).ok_or(Errno::FAULT);
        if message.name != 0 {
            let room = usize::try_from(message.name_bytes).map_err(|_| Errno::INVAL)?;
            let name = self.encoded(subject, received.sender);
            self.write_address(call, (message.name, place(8)?), room, &name)?;
        }
        let cut = subject.is_datagram() && received.whole > received.bytes.len();
        let told = if cut { libc::MSG_TRUNC } else { 0 };
        self.write(call, place(40)?, &0_u64.to_ne_bytes())?;
        self.write(call, place(48)?, &told.to_ne_bytes())?;
        Ok(counted(&received, flags))
    }

    /// Receives on the guest's behalf; `EAGAIN` if there is nothing.
    fn take_in(&mut self, subject: &Subject, room: usize, flags: i32) -> Result<Received, Errno> {
        let peek = flags & libc::MSG_PEEK;
        if flags & (libc::MSG_ERRQUEUE | libc::MSG_OOB) != 0 {
            return Err(if flags & libc::MSG_OOB != 0 {
                Errno::INVAL
            } else {
                Errno::AGAIN
            });
        }
        if !subject.is_datagram() {
            let mut bytes = vec![0; room.min(STREAM_BYTES_MAX)];
            let got = socket::receive(subject.fd.as_fd(), &mut bytes, peek)?;
            bytes.truncate(got);
            return Ok(Received {
                bytes,
                whole: got,
                sender: None,
            });
        }
        let mut bytes = vec![0; room.min(PAYLOAD_BYTES_MAX)];
        let whole = socket::receive(subject.fd.as_fd(), &mut bytes, peek | libc::MSG_TRUNC)?;
        bytes.truncate(whole);
        let datagram = self.datagram(subject);
        let sender = datagram.and_then(|datagram| {
            let complete = whole <= bytes.len();
            datagram
                .sender(&bytes, complete, peek != 0)
                .or(datagram.connected())
        });
        Ok(Received {
            bytes,
            whole,
            sender,
        })
    }

    fn encoded(&self, subject: &Subject, sender: Option<SocketAddr>) -> Vec<u8> {
        let v6 = subject.mark.is_some_and(|mark| mark.v6);
        sender
            .map(|sender| sockaddr::encode(sender, v6))
            .unwrap_or_default()
    }
}

fn is_receive(call: &Notification) -> bool {
    [libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg].contains(&call.number())
}

/// The `MSG_` flags of a call.
fn flags_of(call: &Notification) -> i32 {
    let single = [libc::SYS_sendmsg, libc::SYS_recvmsg].contains(&call.number());
    call.int(if single { 2 } else { 3 })
}

/// What the call returns: with `MSG_TRUNC` the length before the cut.
fn counted(received: &Received, flags: i32) -> usize {
    if flags & libc::MSG_TRUNC != 0 {
        received.whole
    } else {
        received.bytes.len()
    }
}
