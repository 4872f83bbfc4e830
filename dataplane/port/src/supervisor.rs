//! The socket objects of all sandboxes.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use jd_link::Owner;

use crate::egress::{Egress, Task};
use crate::host::Host;
use crate::inbox::{Command, Inbox};
use crate::journal::Journal;
use crate::netns;
use crate::platform::Platform;
use crate::registry::Registry;
use crate::sandbox::{Sandbox, World};
use crate::shared::{Identity, Shared};
use crate::stack::{KernelStack, Stack};
use crate::stats::SandboxStats;
use crate::sys;
use crate::worker::Worker;

/// A sandbox as its keeper hands it over (`docs/protocols.md`, section 2).
#[derive(Debug)]
pub struct Attachment {
    /// Its name.
    pub sandbox: String,
    /// Address of the function.
    pub address: Ipv4Addr,
    /// Address under which it knows the gateway.
    pub gateway: Ipv4Addr,
    /// Address under which it knows the resolver.
    pub nameserver: Ipv4Addr,
    /// Process id of the guest's init, for messages only.
    pub init_pid: u32,
    /// Seccomp notify descriptor.
    pub notify: OwnedFd,
    /// The private network namespace for its sockets.
    pub socket_netns: OwnedFd,
    /// Descriptor of the guest's init.
    pub pidfd: OwnedFd,
    /// Memory file for the calls in hand.
    pub journal: OwnedFd,
}

/// Answers the socket calls of all attached sandboxes.
pub struct Supervisor {
    registry: Arc<Registry>,
    world: Arc<World>,
    inboxes: Vec<Arc<Inbox>>,
    threads: Vec<JoinHandle<()>>,
    home: Arc<OwnedFd>,
    next_id: AtomicU64,
}

impl Supervisor {
    /// Starts `threads` workers; guests' traffic leaves the host by the kernel's own stack. The
    /// calling thread must be in the host's network namespace.
    ///
    /// # Errors
    /// No descriptors or threads are left, or `/proc` is not mounted.
    pub fn start(
        threads: usize,
        platform: Arc<ArcSwap<Platform>>,
        host: Arc<dyn Host>,
    ) -> io::Result<Self> {
        Self::with_stack(threads, platform, host, Arc::new(KernelStack))
    }

    /// As [`Supervisor::start`], with another network stack.
    ///
    /// # Errors
    /// The same.
    pub fn with_stack(
        threads: usize,
        platform: Arc<ArcSwap<Platform>>,
        host: Arc<dyn Host>,
        stack: Arc<dyn Stack>,
    ) -> io::Result<Self> {
        let home = Arc::new(netns::current()?);
        let (egress, egress_thread) = Egress::start(stack)?;
        let world = Arc::new(World {
            platform,
            host,
            egress,
        });
        let registry = Arc::new(Registry::default());
        let mut supervisor = Self {
            registry: Arc::clone(&registry),
            world: Arc::clone(&world),
            inboxes: Vec::new(),
            threads: vec![egress_thread],
            home,
            next_id: AtomicU64::new(1),
        };
        for number in 0..threads.max(1) {
            let (inbox, commands) = Inbox::new()?;
            let inbox = Arc::new(inbox);
            let worker = Worker::new(
                Arc::clone(&world),
                Arc::clone(&registry),
                Arc::clone(&inbox),
                commands,
            )?;
            let builder = std::thread::Builder::new().name(format!("jd-port-{number}"));
            supervisor
                .threads
                .push(builder.spawn(move || worker.run())?);
            supervisor.inboxes.push(inbox);
        }
        Ok(supervisor)
    }

