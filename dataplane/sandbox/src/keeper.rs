//! The keeper: starts the sandbox, then waits in one poll loop until it has ended, and cleans up.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use jd_wire::attach::Hello;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{flock, FlockOperation};
use rustix::process::{
    pidfd_send_signal, set_parent_process_death_signal, waitpid, Pid, Signal, WaitOptions,
};

use crate::attach::{journal, Attachment, Offer};
use crate::berth::Berth;
use crate::cgroup::Group;
use crate::cgroup_parent::Parent;
use crate::clock::{monotonic, start_ticks, unix_ns};
use crate::guest;
use crate::launch::{launch, Ends, Launched};
use crate::launch_error::{LaunchError, Step};
use crate::leash;
use crate::log_file::LogFile;
use crate::log_rate::LogRate;
use crate::log_record::{Framer, Stream};
use crate::members;
use crate::report::{self, Report};
use crate::snapshot::{self, Part};
use crate::spec::Spec;
use crate::state::{State, Status};
use crate::sys::signals;

/// File that a living keeper holds locked; `jsandbox sweep` tells the living from the dead by it.
pub const LOCK_NAME: &str = "keeper.lock";

/// Most bytes read from one stream before the other events get their turn.
const READ_BYTES: usize = 16 * 1024;

/// Signals that ask the keeper to end its sandbox.
const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// How long jnetd may take to let go of a sandbox that has ended; its namespaces are not used again otherwise.
const LET_GO_WAIT: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// What became of a sandbox and of what it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its program was executed, and jnetd has let go of it.
    Ended,
    /// Its program was executed; whether jnetd holds something of it is not known.
    Held,
    /// Its program was not executed.
    Failed,
}

/// What a keeper is given by the launcher that forked it; a keeper that was executed has none of it.
#[derive(Debug, Default)]
pub struct Support {
    /// The parent of all control groups, prepared.
    pub parent: Option<Parent>,
    /// Network namespaces, prepared.
    pub berth: Option<Berth>,
    /// Who wants to hear how it ended.
    pub leash: Option<OwnedFd>,
}

/// Runs a sandbox from start to end.
///
/// # Errors
/// Only when not even the state file can be written; everything else ends up in it.
pub fn run(spec: Spec, support: Support) -> io::Result<Outcome> {
    // First of all: from here on a SIGTERM waits until there is something to stop in order.
    let signals = signals::signal_descriptor(&SIGNALS)?;
    fs::create_dir_all(&spec.run_dir)?;
    let lock = File::create(spec.run_dir.join(LOCK_NAME))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| io::Error::other(format!("{}: another keeper has this sandbox", spec.id)))?;
    let mut state = State::new(&spec.id, std::process::id());
    state.keeper_start_ticks = start_ticks();
    state.store(&spec.run_dir)?;
    // Until now the sandbox would have been lost with its launcher; from here on it can be found without one.
    set_parent_process_death_signal(None)?;
    let run_dir = spec.run_dir.clone();
    let Support {
        parent,
        berth,
        leash,
    } = support;
    let mut attachment = None;
    match start_and_keep(spec, &state, signals, parent, berth) {
        Ok(kept) => (state, attachment) = kept,
        Err(error) => {
            state.status = Status::Failed;
            state.error = Some(error.to_string());
        }
    }
    let heard = leash.is_some_and(|leash| leash::tell(leash, &state).is_ok());
    if !heard {
        state.store(&run_dir)?;
    }
    if let Some(error) = &state.error {
        eprintln!("jsandbox: {}: {error}", state.id);
    }
    // Without a launcher that heard it nobody waits for the namespaces.
    let parted = attachment
        .filter(|_| heard)
        .is_some_and(|attachment| attachment.part(&LET_GO_WAIT));
    Ok(match (state.status, parted) {
        (Status::Exited, true) => Outcome::Ended,
        (Status::Exited, false) => Outcome::Held,
        _ => Outcome::Failed,
    })
}

