//! `shutdown(2)` for reading: on TCP the peer may go on sending; on AF_UNIX its writes would fail.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::Shutdown;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::sandbox::{Descriptor, Sandbox};
use crate::sys::socket;

impl Sandbox {
    pub(crate) fn on_shutdown(&mut self, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        if socket::int_option(subject.fd.as_fd(), libc::SO_ACCEPTCONN)? != 0 {
            // A listener stops: waiting accepts wake with EINVAL, as on TCP.
            rustix::net::shutdown(&subject.fd, Shutdown::Read)?;
            return DONE;
        }
        if !self.is_connected(&subject) {
            return Err(Errno::NOTCONN);
        }
        DONE
    }
}
