//! The hub: the supervisor's own listener in the socket namespace, where connections that leave the
//! sandbox end. A guest's socket is connected to it on the guest's behalf.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::sandbox::{Sandbox, Subject, World};
use crate::sockets::timeouts::Brief;
use crate::sys::socket;

/// Connections taken from the hub while looking for our own; what a guest put there is dropped.
const HUB_TRIES: usize = 512;

impl Sandbox {
    /// Connects the guest's socket to the supervisor and gives the other end of it.
    pub(crate) fn join_hub(
        &mut self,
        world: &World,
        subject: &Subject,
        destination: SocketAddr,
    ) -> Result<(OwnedFd, SocketAddr), Errno> {
        let source = self.name_once(subject, destination)?;
        // The name may tell an earlier destination: names are final.
        let mine = socket::own_name(subject.fd.as_fd())?;
        let mut connected = connect_now(subject, &self.shared.hub_name);
        for _ in 0..HUB_TRIES {
            match self.shared.accept_hub() {
                Ok((end, name)) if name == mine => return Ok((end, source)),
                // Not ours: the guest found a way to connect here by itself. It is closed.
                Ok(_) => self.report(world, "connection past the supervisor"),
                Err(Errno::AGAIN) => connected?,
                Err(error) => return Err(error),
            }
            if connected == Err(Errno::AGAIN) {
                connected = connect_now(subject, &self.shared.hub_name);
            }
        }
        Err(Errno::AGAIN)
    }
}

/// Connects without waiting for room in a backlog, whatever the guest's flags are.
pub(crate) fn connect_now(subject: &Subject, name: &[u8]) -> Result<(), Errno> {
    let connected = if subject.is_non_blocking()? {
        socket::connect(subject.fd.as_fd(), name)
    } else {
        let _brief = Brief::send(subject)?;
        socket::connect(subject.fd.as_fd(), name)
    };
    connected.map_err(|error| {
        if error == Errno::INTR {
            Errno::AGAIN
        } else {
            error
        }
    })
}