/// The life of a sandbox. One that cannot be brought back from its snapshot is started once more in the ordinary way.
fn start_and_keep(
    spec: Spec,
    state: &State,
    signals: OwnedFd,
    parent: Option<Parent>,
    berth: Option<Berth>,
) -> Result<(State, Option<Attachment>), LaunchError> {
    let restores = spec
        .snapshot
        .as_ref()
        .is_some_and(|wish| wish.restore.is_some());
    if !restores {
        return Ok(Keeper::start(spec, state, signals, parent, berth)?.keep().0);
    }
    let again = Spec {
        snapshot: None,
        ..spec.clone()
    };
    let (kept, why) = Keeper::start(spec, state, signals, parent, berth)?.keep();
    let Some(why) = why else {
        return Ok(kept);
    };
    eprintln!("jsandbox: {}: started in the ordinary way: {why}", state.id);
    let mut state = state.clone();
    state.snapshot = Some(snapshot::Outcome {
        fallback: Some(why),
        ..snapshot::Outcome::default()
    });
    let signals = signals::signal_descriptor(&SIGNALS).step(|| "signals")?;
    Ok(Keeper::start(again, &state, signals, None, None)?.keep().0)
}

/// A stream of the program and its framer.
#[derive(Debug)]
struct Output {
    pipe: Option<OwnedFd>,
    framer: Framer,
}

/// Everything that the keeper holds for its sandbox.
#[derive(Debug)]
struct Keeper {
    state: State,
    run_dir: PathBuf,
    attach_socket: PathBuf,
    grace: Duration,
    hello: Hello,
    pid: i32,
    pidfd: OwnedFd,
    group: Group,
    socket_namespace: Option<OwnedFd>,
    reports: Option<OwnedFd>,
    ending: OwnedFd,
    outputs: [Output; 2],
    log: LogFile,
    log_rate: LogRate,
    signals: OwnedFd,
    offer: Option<Offer>,
    attachment: Attachment,
    kill_at: Option<Duration>,
    snapshots: Part,
}

/// What is left of a sandbox: its final state and the connection to jnetd; and why it is to be started once more.
type Kept = ((State, Option<Attachment>), Option<String>);

/// What one wait found.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    exit: bool,
    signal: bool,
    report: bool,
    output: [bool; 2],
    attachment: bool,
}

impl Keeper {
    fn start(
        spec: Spec,
        state: &State,
        signals: OwnedFd,
        parent: Option<Parent>,
        berth: Option<Berth>,
    ) -> Result<Self, LaunchError> {
        let log =
            LogFile::open(&spec.log).step(|| format!("log file {}", spec.log.path.display()))?;
        let (group, warnings) = group(&spec, parent).step(|| "control group")?;
        for warning in warnings {
            eprintln!("jsandbox: {}: {warning}", spec.id);
        }
        let launched = launch(&spec, &group, berth).inspect_err(|_| group.remove())?;
        let Launched {
            pid,
            pidfd,
            ends,
            socket_namespace,
            restoring,
        } = launched;
        let Ends {
            reports,
            ending,
            stdout,
            stderr,
        } = ends;
        let init_pid = pid.unsigned_abs();
        let output = |pipe, stream| Output {
            pipe: Some(pipe),
            framer: Framer::new(stream),
        };
        Ok(Self {
            state: State {
                init_pid: Some(init_pid),
                ..state.clone()
            },
            run_dir: spec.run_dir,
            attach_socket: spec.attach_socket,
            grace: Duration::from_millis(spec.grace_ms),
            hello: Hello {
                protocol: jd_wire::attach::PROTOCOL,
                sandbox: spec.id,
                address: spec.network.address,
                gateway: spec.network.gateway,
                nameserver: spec.network.nameserver,
                init_pid,
            },
            pid,
            pidfd,
            group,
            socket_namespace: Some(socket_namespace),
            reports: Some(reports),
            ending,
            outputs: [output(stdout, Stream::Out), output(stderr, Stream::Err)],
            log,
            log_rate: LogRate::new(monotonic()),
            signals,
            offer: None,
            attachment: Attachment::new(),
            kill_at: None,
            snapshots: Part::new(spec.snapshot, restoring),
        })
    }

