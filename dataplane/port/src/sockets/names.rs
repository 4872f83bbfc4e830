//! `getsockname(2)` and `getpeername(2)`: internet addresses, read from the AF_UNIX names.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use jd_wire::names::Name;
use jd_wire::sockaddr;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::mark::Mark;
use crate::pending::Progress;
use crate::sandbox::{Descriptor, Sandbox, Subject};
use crate::sockets::listen::wildcard;
use crate::sys::socket;

/// The addresses of a socket and how it shows them.
pub(crate) struct Ends {
    pub local: SocketAddr,
    pub remote: Option<SocketAddr>,
    pub v6: bool,
}

impl Sandbox {
    pub(crate) fn on_getsockname(&mut self, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let ends = self.ends(&subject)?;
        self.give_address(call, ends.local, ends.v6)
    }

    pub(crate) fn on_getpeername(&mut self, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let ends = self.ends(&subject)?;
        self.give_address(call, ends.remote.ok_or(Errno::NOTCONN)?, ends.v6)
    }

    fn give_address(&self, call: &Notification, address: SocketAddr, v6: bool) -> Reply {
        let room = self.room(call, call.args[2])?;
        self.write_address(
            call,
            (call.args[1], call.args[2]),
            room,
            &sockaddr::encode(address, v6),
        )?;
        DONE
    }

    /// The length that the guest's buffer has, from the word at `at`.
    pub(crate) fn room(&self, call: &Notification, at: u64) -> Result<usize, Errno> {
        let room = self.read_word(call, at)?;
        // It is an int to the kernel: negative lengths are refused.
        i32::try_from(room)
            .ok()
            .and_then(|room| usize::try_from(room).ok())
            .ok_or(Errno::INVAL)
    }

    /// Writes as much of an address as there is room for, and its whole length.
    pub(crate) fn write_address(
        &self,
        call: &Notification,
        (at, length_at): (u64, u64),
        room: usize,
        address: &[u8],
    ) -> Result<(), Errno> {
        let length = u32::try_from(address.len()).map_err(|_| Errno::INVAL)?;
        let given = &address[..room.min(address.len())];
        self.write_both(call, (at, given), (length_at, &length.to_ne_bytes()))
    }

    /// The addresses of a stream socket.
    pub(crate) fn ends(&self, subject: &Subject) -> Result<Ends, Errno> {
        if let Some(mark) = subject.mark.filter(|mark| mark.datagram) {
            return Ok(self.datagram_ends(subject, mark));
        }
        let own = socket::own_name(subject.fd.as_fd())?.and_then(|name| Name::parse(&name));
        match own {
            Some(Name::Client {
                source,
                destination,
            }) => {
                let connected = self.is_connected(subject);
                let v6 = subject.mark.is_some_and(|mark| mark.v6);
                Ok(Ends {
                    local: source,
                    remote: connected.then_some(destination),
                    v6,
                })
            }
            Some(Name::Listener(listener)) => Ok(accepted(subject, &listener)),
            _ => {
                let mark = subject.mark.unwrap_or_default();
                let local = self
                    .bound_address(subject, mark)
                    .unwrap_or_else(|| wildcard(mark));
                Ok(Ends {
                    local,
                    remote: None,
                    v6: mark.v6,
                })
            }
        }
    }

    fn datagram_ends(&self, subject: &Subject, mark: Mark) -> Ends {
        let datagram = self.datagram(subject);
        let local = datagram.as_ref().and_then(|datagram| datagram.local());
        let local = local.or_else(|| self.bound_address(subject, mark));
        let remote = datagram.and_then(|datagram| datagram.connected());
        Ends {
            local: local.unwrap_or_else(|| wildcard(mark)),
            remote,
            v6: mark.v6,
        }
    }

    /// Whether a connecting socket reached its peer. One that only looks as if it were connecting
    /// is connected to the supervisor already.
    pub(crate) fn is_connected(&self, subject: &Subject) -> bool {
        let connected = socket::peer_name(subject.fd.as_fd()).is_ok();
        connected && self.progress(subject).is_none()
    }

    /// How far the connect of a socket is; `None`: it has none, or it stands.
    pub(crate) fn progress(&self, subject: &Subject) -> Option<Progress> {
        if self.shared.pending.is_empty() {
            return None;
        }
        self.shared.pending.get(subject.cookie().ok()?)
    }
}

/// A listener itself, or a socket accepted from it: both carry its name.
fn accepted(subject: &Subject, listener: &jd_wire::names::Listener) -> Ends {
    let bound = SocketAddr::new(listener.ip, listener.port);
    let v6 = listener.v6;
    let Ok(peer) = socket::peer_name(subject.fd.as_fd()) else {
        return Ends {
            local: bound,
            remote: None,
            v6,
        };
    };
    match peer.and_then(|name| Name::parse(&name)) {
        Some(Name::Client {
            source,
            destination,
        }) => Ends {
            local: destination,
            remote: Some(source),
            v6,
        },
        // A guest connected its socket past the supervisor; it deceives nobody but itself.
        _ => Ends {
            local: bound,
            remote: Some(SocketAddr::from(([0, 0, 0, 0], 0))),
            v6,
        },
    }
}
