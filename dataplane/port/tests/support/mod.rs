//! A sandbox for the tests: real programs behind the notify filter, served by the real supervisor.
#![allow(
    dead_code,
    missing_docs,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::missing_panics_doc
)]

pub mod filter;
pub mod sys;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jd_port::{Attachment, Event, Host, Platform, Supervisor};

pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 62, 0, 5);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 62, 0, 1);
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A guest's connection to the gateway.
type Connection = (OwnedFd, SocketAddr);

/// Collects what the supervisor tells.
#[derive(Default)]
pub struct Recorder {
    seen: Mutex<(Vec<Event>, Vec<Connection>)>,
    news: Condvar,
}

impl Host for Recorder {
    fn gateway_connection(&self, _sandbox: &str, connection: OwnedFd, peer: SocketAddr) {
        self.seen.lock().unwrap().1.push((connection, peer));
        self.news.notify_all();
    }

    fn event(&self, event: Event) {
        self.seen.lock().unwrap().0.push(event);
        self.news.notify_all();
    }
}

impl Recorder {
    /// Waits until `wanted` happened.
    pub fn wait(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().unwrap();
        loop {
            if let Some(event) = seen.0.iter().find(|event| wanted(event)) {
                return event.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "did not happen; seen: {:?}", seen.0);
            seen = self.news.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Forgets connections to the gateway and that anything listened.
    pub fn forget(&self) {
        let mut seen = self.seen.lock().unwrap();
        seen.0
            .retain(|event| !matches!(event, Event::Listening { .. }));
        seen.1.clear();
    }

    pub fn listening(&self, port: u16) {
        self.wait(|event| matches!(event, Event::Listening { port: at, .. } if *at == port));
    }

    /// Waits for the next connection to the gateway.
    pub fn gateway(&self) -> (UnixStream, SocketAddr) {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().unwrap();
        while seen.1.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody connected to the gateway");
            seen = self.news.wait_timeout(seen, left).unwrap().0;
        }
        let (connection, peer) = seen.1.remove(0);
        (blocking(connection), peer)
    }
}

pub fn blocking(fd: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A supervisor with its recorder.
pub struct World {
    pub supervisor: Supervisor,
    pub recorder: Arc<Recorder>,
    pub platform: Arc<ArcSwap<Platform>>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Platform::default())
    }

    pub fn with(platform: Platform) -> Self {
        Self::threads(2, platform)
    }

    pub fn threads(threads: usize, platform: Platform) -> Self {
        let recorder = Arc::new(Recorder::default());
        let platform = Arc::new(ArcSwap::from_pointee(platform));
        let host = Arc::clone(&recorder) as Arc<dyn Host>;
        let supervisor = Supervisor::start(threads, Arc::clone(&platform), host).unwrap();
        Self {
            supervisor,
            recorder,
            platform,
        }
    }

    pub fn launch(&self, command: &mut Command) -> Guest {
        let guest = Guest::start("one", command, None);
        guest.attach(&self.supervisor);
        guest
    }

    /// Starts a guest, waits for its end and gives what it printed.
    pub fn output(&self, command: &mut Command) -> String {
        self.launch(command).output()
    }

    pub fn dial(&self, port: u16) -> UnixStream {
        blocking(
            self.supervisor
                .dial("one", port)
                .expect("the guest listens"),
        )
    }
}

/// A running guest with what its keeper would hold.
pub struct Guest {
    pub name: String,
    pub child: Child,
    notify: OwnedFd,
    netns: OwnedFd,
    journal: OwnedFd,
    output: Option<File>,
}

impl Guest {
    pub fn start(name: &str, command: &mut Command, uid: Option<u32>) -> Self {
        let output = tempfile::tempfile().unwrap();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap());
        if std::env::var_os("GUEST_STDERR").is_none() {
            command.stderr(output.try_clone().unwrap());
        }
        let start = sys::Start {
            address: ADDRESS,
            uid,
        };
        let (child, notify) =
            sys::spawn(command, start, filter::program()).expect("the guest starts");
        Self {
            name: name.to_owned(),
            child,
            notify,
            netns: sys::new_netns(),
            journal: sys::journal(),
            output: Some(output),
        }
    }

    pub fn attach(&self, supervisor: &Supervisor) {
        let attachment = Attachment {
            sandbox: self.name.clone(),
            address: ADDRESS,
            gateway: GATEWAY,
            nameserver: GATEWAY,
            init_pid: self.child.id(),
            notify: self.notify.try_clone().unwrap(),
            socket_netns: self.netns.try_clone().unwrap(),
            pidfd: sys::pidfd(self.child.id()),
            journal: self.journal.try_clone().unwrap(),
        };
        supervisor.attach(attachment).expect("the sandbox attaches");
    }

    /// Waits for the end of the guest; gives what it printed.
    pub fn output(mut self) -> String {
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let status = std::fs::read_to_string(format!("/proc/{}/syscall", self.child.id()));
                panic!("the guest hangs in {status:?}: {}", self.printed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.printed()
    }

    pub fn printed(&mut self) -> String {
        use std::io::{Seek, SeekFrom};
        let mut text = String::new();
        if let Some(output) = &mut self.output {
            output.seek(SeekFrom::Start(0)).unwrap();
            output.read_to_string(&mut text).unwrap();
        }
        text
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the guest printed: {}", self.printed());
        }
    }
}

pub fn python(script: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-u", "-c", script]);
    command
}

pub fn guests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests")
}

/// Whether a program is there to be tested with.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Builds a static Go guest of one file.
pub fn go_guest(name: &str) -> PathBuf {
    let built = std::env::temp_dir().join(format!("jd-port-guest-{name}-{}", std::process::id()));
    let source = guests().join(format!("{name}.go"));
    let status = Command::new("go")
        .args([
            "build",
            "-o",
            built.to_str().unwrap(),
            source.to_str().unwrap(),
        ])
        .envs([
            ("CGO_ENABLED", "0"),
            ("GO111MODULE", "off"),
            ("GOFLAGS", ""),
        ])
        .status()
        .expect("go is installed");
    assert!(status.success());
    built
}

/// One HTTP/1.1 exchange on a connection that stays open.
pub fn exchange(stream: &mut UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let got = stream.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..got]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        if got == 0 {
            return text;
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().unwrap())
        });
        if length.is_some_and(|length| body.len() >= length) {
            return text;
        }
    }
}

pub fn get(stream: &mut UnixStream, path: &str) -> String {
    exchange(
        stream,
        &format!("GET {path} HTTP/1.1\r\nHost: function\r\n\r\n"),
    )
}
