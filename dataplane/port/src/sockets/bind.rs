//! `bind(2)`: takes the port in the table and remembers it on the socket; the AF_UNIX name comes
//! later, when it is known whether the socket listens or connects (a name cannot be changed).

use std::net::{IpAddr, SocketAddr};

use jd_wire::sockaddr::{self, BadAddress, Given, SOCKADDR_BYTES_MAX};
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::mark::{Mark, Place};
use crate::ports::{Binding, Ports};
use crate::sandbox::{Descriptor, Sandbox, Subject};
use crate::sys::socket;

impl Sandbox {
    /// Reads the address that a call hands in, whole and once.
    pub(crate) fn given_address(
        &self,
        call: &Notification,
        at: u64,
        length: u64,
    ) -> Result<Given, Errno> {
        let length = i32::try_from(length).map_err(|_| Errno::INVAL)?;
        let length = usize::try_from(length).map_err(|_| Errno::INVAL)?;
        // The kernel refuses what exceeds its largest address.
        if length > 128 {
            return Err(Errno::INVAL);
        }
        let bytes = self.read(call, at, length.min(SOCKADDR_BYTES_MAX))?;
        sockaddr::parse(&bytes).map_err(|bad| match bad {
            BadAddress::Short => Errno::INVAL,
            BadAddress::Family(_) => Errno::AFNOSUPPORT,
        })
    }

    pub(crate) fn on_bind(&mut self, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let given = self.given_address(call, call.args[1], call.args[2])?;
        // A socket without a mark was accepted and is bound as such.
        let mark = subject.mark.ok_or(Errno::INVAL)?;
        let address = match given {
            Given::Inet(address) => fitting(address, mark).map_err(|error| match error {
                // A v4 address on a socket for v6 only is no route to connect, but no name to bind.
                Errno::NETUNREACH => Errno::INVAL,
                other => other,
            })?,
            // Linux takes it for the v4 wildcard.
            Given::Unspecified if !mark.v6 => SocketAddr::from(([0, 0, 0, 0], 0)),
            Given::Unspecified => return Err(Errno::AFNOSUPPORT),
        };
        if mark.bound.is_some() || socket::own_name(subject_fd(&subject))?.is_some() {
            return Err(Errno::INVAL);
        }
        if !address.ip().is_unspecified() && !self.here().owns(address.ip()) {
            return Err(Errno::ADDRNOTAVAIL);
        }
        self.take_port(&subject, mark, address)?;
        DONE
    }

    /// Takes `address` (port 0: any) for a socket and remembers it there.
    pub(crate) fn take_port(
        &mut self,
        subject: &Subject,
        mark: Mark,
        address: SocketAddr,
    ) -> Result<Mark, Errno> {
        let wanted = binding(subject, mark, address)?;
        let taken = if mark.datagram {
            // A datagram socket's end tells when it closes, so that table is never stale.
            take(&mut self.udp, wanted, self.shared.ephemeral_start())?
        } else {
            self.take_stream_port(wanted)?
        };
        let place = Place::of(taken.ip, mark.v6, self.shared.address);
        let mark = Mark {
            bound: Some((taken.port, place)),
            ..mark
        };
        subject.set_mark(mark)?;
        Ok(mark)
    }

    fn take_stream_port(&self, wanted: Binding) -> Result<Binding, Errno> {
        let start = self.shared.ephemeral_start();
        let taken = take(&mut self.shared.tcp(), wanted.clone(), start);
        taken.or_else(|_| {
            // Who is in the way may be closed.
            self.shared.sweep();
            take(&mut self.shared.tcp(), wanted, start)
        })
    }

    /// The address that a socket was bound to.
    pub(crate) fn bound_address(&self, subject: &Subject, mark: Mark) -> Option<SocketAddr> {
        let (port, place) = mark.bound?;
        let known = place.ip(mark.v6, self.shared.address);
        let ip = known.or_else(|| {
            let cookie = subject.cookie().ok()?;
            if mark.datagram {
                self.udp.get(port, cookie).map(|binding| binding.ip)
            } else {
                self.shared
                    .tcp()
                    .get(port, cookie)
                    .map(|binding| binding.ip)
            }
        });
        // The table of a supervisor that died is lost; loopback is where such addresses lie.
        Some(SocketAddr::new(
            ip.unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port,
        ))
    }
}

fn subject_fd(subject: &Subject) -> std::os::fd::BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(&subject.fd)
}

/// `address` as this socket may use it: the family must be the socket's own.
pub(crate) fn fitting(address: SocketAddr, mark: Mark) -> Result<SocketAddr, Errno> {
    match (address, mark.v6) {
        (SocketAddr::V4(_), true) => Err(Errno::INVAL),
        (SocketAddr::V6(_), false) => Err(Errno::AFNOSUPPORT),
        _ => {
            let plain = sockaddr::unmapped(address);
            if mark.v6_only && plain.is_ipv4() {
                Err(Errno::NETUNREACH)
            } else {
                Ok(plain)
            }
        }
    }
}

/// What the table is to know about a socket.
pub(crate) fn binding(
    subject: &Subject,
    mark: Mark,
    address: SocketAddr,
) -> Result<Binding, Errno> {
    Ok(Binding {
        cookie: subject.cookie()?,
        inode: rustix::fs::fstat(&subject.fd)?.st_ino,
        ip: address.ip(),
        port: address.port(),
        v6: mark.v6,
        v6_only: mark.v6_only,
        reuse_address: socket::int_option(subject_fd(subject), libc::SO_REUSEADDR)? != 0,
        reuse_port: mark.reuse_port,
        listening: None,
    })
}

fn take(ports: &mut Ports, mut wanted: Binding, start: u16) -> Result<Binding, Errno> {
    if wanted.port == 0 {
        wanted.port = ports.free_port(&wanted, start).ok_or(Errno::ADDRINUSE)?;
    } else if ports.conflict(&wanted).is_some() {
        return Err(Errno::ADDRINUSE);
    }
    if ports.insert(wanted.clone()) {
        Ok(wanted)
    } else {
        Err(Errno::NOBUFS)
    }
}
