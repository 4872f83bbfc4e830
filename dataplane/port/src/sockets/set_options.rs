//! `setsockopt(2)` by allow-lists: recorded, applied, ignored, or refused. Whatever would reach beyond
//! the socket itself is refused.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::mark::Mark;
use crate::sandbox::{Descriptor, Sandbox, Subject};
use crate::sockets::option_tables::{
    APPLIED, IGNORED, IGNORED_TCP, IP, IPV6, TIMEOUTS, VALUE_BYTES_MAX,
};
use crate::sys::socket;

impl Sandbox {
    pub(crate) fn on_setsockopt(&mut self, call: &Notification) -> Reply {
        if call.int(1) == libc::SOL_SOCKET && TIMEOUTS.contains(&call.int(2)) {
            return self.set_timeout(call);
        }
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let length = usize::try_from(call.int(4)).map_err(|_| Errno::INVAL)?;
        let value = self.read(call, call.args[3], length.min(VALUE_BYTES_MAX))?;
        let name = call.int(2);
        match call.int(1) {
            libc::SOL_SOCKET => set_socket_option(&subject, name, &value),
            libc::IPPROTO_TCP if subject.is_datagram() => Err(Errno::OPNOTSUPP),
            libc::IPPROTO_TCP => set_tcp_option(name),
            libc::IPPROTO_IP => set_ip_option(name),
            libc::IPPROTO_IPV6 => set_ipv6_option(&subject, name, &value),
            _ => Err(Errno::NOPROTOOPT),
        }
    }
}

impl Sandbox {
    /// Sets a timeout, whatever the descriptor is. Never left to the kernel to do natively: the guest
    /// could put one of our sockets in the descriptor's place and lengthen a [`Brief`] timeout in the
    /// moment that a call depends on it. Here it cannot: one worker serves all calls of a sandbox.
    ///
    /// [`Brief`]: crate::sockets::timeouts::Brief
    fn set_timeout(&mut self, call: &Notification) -> Reply {
        let copy = self.copy(call, call.int(0))?;
        let length = usize::try_from(call.int(4)).map_err(|_| Errno::INVAL)?;
        let value = self.read(call, call.args[3], length.min(VALUE_BYTES_MAX))?;
        socket::set_option(copy.as_fd(), libc::SOL_SOCKET, call.int(2), &value)?;
        if let Descriptor::Injected(subject) = self.classify(copy)? {
            if let Some(mark) = subject.mark.filter(|mark| !mark.timed) {
                subject.set_mark(Mark {
                    timed: true,
                    ..mark
                })?;
            }
        }
        DONE
    }
}

fn flag(value: &[u8]) -> Result<bool, Errno> {
    value
        .first_chunk::<4>()
        .map(|word| i32::from_ne_bytes(*word) != 0)
        .ok_or(Errno::INVAL)
}

fn set_socket_option(subject: &Subject, name: i32, value: &[u8]) -> Reply {
    match name {
        libc::SO_REUSEPORT => {
            let reuse_port = flag(value)?;
            if let Some(mark) = subject.mark {
                subject.set_mark(Mark { reuse_port, ..mark })?;
            }
        }
        name if APPLIED.contains(&name) => {
            socket::set_option(subject.fd.as_fd(), libc::SOL_SOCKET, name, value)?;
        }
        name if IGNORED.contains(&name) => {}
        libc::SO_MARK | libc::SO_BINDTODEVICE | libc::SO_DEBUG => return Err(Errno::PERM),
        libc::SO_ZEROCOPY => return Err(Errno::OPNOTSUPP),
        // SO_PASSCRED, SO_ATTACH_FILTER and their like.
        _ => return Err(Errno::NOPROTOOPT),
    }
    DONE
}

fn set_tcp_option(name: i32) -> Reply {
    const TCP_REPAIR: i32 = 19;
    match name {
        name if IGNORED_TCP.contains(&name) => DONE,
        TCP_REPAIR => Err(Errno::PERM),
        _ => Err(Errno::NOPROTOOPT),
    }
}

fn set_ip_option(name: i32) -> Reply {
    match name {
        name if IP.iter().any(|(known, _)| *known == name) => DONE,
        libc::IP_TRANSPARENT => Err(Errno::PERM),
        libc::IP_ADD_MEMBERSHIP | libc::IP_DROP_MEMBERSHIP => Err(Errno::NODEV),
        _ => Err(Errno::NOPROTOOPT),
    }
}

fn set_ipv6_option(subject: &Subject, name: i32, value: &[u8]) -> Reply {
    let v6 = subject.mark.is_none_or(|mark| mark.v6);
    match name {
        _ if !v6 => Err(Errno::NOPROTOOPT),
        libc::IPV6_V6ONLY => {
            let v6_only = flag(value)?;
            let mark = subject
                .mark
                .filter(|mark| mark.bound.is_none())
                .ok_or(Errno::INVAL)?;
            subject.set_mark(Mark { v6_only, ..mark })?;
            DONE
        }
        libc::IPV6_ADD_MEMBERSHIP | libc::IPV6_DROP_MEMBERSHIP => Err(Errno::NODEV),
        name if IPV6.iter().any(|(known, _)| *known == name) => DONE,
        _ => Err(Errno::NOPROTOOPT),
    }
}
