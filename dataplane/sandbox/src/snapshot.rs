//! The keeper's part in snapshots (`docs/decisions/0007-python-start.md`): having one taken, and starting from one.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use jd_snapshot::error::Refusal;
use jd_snapshot::traces::Layer;
#[cfg(target_arch = "x86_64")]
use jd_snapshot::{
    outfit::Baseline,
    procfs,
    quiet::{look, Look},
    take::{take, Request},
};
use rustix::process::{pidfd_send_signal, Signal};
use serde::{Deserialize, Serialize};

#[cfg(target_arch = "x86_64")]
const LOOK_AGAIN: Duration = Duration::from_millis(5);
#[cfg(target_arch = "x86_64")]
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// What a program still does after it has begun to listen, it does within this.
#[cfg(target_arch = "x86_64")]
const SETTLE: Duration = Duration::from_millis(150);
/// How long a program is waited for that seems to serve already but is not at rest, or keeps threads.
#[cfg(target_arch = "x86_64")]
const PATIENCE: Duration = Duration::from_secs(4);
/// A program that came back and ends earlier than this has not come back well.
const TRUSTED_AFTER: Duration = Duration::from_secs(5);

/// What the specification asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The restorer of this host.
    pub restorer: PathBuf,
    /// Start from this file, if it is there.
    #[serde(default)]
    pub restore: Option<PathBuf>,
    /// Capture the program once it waits, then end the sandbox.
    #[serde(default)]
    pub take: Option<Take>,
}

/// A snapshot that is to be taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// The file to be.
    pub file: PathBuf,
    /// Most bytes of memory.
    pub bytes_max: u64,
    /// How long the program may take until it waits, in milliseconds.
    pub timeout_ms: u64,
}

/// What became of it, in the state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The program was not started but brought back.
    #[serde(default)]
    pub restored: bool,
    /// Why it was started in the ordinary way although there was a snapshot.
    #[serde(default)]
    pub fallback: Option<String>,
    /// Memory in the snapshot that was taken, in bytes.
    #[serde(default)]
    pub taken_bytes: Option<u64>,
    /// Why none was taken.
    #[serde(default)]
    pub refused: Option<String>,
}

/// What the program is to be brought back by, open before the sandbox is entered.
#[derive(Debug)]
pub struct Rebirth {
    /// The restorer.
    pub restorer: OwnedFd,
    /// The snapshot.
    pub snapshot: OwnedFd,
}

impl Rebirth {
    /// Opens both; `None` where there is no snapshot, which is no error.
    #[must_use]
    pub fn open(wish: Option<&Wish>) -> Option<Self> {
        let wish = wish?;
        let snapshot = File::open(wish.restore.as_ref()?).ok()?;
        let restorer = File::open(&wish.restorer).ok()?;
        Some(Self {
            restorer: restorer.into(),
            snapshot: snapshot.into(),
        })
    }
}

/// The words of the restorer about its failure (`jd_snapshot::sys::jump`): a text, or numbers of the step that failed.
fn failure_text(packet: &[u8]) -> String {
    let word = |at: usize| {
        let bytes = packet.get(at - 1..at + 7)?.first_chunk().copied()?;
        Some(u64::from_ne_bytes(bytes))
    };
    match (packet.get(..7), word(8), word(16), word(24)) {
        (Some([0, 0, 0, 0, 0, 0, 0]), Some(call), Some(result), Some(left)) => format!(
            "call {call} gave {} with {left} steps to go",
            i64::from_ne_bytes(result.to_ne_bytes())
        ),
        _ => String::from_utf8_lossy(packet).into_owned(),
    }
}

/// What a keeper knows about the snapshots of its sandbox.
#[derive(Debug, Default)]
pub struct Part {
    wish: Option<Wish>,
    restoring: bool,
    failure: Option<String>,
    layer: Option<Layer>,
    taker: Option<Taker>,
    executed: Option<Instant>,
    asked_to_stop: bool,
}

impl Part {
    /// Of a sandbox that was just started; `restoring`: by the restorer.
    #[must_use]
    pub fn new(wish: Option<Wish>, restoring: bool) -> Self {
        Self {
            wish,
            restoring,
            ..Self::default()
        }
    }

    /// The writable layer came; the program can change it from now on.
    pub fn receive(&mut self, folder: OwnedFd) {
        let since = SystemTime::now();
        self.layer = Some(Layer { folder, since });
    }

    /// The restorer gave up; returns the text for the state file.
    pub fn give_up(&mut self, packet: &[u8]) -> String {
        let why = failure_text(packet);
        self.failure = Some(why.clone());
        format!("not restored: {why}")
    }

    /// The sandbox was asked to end.
    pub fn stop(&mut self) {
        self.asked_to_stop = true;
    }

    /// The program runs. Returns what the state file says from now on.
    pub fn execute(&mut self, init: i32, pidfd: &OwnedFd) -> Option<Outcome> {
        self.executed = Some(Instant::now());
        if let Some(take) = self.wish.as_ref().and_then(|wish| wish.take.clone()) {
            let layer = self.layer.take();
            let started = pidfd
                .try_clone()
                .and_then(|pidfd| Taker::start(take, init, pidfd, layer));
            self.taker = started.ok();
        }
        self.restoring.then(|| Outcome {
            restored: true,
            ..Outcome::default()
        })
    }