    /// The loop. Ends with the sandbox; returns the final state and what is left of the connection to jnetd.
    fn keep(mut self) -> Kept {
        loop {
            let ready = self.wait();
            if ready.report {
                self.take_reports();
            }
            for (index, ready) in ready.output.into_iter().enumerate() {
                if ready {
                    self.pump(index);
                }
            }
            if ready.exit {
                return self.finish();
            }
            if ready.signal {
                while signals::next_signal(&self.signals).is_some() {
                    self.stop();
                }
            }
            let now = monotonic();
            if let Some(offer) = &self.offer {
                if ready.attachment || self.attachment.deadline().is_some() {
                    self.attachment
                        .advance(&self.attach_socket, offer, &self.pidfd, now);
                }
            }
            if self.kill_at.is_some_and(|at| now >= at) {
                self.kill_at = None;
                let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            }
        }
    }

    /// Sleeps until something happens or a timer is due; without a timer there is no timeout.
    fn wait(&mut self) -> Ready {
        let resume_at = self.log_rate.resume_at(monotonic());
        let attachment = self.attachment.descriptor();
        let retry_at = self.offer.as_ref().and_then(|_| self.attachment.deadline());
        let due = [retry_at, self.kill_at, resume_at]
            .into_iter()
            .flatten()
            .min();
        let timeout = due.and_then(|at| Timespec::try_from(at.saturating_sub(monotonic())).ok());
        // Unread pipes fill up, and then the guest waits for its own flood.
        let [out, err] = self.outputs.each_ref().map(|output| {
            let pipe = output.pipe.as_ref().map(AsFd::as_fd);
            pipe.filter(|_| resume_at.is_none())
        });
        let watched: [Option<BorrowedFd<'_>>; 6] = [
            Some(self.pidfd.as_fd()),
            Some(self.signals.as_fd()),
            self.reports.as_ref().map(AsFd::as_fd),
            out,
            err,
            attachment,
        ];
        let mut places = Vec::with_capacity(watched.len());
        let mut descriptors = Vec::with_capacity(watched.len());
        for (place, descriptor) in watched.into_iter().enumerate() {
            if let Some(descriptor) = descriptor {
                places.push(place);
                descriptors.push(PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
            }
        }
        let mut seen = [false; 6];
        if poll(&mut descriptors, timeout.as_ref()).is_ok() {
            for (place, descriptor) in places.iter().zip(&descriptors) {
                seen[*place] = !descriptor.revents().is_empty();
            }
        }
        let [exit, signal, report, out, err, attachment] = seen;
        Ready {
            exit,
            signal,
            report,
            output: [out, err],
            attachment,
        }
    }

    fn take_reports(&mut self) {
        while let Some(socket) = &self.reports {
            match report::receive(socket) {
                Ok(Report::Warning(text)) => eprintln!("jsandbox: {}: {text}", self.state.id),
                Ok(Report::Failure(text)) => {
                    self.state.error = Some(text);
                    let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
                }
                Ok(Report::Listener(listener)) => self.offer_to_jnetd(listener),
                Ok(Report::Layer(folder)) => self.snapshots.receive(folder),
                Ok(Report::NotRestored(packet)) => {
                    self.state.error = Some(self.snapshots.give_up(&packet));
                    let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
                }
                Ok(Report::Executed) => {
                    self.reports = None;
                    self.executed();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.reports = None;
                    self.state.error = Some(format!("building: {error}"));
                    let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
                }
            }
        }
    }

    fn offer_to_jnetd(&mut self, listener: OwnedFd) {
        let Some(socket_namespace) = self.socket_namespace.take() else {
            return;
        };
        match journal() {
            Ok(journal) => {
                let hello = self.hello.clone();
                self.offer = Some(Offer {
                    hello,
                    listener,
                    socket_namespace,
                    journal,
                });
            }
            Err(error) => {
                self.state.error = Some(format!("journal: {error}"));
                let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            }
        }
    }

    /// The building processes closed their pair: by exec, unless an error came first or no filter was installed.
    fn executed(&mut self) {
        if self.state.error.is_some() || self.offer.is_none() {
            return;
        }
        self.state.status = Status::Running;
        self.state.started_at_ns = Some(unix_ns());
        if let Some(outcome) = self.snapshots.execute(self.pid, &self.pidfd) {
            self.state.snapshot = Some(outcome);
        }
        if let Err(error) = self.state.store(&self.run_dir) {
            eprintln!("jsandbox: {}: state file: {error}", self.state.id);
        }
    }

    /// Reads one stream once; returns whether there was anything.
    fn pump(&mut self, index: usize) -> bool {
        let output = &mut self.outputs[index];
        let Some(pipe) = &output.pipe else {
            return false;
        };
        let mut buffer = [0_u8; READ_BYTES];
        let mut records = String::new();
        let more = match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => {
                output.framer.finish(unix_ns(), &mut records);
                output.pipe = None;
                false
            }
            Ok(bytes) => {
                output
                    .framer
                    .push(&buffer[..bytes], unix_ns(), &mut records);
                true
            }
            Err(rustix::io::Errno::INTR) => true,
            Err(_) => false,
        };
        self.log.append(&records);
        self.log_rate.spend(records.len(), monotonic());
        more
    }

