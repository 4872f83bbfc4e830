//! Accepting connections, bounding them, and ending in order.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{accept_with, SocketFlags};

use crate::connection;
use crate::line_log::say;
use crate::settings::Settings;

/// Most connections at once; more wait in the listener's queue. Each
/// costs a thread and most a process too, and the sandbox's limit counts both.
const CONNECTIONS_MAX: usize = 256;
/// A connection's thread reads into buffers of 16 KiB on its stack; the rest is head room.
const STACK_BYTES: usize = 256 * 1024;
/// Pause when the host has no thread or descriptor left for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);
const DRAIN_PAUSE: Duration = Duration::from_millis(10);

/// Counts what is inside and refuses what is too much.
#[derive(Debug)]
pub struct Gate {
    inside: AtomicUsize,
    most: usize,
}

/// A place inside; leaving is dropping it.
#[derive(Debug)]
pub struct Place<'a>(&'a Gate);

impl Gate {
    /// A gate for `most`; 0 is no limit.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            inside: AtomicUsize::new(0),
            most,
        }
    }

    /// A place, unless the gate is full.
    #[must_use]
    pub fn enter(&self) -> Option<Place<'_>> {
        let fits = |inside: usize| (self.most == 0 || inside < self.most).then_some(inside + 1);
        self.inside
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .ok()?;
        Some(Place(self))
    }

    /// Whether the next one would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.most > 0 && self.inside.load(Ordering::Acquire) >= self.most
    }

    /// Whether nobody is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inside.load(Ordering::Acquire) == 0
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What all connections see.
#[derive(Debug)]
pub struct Shared {
    /// The settings.
    pub settings: Settings,
    /// Running requests.
    pub inflight: Gate,
    /// Set by SIGTERM.
    pub draining: AtomicBool,
    connections: Gate,
}

/// Serves until SIGTERM, then drains.
///
/// # Errors
/// When the port cannot be had.
pub fn run(settings: Settings, termination: &OwnedFd) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port))?;
    listener.set_nonblocking(true)?;
    let lock = write_lock(&settings);
    let inflight = Gate::new(settings.max_inflight);
    let connections = Gate::new(CONNECTIONS_MAX);
    let shared = Arc::new(Shared {
        settings,
        inflight,
        draining: AtomicBool::new(false),
        connections,
    });
    say(&format!(
        "Serving {:?} on port {}",
        shared.settings.process, shared.settings.port
    ));
    while wait(&listener, termination)? {
        accept(&listener, &shared);
    }
    drop(listener);
    if let Some(lock) = lock {
        let _ = fs::remove_file(lock);
    }
    drain(&shared);
    Ok(())
}

/// Whether there is a connection to accept; false on SIGTERM.
fn wait(listener: &TcpListener, termination: &OwnedFd) -> io::Result<bool> {
    loop {
        let mut watched = [
            PollFd::new(termination, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        match poll(&mut watched, None) {
            Ok(_) if !watched[0].revents().is_empty() => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Accepts without asking for the peer's address: with one, each connection would cost the sandbox's supervisor a
/// notification.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    if shared.connections.is_full() {
        thread::sleep(EXHAUSTED_PAUSE);
        return;
    }
    let socket = match accept_with(listener.as_fd(), SocketFlags::CLOEXEC) {
        Ok(socket) => socket,
        Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            return thread::sleep(EXHAUSTED_PAUSE)
        }
        Err(_) => return,
    };
    let context = Arc::clone(shared);
    let builder = thread::Builder::new().stack_size(STACK_BYTES);
    let started = builder.spawn(move || {
        if let Some(_place) = context.connections.enter() {
            connection::serve(&context, socket);
        }
    });
    if started.is_err() {
        thread::sleep(EXHAUSTED_PAUSE);
    }
}

/// The file by which of-watchdog says that it is ready; programs in images look for it.
fn write_lock(settings: &Settings) -> Option<PathBuf> {
    if settings.suppress_lock {
        return None;
    }
    let path = std::env::temp_dir().join(".lock");
    match File::create(&path) {
        Ok(_) => Some(path),
        Err(error) => {
            say(&format!(
                "cannot write {}: {error}; going on without it",
                path.display()
            ));
            None
        }
    }
}

/// Lets running requests end, for at most `write_timeout`.
fn drain(shared: &Shared) {
    shared.draining.store(true, Ordering::Relaxed);
    say("SIGTERM: no new connections, waiting for running requests");
    let deadline = Instant::now() + shared.settings.write_timeout;
    while !shared.inflight.is_empty() && Instant::now() < deadline {
        thread::sleep(DRAIN_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_as_many_as_fit() {
        let gate = Gate::new(2);
        let first = gate.enter();
        let second = gate.enter();
        assert!(first.is_some() && second.is_some() && gate.enter().is_none() && gate.is_full());
        drop(first);
        assert!(gate.enter().is_some());
        drop(second);
        assert!(gate.is_empty());
    }

    #[test]
    fn zero_is_no_limit() {
        let gate = Gate::new(0);
        let all: Vec<_> = (0..100).map(|_| gate.enter()).collect();
        assert!(all.iter().all(Option::is_some) && !gate.is_full());
    }
}
