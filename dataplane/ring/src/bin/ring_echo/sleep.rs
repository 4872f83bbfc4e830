//! Cores and sleeping.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

/// Cores this process may run on.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|core| allowed.is_set(*core))
        .collect())
}

/// Keeps the calling thread on one core.
pub fn pin_to(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Sleeps behind one eventfd, edge-triggered, as a worker and a shim do.
pub struct Bed {
    set: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Bed {
    pub fn behind(eventfd: impl AsFd) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&set, eventfd, epoll::EventData::new_u64(0), flags)?;
        Ok(Self {
            set,
            events: Vec::with_capacity(1),
        })
    }

    /// Until the eventfd is written.
    pub fn sleep(&mut self) -> io::Result<()> {
        self.events.clear();
        epoll::wait(
            &self.set,
            rustix::buffer::spare_capacity(&mut self.events),
            None,
        )?;
        Ok(())
    }
}