    /// SIGTERM to every process of the sandbox but its init; a program that was not executed yet is simply ended.
    fn stop(&mut self) {
        self.snapshots.stop();
        if self.state.status == Status::Building {
            self.state
                .error
                .get_or_insert_with(|| "stopped before the program was executed".to_owned());
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            return;
        }
        members::terminate(self.pid, self.group.members());
        self.kill_at.get_or_insert(monotonic() + self.grace);
    }

    /// Process 1 has ended, and so has everything inside.
    fn finish(mut self) -> Kept {
        self.take_reports();
        let status = waitpid(Pid::from_raw(self.pid), WaitOptions::empty())
            .ok()
            .flatten();
        for index in 0..self.outputs.len() {
            while self.pump(index) {}
            let mut records = String::new();
            self.outputs[index].framer.finish(unix_ns(), &mut records);
            self.log.append(&records);
        }
        self.state.oom_killed = self.group.oom_killed();
        self.state.cpu_ns = self.group.cpu_ns();
        self.group.remove();
        if self.state.status == Status::Building {
            self.state.status = Status::Failed;
            self.state.error.get_or_insert_with(|| {
                "process 1 of the sandbox was killed while building".to_owned()
            });
            return ((self.state, None), self.snapshots.fallback());
        }
        self.state.status = Status::Exited;
        let (code, signal) = match guest::read_ending(&self.ending).ok().flatten() {
            Some(ending) => ((ending.signal == 0).then_some(ending.code), ending.signal),
            None => (
                None,
                status
                    .and_then(|(_, status)| status.terminating_signal())
                    .unwrap_or(libc::SIGKILL),
            ),
        };
        self.state.exit_code = code;
        self.state.signal = (signal != 0).then_some(signal);
        let known = self.state.snapshot.take();
        self.state.snapshot = self.snapshots.finish(known, signal);
        ((self.state, Some(self.attachment)), None)
    }
}

/// Makes the control group. A parent that somebody has removed since it was prepared is made anew.
fn group(spec: &Spec, parent: Option<Parent>) -> io::Result<(Group, Vec<String>)> {
    if let Some(parent) = parent.filter(|parent| parent.name == spec.cgroup_parent) {
        match Group::create(&parent, &spec.id, &spec.limits) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    let parent = Parent::prepare(&spec.cgroup_parent)?;
    Group::create(&parent, &spec.id, &spec.limits)
}
