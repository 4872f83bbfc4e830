//! A program under test: started with or without the library, its output collected.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::library;
use super::player::Player;

/// How a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Without the library.
    Bare,
    /// With the library; the host refuses rings.
    Refused,
    /// With the library, on rings.
    Rings,
}

pub const MODES: [Mode; 3] = [Mode::Bare, Mode::Refused, Mode::Rings];

/// A running program. Its first line of output is the port that it listens on.
pub struct Guest {
    pub child: Child,
    pub port: u16,
    out: BufReader<ChildStdout>,
}

impl Guest {
    pub fn start(program: &Path, arguments: &[&str], mode: Mode, player: &Player) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null());
        Self::spawn(command, mode, player)
    }

    pub fn spawn(mut command: Command, mode: Mode, player: &Player) -> Self {
        if mode != Mode::Bare {
            command
                .env("LD_PRELOAD", library::for_tests())
                .env("JSHIM_TEST_HOST", &player.name);
        }
        // A group of its own: what it forks goes with it.
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        out.read_line(&mut first).expect("a line");
        let port = first
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("a port, not {first:?}"));
        Self { child, port, out }
    }

    /// The next line of its output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        line
    }

    /// Waits for its end: the rest of its output, and its exit code.
    pub fn finish(mut self) -> String {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            if begun.elapsed() > Duration::from_secs(20) {
                let _ = self.child.kill();
                panic!("the program does not end");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let mut text = String::new();
        self.out.read_to_string(&mut text).expect("text");
        format!("{text}{status}\n")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let ended = self.child.wait();
        if std::thread::panicking() {
            let mut said = String::new();
            let _ = self.out.read_to_string(&mut said);
            eprintln!("the program said {said:?} and ended: {ended:?}");
        }
    }
}
