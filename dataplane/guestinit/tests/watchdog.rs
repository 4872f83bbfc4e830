//! The watchdogs' contract, with the real program over real sockets.
#![allow(missing_docs)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running program.
struct Watchdog {
    child: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Watchdog {
    fn start(mode: &str, script: &str, env: &[(&str, &str)]) -> Self {
        Self::start_process(mode, &["sh", "-c", script], env)
    }

    fn start_process(mode: &str, process: &[&str], env: &[(&str, &str)]) -> Self {
        // The port is free the moment before; a test that loses the race fails to start and says so.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|free| free.local_addr())
            .expect("port")
            .port();
        let folder = tempfile::tempdir().expect("folder");
        let log = std::fs::File::create(folder.path().join("log")).expect("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jinit"));
        command
            .args(["--mode", mode, "--port", &port.to_string(), "--"])
            .args(process);
        command
            .env("TMPDIR", folder.path())
            .envs(env.iter().copied())
            .stderr(Stdio::from(log));
        let child = command.spawn().expect("jinit starts");
        let watchdog = Self {
            child: Some(child),
            port,
            folder,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "no server: {}", watchdog.log());
            thread::sleep(Duration::from_millis(5));
        }
        watchdog
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, request_line: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        read_answer(&mut stream)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn terminate(&self) {
        let child = self.child.as_ref().expect("running");
        kill_process(Pid::from_child(child), Signal::TERM).expect("signalled");
    }

    fn end(mut self) -> Option<i32> {
        self.child
            .take()
            .and_then(|mut child| child.wait().expect("waited").code())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut bytes);
    };
    let head = String::from_utf8(bytes.drain(..head_end).collect()).expect("ASCII head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("status");
    let mut answer = Answer {
        status,
        head,
        body: Vec::new(),
    };
    if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().expect("length");
        while bytes.len() < length {
            read_more(stream, &mut bytes);
        }
        answer.body = bytes;
        return answer;
    }
    assert_eq!(
        answer.header("transfer-encoding"),
        Some("chunked"),
        "{}",
        answer.head
    );
    loop {
        let line_end = loop {
            if let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            read_more(stream, &mut bytes);
        };
        let size =
            usize::from_str_radix(std::str::from_utf8(&bytes[..line_end]).expect("size"), 16)
                .expect("size");
        while bytes.len() < line_end + 2 + size + 2 {
            read_more(stream, &mut bytes);
        }
        answer
            .body
            .extend_from_slice(&bytes[line_end + 2..line_end + 2 + size]);
        bytes.drain(..line_end + 2 + size + 2);
        if size == 0 {
            return answer;
        }
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let mut buffer = [0_u8; 65536];
    let read = stream.read(&mut buffer).expect("an answer in time");
    assert!(
        read > 0,
        "the connection ended early: {}",
        String::from_utf8_lossy(bytes)
    );
    bytes.extend_from_slice(&buffer[..read]);
}

#[test]
fn streaming_always_says_200_and_flows() {
    let watchdog = Watchdog::start("streaming", "cat; exit 3", &[]);
    let answer = watchdog.ask("POST /", "", b"some body");
    assert_eq!((answer.status, answer.text().as_str()), (200, "some body"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(answer.header("x-duration-seconds"), None);
    assert!(
        watchdog.log().contains("exit status 3"),
        "{}",
        watchdog.log()
    );
}

#[test]
fn streaming_output_arrives_while_the_process_runs_and_the_body_while_it_is_sent() {
    let watchdog = Watchdog::start("streaming", "read a; echo got $a; read b; echo got $b", &[]);
    let mut stream = watchdog.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n",
        )
        .expect("sent");
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("got one") {
        read_more(&mut stream, &mut seen);
    }
    stream.write_all(b"4\r\ntwo\n\r\n0\r\n\r\n").expect("sent");
    while !seen.ends_with(b"0\r\n\r\n") {
        read_more(&mut stream, &mut seen);
    }
    assert!(String::from_utf8_lossy(&seen).contains("got two"));
}

#[test]
fn serializing_tells_success_from_failure() {
    let watchdog = Watchdog::start(
        "serializing",
        "cat; exit ${Http_Query:-0}",
        &[("content_type", "text/html")],
    );
    let answer = watchdog.ask("POST /", "", b"abc");
    assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
    assert_eq!(answer.header("content-type"), Some("text/html"));
    let seconds = answer.header("x-duration-seconds").expect("duration");
    assert_eq!(seconds.split_once('.').expect("decimals").1.len(), 6);
    let answer = watchdog.ask("POST /?7", "", b"abc");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "exit status 7")
    );
    assert!(
        watchdog
            .log()
            .contains("POST / - 200 - ContentLength: 3B ("),
        "{}",
        watchdog.log()
    );
}

