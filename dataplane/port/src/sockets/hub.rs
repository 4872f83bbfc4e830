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
/// Connects tried at a hub that a guest fills again and again; each may take a moment.
const HUB_CONNECTS: usize = 4;

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
        for _ in 0..HUB_CONNECTS {
            let hub = self.shared.hub_name.clone();
            let connected = self.connect_now(subject, &hub);
            let wanted = if connected.is_ok() { &mine } else { &None };
            match (self.take_from_hub(world, wanted)?, connected) {
                (Some(end), _) => return Ok((end, source)),
                // It was full, and is empty now.
                (None, Err(Errno::AGAIN)) => {}
                (None, Err(error)) => return Err(error),
                (None, Ok(())) => return Err(Errno::AGAIN),
            }
        }
        Err(Errno::AGAIN)
    }

    /// Connects a guest's socket, or tells at once that there is no room.
    pub(crate) fn connect_now(&mut self, subject: &Subject, name: &[u8]) -> Result<(), Errno> {
        self.sleeping(|| connect_briefly(subject, name))
    }

    /// Takes connections from the hub up to the one of that name; all of them without a name.
    fn take_from_hub(
        &mut self,
        world: &World,
        wanted: &Option<Vec<u8>>,
    ) -> Result<Option<OwnedFd>, Errno> {
        for _ in 0..HUB_TRIES {
            match self.shared.accept_hub() {
                Ok((end, name)) if wanted.is_some() && name == *wanted => return Ok(Some(end)),
                // Not ours: the guest found a way to connect here by itself. It is closed.
                Ok(_) => self.report(world, "connection past the supervisor"),
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Connects without waiting for room in a backlog, whatever the guest's flags are or become.
fn connect_briefly(subject: &Subject, name: &[u8]) -> Result<(), Errno> {
    let _brief = Brief::send(subject)?;
    match socket::connect(subject.fd.as_fd(), name) {
        Err(Errno::INTR) => Err(Errno::AGAIN),
        connected => connected,
    }
}
