//! `socket(2)`: an AF_UNIX socket of the private namespace in place of an internet one.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::call::{Injection, Notification, Outcome, Reply};
use crate::mark::Mark;
use crate::sandbox::{set_mark, Sandbox, World};
use crate::shared;

const TYPE_MASK: i32 = 0xf;

impl Sandbox {
    pub(crate) fn on_socket(&mut self, world: &World, call: &Notification) -> Reply {
        let v6 = match call.int(0) {
            libc::AF_INET => false,
            libc::AF_INET6 => true,
            _ => return Err(Errno::AFNOSUPPORT),
        };
        let (kind, protocol) = (call.int(1), call.int(2));
        let flags = kind & !TYPE_MASK;
        if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
            return Err(Errno::INVAL);
        }
        match (kind & TYPE_MASK, protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => self.stream_socket(world, flags, v6),
            (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => self.datagram_socket(call, flags, v6),
            // MPTCP among them: newer Go asks for it first and falls back.
            (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => Err(Errno::PROTONOSUPPORT),
            (libc::SOCK_RAW, _) => Err(Errno::PERM),
            _ => Err(Errno::SOCKTNOSUPPORT),
        }
    }

    fn stream_socket(&mut self, world: &World, flags: i32, v6: bool) -> Reply {
        if let Err(error) = self.census.take(&self.shared.census) {
            self.shared.tally.denied.add();
            self.report(world, "too many sockets");
            return Err(error);
        }
        self.settle()?;
        let socket = shared::stream(flags & libc::SOCK_NONBLOCK)?;
        set_mark(
            socket.as_fd(),
            Mark {
                v6,
                ..Mark::default()
            },
        )?;
        self.shared.tally.injected.add();
        let close_on_exec = flags & libc::SOCK_CLOEXEC != 0;
        Ok(Outcome::Inject(Injection {
            socket,
            at: None,
            close_on_exec,
            watch: None,
        }))
    }
}