    /// Serves a sandbox from now on. What a predecessor left unanswered is answered with `EINTR`,
    /// listeners that exist are found again.
    ///
    /// # Errors
    /// One of that name is attached, or a descriptor is not what it should be.
    pub fn attach(&self, attachment: Attachment) -> io::Result<()> {
        let Attachment {
            sandbox,
            address,
            gateway,
            nameserver,
            ..
        } = attachment;
        let Attachment {
            init_pid,
            notify,
            socket_netns,
            pidfd,
            journal,
            ..
        } = attachment;
        if self.registry.get(&sandbox).is_some() {
            let text = format!("sandbox {sandbox} is attached already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let identity = Identity {
            id,
            name: sandbox,
            address,
            gateway,
            nameserver,
        };
        let shared = Arc::new(Shared::new(
            identity,
            socket_netns,
            Arc::clone(&self.home),
            Arc::clone(&self.world.host),
        )?);
        let journal = Journal::take_over(journal.as_fd(), notify.as_fd())?;
        // Older kernels cannot; the wake then crosses cores.
        let _ = sys::notify::wake_on_this_core(notify.as_fd());
        let worker = self.registry.add(&shared, &self.inboxes)?;
        log::info!(
            "sandbox {} (init {init_pid}) is served by worker {worker}",
            shared.name
        );
        let sandbox = Box::new(Sandbox::new(
            Arc::clone(&shared),
            notify,
            journal,
            Arc::clone(&self.inboxes[worker]),
        ));
        if self.inboxes[worker].send(Command::Attach(sandbox, pidfd)) {
            return Ok(());
        }
        self.registry.remove(id);
        Err(io::Error::other(
            "the worker for this sandbox ended; restart jnetd",
        ))
    }

    /// Stops serving a sandbox; `reason` goes into [`crate::Event::Detached`], which comes when nothing of it
    /// is held any more. False: there is none of that name, and none of its is held.
    pub fn detach(&self, sandbox: &str, reason: &str) -> bool {
        let entry = self.registry.get(sandbox);
        if let Some(entry) = &entry {
            self.registry.remove(entry.shared.id);
            let command = Command::Detach(entry.shared.id, reason.to_owned());
            entry.inbox.send(command);
        }
        entry.is_some()
    }

    /// Connects to the guest's listener of `port`: a non-blocking AF_UNIX stream. From any thread of
    /// the host's network namespace; never blocks.
    ///
    /// # Errors
    /// `NotFound`: no such sandbox; `ConnectionRefused`: nobody listens; `WouldBlock`: the guest's
    /// backlog is full.
    pub fn dial(&self, sandbox: &str, port: u16) -> io::Result<OwnedFd> {
        self.dial_for(sandbox, port, None)
    }

    /// As [`Supervisor::dial`]; the guest may ask `owner`, as long as somebody holds it, to change the
    /// connection over to a ring.
    ///
    /// # Errors
    /// The same.
    pub fn dial_for(
        &self,
        sandbox: &str,
        port: u16,
        owner: Option<&Arc<dyn Owner>>,
    ) -> io::Result<OwnedFd> {
        let unknown = || {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("sandbox {sandbox} is not attached"),
            )
        };
        let entry = self.registry.get(sandbox).ok_or_else(unknown)?;
        Ok(entry.shared.dial(port, owner)?)
    }

    /// Grants the guest of a sandbox so much polling of its rings before it parks; false: no such sandbox.
    pub fn set_spin_ns(&self, sandbox: &str, spin_ns: u32) -> bool {
        let entry = self.registry.get(sandbox);
        entry.is_some_and(|entry| {
            entry.shared.set_spin_ns(spin_ns);
            true
        })
    }

    /// Ports that the guest listens on.
    #[must_use]
    pub fn listening(&self, sandbox: &str) -> Vec<u16> {
        self.registry
            .get(sandbox)
            .map(|entry| entry.shared.listening())
            .unwrap_or_default()
    }

    /// Whether a sandbox is attached.
    #[must_use]
    pub fn knows(&self, sandbox: &str) -> bool {
        self.registry.get(sandbox).is_some()
    }

    /// What happened in one sandbox so far.
    #[must_use]
    pub fn stats(&self, sandbox: &str) -> Option<SandboxStats> {
        self.registry
            .get(sandbox)
            .map(|entry| stats_of(&entry.shared))
    }

    /// The same of all, ordered by name.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<SandboxStats> {
        let mut all: Vec<SandboxStats> = self
            .registry
            .all()
            .iter()
            .map(|entry| stats_of(&entry.shared))
            .collect();
        all.sort_by(|one, other| one.sandbox.cmp(&other.sandbox));
        all
    }
}

fn stats_of(shared: &Shared) -> SandboxStats {
    SandboxStats {
        sandbox: shared.name.clone(),
        address: shared.address,
        listening: shared.listening(),
        counters: shared.tally.read(),
        rings: shared.ring_counters(),
        spin_ns: shared.spin_ns(),
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for inbox in &self.inboxes {
            inbox.send(Command::Stop);
        }
        for entry in self.registry.all() {
            // Those that serve one sandbox end by themselves, and may sleep in a call of its.
            entry.inbox.send(Command::Stop);
        }
        self.world.egress.send(Task::Stop);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a notify worker had panicked");
            }
        }
    }
}
