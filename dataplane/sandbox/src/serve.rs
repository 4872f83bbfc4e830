//! The launcher: forks keepers for the daemon, so that a launch costs neither an exec nor a fork of a large process.
//!
//! `docs/protocols.md`, section 8, is the contract. Keepers do not depend on it: its death, also by SIGKILL, leaves them
//! running, and the daemon finds them by their state files. What it knows beyond the kernel is lost with it on purpose.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::event::{epoll, Timespec};
use rustix::net::{recv, RecvFlags};
use rustix::process::{pidfd_send_signal, waitid, Pid, Signal, WaitId, WaitIdOptions};
use rustix::stdio::stdin;

use crate::berth::{Berth, Berths};
use crate::cgroup_parent::Parent;
use crate::forked::{keep, HANDED_OVER};
use crate::keeper::Outcome;
use crate::leash::{self, Heard};
use crate::orders::{take_frame, tell, Event, Request};
use crate::seccomp;
use crate::spec::{Spec, SpecError};
use crate::state::{State, Status, FILE_NAME};
use crate::sys::clone::{exit_now, fork_into, Side};

/// Bytes of messages that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// What keepers have said on standard error is cut off at this, in bytes: it is read after a failure only.
const COMPLAINTS_BYTES_MAX: u64 = 1 << 20;
/// Without an event for this long the host counts as idle.
const IDLE_AFTER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};
/// The daemon's messages; every other event is a sandbox's serial number, doubled, plus one for its leash.
const DAEMON: u64 = 0;

/// A keeper.
#[derive(Debug)]
struct Running {
    id: String,
    run_dir: PathBuf,
    pidfd: OwnedFd,
    leash: OwnedFd,
    /// What it said there so far.
    said: Vec<u8>,
    berth: Option<Berth>,
    /// It has told how its sandbox ended, and so has the daemon been.
    ended: Option<Status>,
}

#[derive(Debug)]
struct Launcher {
    parent: Option<Parent>,
    berths: Berths,
    running: HashMap<u64, Running>,
    serials: HashMap<String, u64>,
    last_serial: u64,
    events: OwnedFd,
    run_dir: PathBuf,
}

/// Serves the daemon at standard input (a stream socket) until it closes that. Run folders lie below `run_dir`.
///
/// # Errors
/// Those of the socket and of `epoll(7)`; a launch that fails is told to the daemon instead.
pub fn serve(run_dir: &Path, cgroup_parent: &str) -> io::Result<()> {
    // The numbers that keepers get must be free in every fork.
    let reserved = (0..HANDED_OVER).map(|_| File::open("/dev/null"));
    let _reserved: Vec<File> = reserved.collect::<Result<_, _>>()?;
    // Made once here rather than in every fork.
    let _ = seccomp::program();
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let input = epoll::EventFlags::IN;
    epoll::add(&events, stdin(), epoll::EventData::new_u64(DAEMON), input)?;
    let launcher = Launcher {
        parent: Parent::prepare(cgroup_parent).ok(),
        berths: Berths::default(),
        running: HashMap::new(),
        serials: HashMap::new(),
        last_serial: 0,
        events,
        run_dir: run_dir.to_owned(),
    };
    launcher.run()
}

impl Launcher {
    fn run(mut self) -> io::Result<()> {
        let mut input = Vec::new();
        let mut ready = Vec::with_capacity(64);
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        loop {
            // With nothing else to do it makes ready what the next launch needs, or after a while lets go of what a
            // burst has left; then it sleeps without a timer.
            let short = self.berths.is_short();
            let ample = self.berths.is_ample().then_some(&IDLE_AFTER);
            let pause = if short { Some(&at_once) } else { ample };
            ready.clear();
            match epoll::wait(&self.events, spare_capacity(&mut ready), pause) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match ready.is_empty() {
                true if short => self.prepare(),
                true => self.berths.shrink(),
                false => {}
            }
            for event in &ready {
                match event.data.u64() {
                    DAEMON => {
                        if !self.listen(&mut input)? {
                            return Ok(());
                        }
                    }
                    token if token % 2 == 1 => self.hear(token / 2)?,
                    token => self.reap(token / 2)?,
                }
            }
        }
    }

    fn prepare(&mut self) {
        if let Err(error) = self.berths.prepare() {
            // A launch will meet the same and say it to the daemon; until then there is nothing to be done.
            eprintln!("jsandbox: serve: network namespace: {error}");
        }
    }

