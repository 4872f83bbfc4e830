//! `listen(2)`: gives the socket its AF_UNIX name. From here on it can be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use jd_wire::names::{Listener, Name};
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::host::Event;
use crate::mark::Mark;
use crate::sandbox::{Descriptor, Sandbox, Subject, World};
use crate::sockets::bind;
use crate::sys::socket;

/// Longest backlog, as Linux caps it by default (`net.core.somaxconn`).
const BACKLOG_MAX: i32 = 4096;
/// Names tried where sockets that the table forgot still hold theirs.
const INDEX_TRIES: u16 = 64;

impl Sandbox {
    pub(crate) fn on_listen(&mut self, world: &World, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let mark = subject.mark.ok_or(Errno::INVAL)?;
        if mark.datagram {
            return Err(Errno::OPNOTSUPP);
        }
        // A negative backlog is a huge unsigned one to Linux.
        let backlog = match call.int(1) {
            negative if negative < 0 => BACKLOG_MAX,
            asked => asked.min(BACKLOG_MAX),
        };
        if socket::int_option(subject.fd.as_fd(), libc::SO_ACCEPTCONN)? != 0 {
            rustix::net::listen(&subject.fd, backlog)?;
            return DONE;
        }
        if socket::own_name(subject.fd.as_fd())?.is_some() {
            // It connected once.
            return Err(Errno::INVAL);
        }
        let mark = if mark.bound.is_some() {
            mark
        } else {
            self.take_port(&subject, mark, wildcard(mark))?
        };
        let port = self.start_listening(&subject, mark, backlog)?;
        let sandbox = self.shared.name.clone();
        world.host.event(Event::Listening { sandbox, port });
        DONE
    }

    fn start_listening(
        &mut self,
        subject: &Subject,
        mark: Mark,
        backlog: i32,
    ) -> Result<u16, Errno> {
        let address = self.bound_address(subject, mark).ok_or(Errno::INVAL)?;
        let mut wanted = bind::binding(subject, mark, address)?;
        let shared = &self.shared;
        // Who is in the way may be closed.
        let in_the_way = shared.tcp().listen_conflict(&wanted).is_some();
        if in_the_way {
            shared.sweep();
        }
        // Held until the name is there: who finds the entry must be able to connect.
        let mut ports = shared.tcp();
        if ports.listen_conflict(&wanted).is_some() {
            return Err(Errno::ADDRINUSE);
        }
        if ports.get(wanted.port, wanted.cookie).is_none() && !ports.insert(wanted.clone()) {
            return Err(Errno::NOBUFS);
        }
        let first = ports
            .listen(wanted.port, wanted.cookie)
            .and_then(|binding| binding.listening)
            .unwrap_or(0);
        ports.remove_if(|binding| binding.cookie == wanted.cookie);
        wanted.listening = Some(name_listener(subject, &wanted, first)?);
        rustix::net::listen(&subject.fd, backlog)?;
        let port = wanted.port;
        if ports.insert(wanted) {
            Ok(port)
        } else {
            Err(Errno::NOBUFS)
        }
    }
}

/// Binds the first free name from index `first` on.
fn name_listener(
    subject: &Subject,
    wanted: &crate::ports::Binding,
    first: u16,
) -> Result<u16, Errno> {
    for index in (0..INDEX_TRIES).map(|step| first.wrapping_add(step)) {
        let listener = Listener {
            ip: wanted.ip,
            port: wanted.port,
            v6: wanted.v6,
            v6_only: wanted.v6_only,
            shared: wanted.reuse_port,
            index,
        };
        match socket::bind(subject.fd.as_fd(), &Name::Listener(listener).to_bytes()) {
            Err(Errno::ADDRINUSE) => {}
            bound => return bound.map(|()| index),
        }
    }
    Err(Errno::ADDRINUSE)
}

/// The wildcard with any port, for a socket that listens or connects without a bind.
pub(crate) fn wildcard(mark: Mark) -> SocketAddr {
    let ip = if mark.v6 {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(ip, 0)
}