    /// The sandbox has ended by `signal` (0: none). A snapshot whose program did not live is removed.
    pub fn finish(self, known: Option<Outcome>, signal: i32) -> Option<Outcome> {
        if let (true, Some(executed)) = (self.restoring, self.executed) {
            if is_suspect(executed.elapsed(), self.asked_to_stop, signal) {
                self.discard();
            }
        }
        self.taker.map(Taker::outcome).or(known)
    }

    /// Whether the sandbox is to be started again in the ordinary way: the words of the restorer.
    #[must_use]
    pub fn fallback(&self) -> Option<String> {
        if self.failure.is_some() {
            self.discard();
        }
        self.failure.clone().filter(|_| !self.asked_to_stop)
    }

    /// Removes a snapshot that did not work, so that the next start is not slowed down by it.
    fn discard(&self) {
        if let Some(file) = self.wish.as_ref().and_then(|wish| wish.restore.as_ref()) {
            let _ = fs::remove_file(file);
        }
    }
}

/// Whether the end of a restored program speaks against its snapshot.
fn is_suspect(lived: Duration, asked_to_stop: bool, signal: i32) -> bool {
    let crash = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGABRT,
        libc::SIGFPE,
        libc::SIGSYS,
    ];
    crash.contains(&signal) || (!asked_to_stop && lived < TRUSTED_AFTER)
}

/// A thread that waits for the program's rest, captures it and ends the sandbox.
#[derive(Debug)]
pub struct Taker(JoinHandle<Result<u64, String>>);

impl Taker {
    /// Starts it. `layer` is the sandbox's writable folder and `init` its process 1.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(wish: Take, init: i32, pidfd: OwnedFd, layer: Option<Layer>) -> io::Result<Self> {
        let work = move || {
            let done = layer.map_or_else(
                || Err("its writable layer was not handed over".to_owned()),
                |layer| await_and_take(&wish, init, &layer).map_err(|why| why.to_string()),
            );
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            done
        };
        thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(work)
            .map(Self)
    }

    /// What became of it; to be asked when the sandbox has ended.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        let (taken_bytes, refused) = match self.0.join() {
            Ok(Ok(bytes)) => (Some(bytes), None),
            Ok(Err(why)) => (None, Some(why)),
            Err(_) => (None, Some("the keeper's thread failed".to_owned())),
        };
        Outcome {
            taken_bytes,
            refused,
            ..Outcome::default()
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn await_and_take(_wish: &Take, _init: i32, _layer: &Layer) -> Result<u64, Refusal> {
    Err(Refusal::Unfit(
        "nothing is captured on this architecture".to_owned(),
    ))
}

#[cfg(target_arch = "x86_64")]
fn await_and_take(wish: &Take, init: i32, layer: &Layer) -> Result<u64, Refusal> {
    let begun = Instant::now();
    let pid = procfs::only_child(init)?
        .ok_or_else(|| Refusal::Unfit("its process was not found".to_owned()))?;
    let baseline = Baseline::of(pid)?;
    // Process ids are used again; process 1 is not reaped yet, so its is not.
    if baseline.parent() != init {
        return Err(Refusal::Unfit("its process is gone".to_owned()));
    }
    let request = Request {
        pid,
        baseline: &baseline,
        layer: Some(layer),
        file: &wish.file,
        bytes_max: wish.bytes_max,
    };
    let mut last = Refusal::Restless("it never waited for a connection".to_owned());
    let (mut serving, mut threaded) = (None::<Instant>, None::<Instant>);
    while begun.elapsed() < Duration::from_millis(wish.timeout_ms)
        && [serving, threaded]
            .into_iter()
            .flatten()
            .all(|since| since.elapsed() < PATIENCE)
    {
        let seen = look(pid);
        if seen != Look::Threads {
            threaded = None;
        }
        match seen {
            Look::Gone => return Err(Refusal::Unfit("it ended".to_owned())),
            Look::Threads => {
                threaded.get_or_insert_with(Instant::now);
                last = Refusal::Unfit("it has threads".to_owned());
            }
            Look::Busy => {}
            Look::Waiting if serving.is_none() => {
                serving = Some(Instant::now());
                thread::sleep(SETTLE);
                continue;
            }
            Look::Waiting => match take(&request) {
                Ok(taken) => return Ok(taken.bytes),
                Err(Refusal::Restless(why)) => {
                    last = Refusal::Restless(why);
                    thread::sleep(TRY_AGAIN);
                }
                Err(refusal) => return Err(refusal),
            },
        }
        thread::sleep(LOOK_AGAIN);
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_failure_are_told_in_words() {
        assert_eq!(failure_text(b"no such file"), "no such file");
        let mut packet = vec![0; 7];
        for word in [9_u64, 12_u64.wrapping_neg(), 3] {
            packet.extend(word.to_ne_bytes());
        }
        assert_eq!(failure_text(&packet), "call 9 gave -12 with 3 steps to go");
    }

    #[test]
    fn only_an_end_that_nobody_wanted_is_suspect() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(is_suspect(short, false, 0) && is_suspect(long, true, libc::SIGSEGV));
        assert!(!is_suspect(short, true, libc::SIGTERM) && !is_suspect(long, false, 0));
    }
}