#[test]
fn classic_answers_and_logs_as_the_certifier_expects() {
    let watchdog = Watchdog::start_process("classic", &["cat"], &[]);
    let answer = watchdog.ask("POST /", "Content-Type: text/x-mine\r\n", b"hello world");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "hello world")
    );
    assert_eq!(answer.header("content-type"), Some("text/x-mine"));
    let log = watchdog.log();
    assert!(
        log.contains("Forking fprocess.") && log.contains("Wrote 11 Bytes - Duration: 0."),
        "{log}"
    );
    assert_eq!(watchdog.ask("OPTIONS /", "", b"").status, 405);
    assert_eq!(watchdog.ask("GET /_/health", "", b"").text(), "OK");
}

#[test]
fn classic_failures_carry_the_combined_output() {
    let script = "echo out; echo err >&2; exit 4";
    let watchdog = Watchdog::start("classic", script, &[]);
    let answer = watchdog.ask("GET /", "", b"");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "exit status 4\nout\nerr\n")
    );
    let apart = Watchdog::start(
        "classic",
        "echo out; echo err >&2",
        &[("combine_output", "false")],
    );
    assert_eq!(apart.ask("GET /", "", b"").text(), "out\n");
    assert!(apart.log().contains("stderr: err"), "{}", apart.log());
}

#[test]
fn classic_can_hand_over_the_request_as_json() {
    let watchdog = Watchdog::start_process("classic", &["cat"], &[("marshal_request", "true")]);
    let answer = watchdog.ask("POST /", "X-Mine: 1\r\n", b"hi");
    assert_eq!(
        answer.text(),
        r#"{"header":{"X-Mine":["1"]},"body":{"raw":"aGk="}}"#
    );
}

#[test]
fn the_deadline_kills_the_whole_process_group() {
    let script = "sleep 60 & echo $! > $TMPDIR/child; wait";
    for (mode, status, text) in [
        ("serializing", 500, "signal: killed"),
        ("classic", 408, "Killed process.\n"),
    ] {
        let watchdog = Watchdog::start(mode, script, &[("exec_timeout", "300ms")]);
        let answer = watchdog.ask("POST /", "", b"");
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
        let child =
            std::fs::read_to_string(watchdog.folder.path().join("child")).expect("process id");
        let stat = std::path::Path::new("/proc")
            .join(child.trim())
            .join("stat");
        let deadline = Instant::now() + PATIENCE;
        // A zombie that nobody reaps is as dead as one can be.
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(Instant::now() < deadline, "the grandchild lives");
            thread::sleep(Duration::from_millis(5));
        }
    }
    let watchdog = Watchdog::start(
        "streaming",
        "echo begun; sleep 60",
        &[("exec_timeout", "300ms")],
    );
    let answer = watchdog.ask("POST /", "", b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "begun\n"));
}

