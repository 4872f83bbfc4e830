//! What guests write to UDP sockets natively.

use std::cmp::Reverse;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::epoll::{self, EventFlags};

use super::{Source, Timer, Worker};
use crate::stall::Began;

/// What is listened for on the supervisor's half.
pub(super) const WANTED: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);

impl Worker {
    /// The guest wrote to a UDP socket natively, or closed it.
    pub(super) fn serve_datagram(&mut self, id: u64, flags: EventFlags) {
        let owner = id >> 32;
        let Some(resident) = self.residents.get_mut(&owner) else {
            return;
        };
        let Some(datagram) = resident.sandbox.datagram_by_id(id) else {
            return;
        };
        let began = Began::new(None);
        if flags.contains(EventFlags::IN) {
            resident.sandbox.drain_datagram(&self.world, &datagram);
        }
        if flags.contains(EventFlags::HUP) && !holds_data(&datagram.end) {
            let _ = epoll::delete(&self.epoll, &datagram.end);
            resident.sandbox.close_datagram(&self.world, id);
            return;
        }
        if flags.contains(EventFlags::RDHUP) && !holds_data(&datagram.end) {
            // It will send nothing more but may still receive; its end of file is readable for ever.
            return self.listen_to_datagram(id, EventFlags::empty());
        }
        let now = Instant::now();
        if let Some(rest) = resident.budget.spend(began.worked(), now) {
            resident.sandbox.shared.tally.rests.add();
            self.listen_to_datagram(id, EventFlags::empty());
            self.timers
                .push(Reverse((now + rest, Timer::RestedDatagram(id))));
        }
    }

    pub(super) fn listen_to_datagram(&self, id: u64, flags: EventFlags) {
        let datagram = self
            .residents
            .get(&(id >> 32))
            .and_then(|resident| resident.sandbox.datagram_by_id(id));
        if let Some(datagram) = datagram {
            let _ = epoll::modify(
                &self.epoll,
                &datagram.end,
                Source::Datagram(id).data(),
                flags,
            );
        }
    }
}

/// Whether a socket whose other end is closed still has something to read.
fn holds_data(socket: &OwnedFd) -> bool {
    rustix::io::ioctl_fionread(socket).is_ok_and(|bytes| bytes > 0)
}