    /// Reads what the daemon says; false once it is gone.
    fn listen(&mut self, input: &mut Vec<u8>) -> io::Result<bool> {
        let mut piece = [0_u8; READ_BYTES];
        let bytes = match recv(stdin(), piece.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => return Ok(false),
            Ok((bytes, _)) => bytes,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        input.extend_from_slice(&piece[..bytes]);
        while let Some(frame) = take_frame(input)? {
            match serde_json::from_slice(&frame)? {
                Request::Launch { spec } => self.launch(spec)?,
                Request::Stop { sandbox } => self.signal(&sandbox, Signal::TERM),
                Request::Kill { sandbox } => self.signal(&sandbox, Signal::KILL),
            }
        }
        Ok(true)
    }

    fn signal(&self, sandbox: &str, signal: Signal) {
        let running = self.serials.get(sandbox).and_then(|s| self.running.get(s));
        if let Some(running) = running {
            let _ = pidfd_send_signal(&running.pidfd, signal);
        }
    }

    fn launch(&mut self, spec: serde_json::Value) -> io::Result<()> {
        let id = spec["id"].as_str().unwrap_or_default().to_owned();
        let checked = serde_json::from_value::<Spec>(spec)
            .map_err(SpecError::from)
            .and_then(Spec::checked);
        let problem = match checked {
            Ok(spec) if !spec.run_dir.starts_with(&self.run_dir) => {
                format!("run_dir must lie below {}", self.run_dir.display())
            }
            Ok(spec) => match self.fork(spec) {
                Ok(()) => return Ok(()),
                Err(error) => format!("starting the keeper: {error}"),
            },
            Err(error) => error.to_string(),
        };
        let mut state = State::new(&id, 0);
        state.status = Status::Failed;
        state.error = Some(problem);
        tell(&Event::Ended {
            sandbox: &id,
            state: Some(&state),
            clean: true,
        })
    }

    fn fork(&mut self, spec: Spec) -> io::Result<()> {
        shorten_complaints();
        let mut berth = self.berths.take()?;
        let (leash, theirs) = leash::pair()?;
        let launcher = rustix::process::getpid();
        let (pidfd, pid) = match fork_into(0)? {
            Side::Child => {
                let parent = self.parent.take();
                exit_now(exit_code(keep(spec, parent, berth, theirs, launcher)))
            }
            Side::Parent { pid, pidfd } => (pidfd, pid),
        };
        drop(theirs);
        self.last_serial += 1;
        let serial = self.last_serial;
        for (descriptor, token) in [(&pidfd, 2 * serial), (&leash, 2 * serial + 1)] {
            let data = epoll::EventData::new_u64(token);
            if let Err(error) = epoll::add(&self.events, descriptor, data, epoll::EventFlags::IN) {
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                let _ = rustix::process::waitpid(
                    Pid::from_raw(pid),
                    rustix::process::WaitOptions::empty(),
                );
                return Err(error.into());
            }
        }
        berth.address = Some(spec.network.address);
        self.serials.insert(spec.id.clone(), serial);
        let running = Running {
            id: spec.id,
            run_dir: spec.run_dir,
            pidfd,
            leash,
            said: Vec::new(),
            berth: Some(berth),
            ended: None,
        };
        self.running.insert(serial, running);
        Ok(())
    }

    /// A keeper has spoken, or its end of the leash is closed.
    fn hear(&mut self, serial: u64) -> io::Result<()> {
        let Some(running) = self.running.get_mut(&serial) else {
            return Ok(());
        };
        let heard = leash::hear(&running.leash, &mut running.said);
        if matches!(heard, Heard::Part) {
            return Ok(());
        }
        // Once is all it says; an end without a word is told by its pidfd.
        let _ = epoll::delete(&self.events, &running.leash);
        let Heard::State(state) = heard else {
            return Ok(());
        };
        running.ended = Some(state.status);
        let _ = fs::remove_dir_all(&running.run_dir);
        tell(&Event::Ended {
            sandbox: &running.id,
            state: Some(&state),
            clean: true,
        })
    }

    /// A keeper has ended.
    fn reap(&mut self, serial: u64) -> io::Result<()> {
        if self
            .running
            .get(&serial)
            .is_some_and(|one| one.ended.is_none())
        {
            self.hear(serial)?;
        }
        let Some(mut running) = self.running.remove(&serial) else {
            return Ok(());
        };
        // The same sandbox may have been launched anew since it said that it ended.
        if self.serials.get(&running.id) == Some(&serial) {
            self.serials.remove(&running.id);
        }
        let end = waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        match running.ended {
            Some(_) => {
                // Where jnetd may still hold something of it, the namespaces go with the last who holds them.
                let free = end.and_then(|end| end.exit_status()) == Some(exit_code(Outcome::Ended));
                if let Some(berth) = running.berth.take().filter(|_| free) {
                    self.berths.give_back(berth);
                }
                Ok(())
            }
            // Killed: the daemon removes what it left.
            None => tell(&Event::Ended {
                sandbox: &running.id,
                state: stored(&running.run_dir).as_ref(),
                clean: false,
            }),
        }
    }
}

/// How a keeper tells the launcher what became of its berth.
fn exit_code(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Ended => 0,
        Outcome::Failed => 1,
        Outcome::Held => 3,
    }
}

fn stored(run_dir: &Path) -> Option<State> {
    let text = fs::read(run_dir.join(FILE_NAME)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Standard error is a file that all keepers append to.
fn shorten_complaints() {
    let complaints = rustix::stdio::stderr();
    let bytes = rustix::fs::fstat(complaints).map_or(0, |facts| facts.st_size);
    if u64::try_from(bytes).is_ok_and(|bytes| bytes > COMPLAINTS_BYTES_MAX) {
        let _ = rustix::fs::ftruncate(complaints, 0);
    }
}