#[test]
fn a_client_that_goes_away_takes_its_process_along() {
    let watchdog = Watchdog::start(
        "streaming",
        "echo $$ > $TMPDIR/child; while echo x; do sleep 0.01; done",
        &[],
    );
    let mut stream = watchdog.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    let mut seen = Vec::new();
    while !seen.ends_with(b"x\n\r\n") {
        read_more(&mut stream, &mut seen);
    }
    drop(stream);
    let child = std::fs::read_to_string(watchdog.folder.path().join("child")).expect("process id");
    let deadline = Instant::now() + PATIENCE;
    while std::path::Path::new("/proc").join(child.trim()).exists() {
        assert!(Instant::now() < deadline, "the process lives");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn too_much_at_once_is_429() {
    let watchdog = Watchdog::start(
        "serializing",
        "cat > /dev/null; cat $TMPDIR/gate",
        &[("max_inflight", "1")],
    );
    let gate = watchdog.folder.path().join("gate");
    assert!(Command::new("mkfifo")
        .arg(&gate)
        .status()
        .expect("mkfifo")
        .success());
    let mut first = watchdog.connect();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    // The process holds its place once it waits at the gate, which opening for writing shows.
    let mut opened = std::fs::File::options()
        .write(true)
        .open(&gate)
        .expect("gate");
    let refused = watchdog.ask("GET /", "", b"");
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("x-openfaas-internal"),
        Some("faas-middleware")
    );
    assert_eq!(
        refused.text(),
        "Concurrent request limit exceeded. Max concurrent requests: 1\n"
    );
    assert_eq!(watchdog.ask("GET /_/ready", "", b"").status, 429);
    opened.write_all(b"done").expect("written");
    drop(opened);
    assert_eq!(read_answer(&mut first).text(), "done");
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let watchdog = Watchdog::start_process("classic", &["cat"], &[]);
    let mut stream = watchdog.connect();
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    stream
        .write_all(&[request.as_slice(), request].concat())
        .expect("sent");
    let mut bytes = Vec::new();
    while String::from_utf8_lossy(&bytes).matches("abc").count() < 2 {
        read_more(&mut stream, &mut bytes);
    }
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        .expect("sent");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"HTTP/1.1 100 Continue\r\n\r\n") {
        read_more(&mut stream, &mut bytes);
    }
    stream.write_all(b"ok").expect("sent");
    assert_eq!(read_answer(&mut stream).text(), "ok");
}

#[test]
fn a_process_that_does_not_read_its_input_keeps_the_connection() {
    let watchdog = Watchdog::start("serializing", "exec 0<&-; echo done", &[]);
    let body = vec![b'x'; 3 << 20];
    let answer = watchdog.ask("POST /", "", &body);
    assert_eq!((answer.status, answer.text().as_str()), (200, "done\n"));
}

#[test]
fn large_bodies_come_back_unchanged() {
    let body: Vec<u8> = (0_u32..2_000_000).flat_map(|n| n.to_le_bytes()).collect();
    for mode in ["serializing", "classic"] {
        let watchdog = Watchdog::start_process(mode, &["cat"], &[]);
        assert!(watchdog.ask("POST /", "", &body).body == body, "{mode}");
    }
}

#[test]
fn what_cannot_run_or_be_read_gets_a_reason() {
    let watchdog = Watchdog::start_process("serializing", &["/no/such/program"], &[]);
    let answer = watchdog.ask("GET /", "", b"");
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("/no/such/program"),
        "{}",
        answer.text()
    );
    let mut stream = watchdog.connect();
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .expect("sent");
    assert_eq!(read_answer(&mut stream).status, 400);
    let mut env = Command::new(env!("CARGO_BIN_EXE_jinit"));
    let done = env.env_remove("fprocess").output().expect("runs");
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("set fprocess"));
}

#[test]
fn a_header_too_big_for_an_environment_is_431() {
    let watchdog = Watchdog::start_process("streaming", &["true"], &[]);
    let headers = format!("X-Big: {}\r\n", "y".repeat(200_000));
    assert_eq!(watchdog.ask("GET /", &headers, b"").status, 431);
}

#[test]
fn sigterm_lets_running_requests_end() {
    let watchdog = Watchdog::start(
        "serializing",
        "touch $TMPDIR/begun; sleep 0.5; echo done",
        &[],
    );
    let mut stream = watchdog.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    let deadline = Instant::now() + PATIENCE;
    while !watchdog.folder.path().join("begun").exists() {
        assert!(Instant::now() < deadline, "the process did not start");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(watchdog.folder.path().join(".lock").exists());
    watchdog.terminate();
    assert_eq!(read_answer(&mut stream).text(), "done\n");
    assert!(!watchdog.folder.path().join(".lock").exists());
    assert_eq!(watchdog.end(), Some(0));
}
