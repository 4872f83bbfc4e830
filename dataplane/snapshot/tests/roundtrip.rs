//! Real programs, captured and brought back on this machine, without a sandbox around them.
#![cfg(target_arch = "x86_64")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jd_snapshot::error::Refusal;
use jd_snapshot::outfit::Baseline;
use jd_snapshot::procfs;
use jd_snapshot::quiet::{look, Look};
use jd_snapshot::take::{take, Request, Taken};

const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);

fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}");
        sleep(STEP);
    }
}

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a port");
    probe.local_addr().expect("its name").port()
}

const CLOSE: &str = "for n in /proc/$$/fd/*; do n=${n##*/}; ((n > 2)) && eval \"exec $n>&-\"; done";

/// A shell with one child, as process 1 of a sandbox has.
struct Family {
    shell: Child,
    pid: i32,
}

impl Family {
    fn start(command: &str) -> Self {
        // Descriptors of whoever runs the tests are not the program's.
        let shell = Command::new("/bin/bash")
            .args(["-c", &format!("{CLOSE}; {command} & wait")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let parent = i32::try_from(shell.id()).expect("a pid");
        let pid = eventually("a child", || procfs::only_child(parent).ok().flatten());
        Self { shell, pid }
    }

    /// Waits until its program was executed and notes what it was given.
    fn baseline(&self) -> Baseline {
        eventually("an exec", || {
            (!procfs::link(self.pid, "exe").ok()?.ends_with("bash")).then_some(())
        });
        Baseline::of(self.pid).expect("a process")
    }

    fn kill(&self) {
        let pid = self.pid.to_string();
        Command::new("kill")
            .args(["-9", &pid])
            .stderr(Stdio::null())
            .status()
            .expect("kill");
    }

    fn end(mut self) -> String {
        self.kill();
        let mut said = String::new();
        let mut out = self.shell.stdout.take().expect("piped");
        out.read_to_string(&mut said).expect("read");
        self.shell.wait().expect("waited");
        said
    }
}

impl Drop for Family {
    /// Not before its end was awaited: a test that fails leaves nothing running.
    fn drop(&mut self) {
        if matches!(self.shell.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.shell.wait();
        }
    }
}

fn capture(family: &Family, file: &Path) -> Result<Taken, Refusal> {
    let baseline = family.baseline();
    eventually("rest", || (look(family.pid) == Look::Waiting).then_some(()));
    sleep(Duration::from_millis(50));
    take(&Request {
        pid: family.pid,
        baseline: &baseline,
        layer: None,
        file,
        bytes_max: 256 << 20,
    })
}

fn restore(file: &Path, report: &Path, command: &str) -> Family {
    let restorer = env!("CARGO_BIN_EXE_jrestore");
    let (file, report) = (file.display(), report.display());
    Family::start(&format!(
        "exec -a '{command}' {restorer} 3<{file} 4>{report}"
    ))
}

fn ask(port: u16, path: &str) -> String {
    let mut stream = eventually("a connection", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

const SERVER: &str = r#"
import http.server, os, random, signal, ssl, sys, time
BORN = os.getpid()
OPEN = open(sys.argv[0])
OPEN.read(7)
ENV = os.environ.get("COLOUR")
ssl.RAND_bytes(4)
HITS = []
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGUSR1, lambda *_: HITS.append(1))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        facts = {
            "pid": os.getpid(), "born": BORN, "at": OPEN.tell(), "next": OPEN.read(4), "colour": ENV,
            "late": abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) > 1, "random": os.urandom(8).hex(),
            "tls": ssl.RAND_bytes(8).hex(), "pi": 355 / 113, "hits": len(HITS), "cwd": os.getcwd(),
            "argv": open("/proc/self/cmdline").read().split("\0")[-2], "heap": len("x" * 3000000),
            "name": open("/proc/self/comm").read().strip(), "caught": [
                line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigCgt", "SigIgn", "SigBlk"))],
            "maps": sum("jrestore" in line for line in open("/proc/self/maps")), "stack": "[stack]" in open(
                "/proc/self/maps").read(), "environ": len(open("/proc/self/environ").read()),
        }
        if self.path == "/thread":
            import threading
            box = []
            thread = threading.Thread(target=lambda: box.append(sum(range(1000))))
            thread.start(); thread.join()
            facts["thread"] = box[0]
        if self.path == "/fork":
            child = os.fork()
            if child == 0:
                os._exit(7)
            facts["child"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if self.path == "/signal":
            os.kill(os.getpid(), signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR1)
            facts["hits"] = len(HITS)
        body = repr(facts).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): print("asked", self.path, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

fn fact<'a>(answer: &'a str, key: &str) -> &'a str {
    let from = answer
        .find(&format!("'{key}': "))
        .unwrap_or_else(|| panic!("{key} in {answer}"));
    let rest = &answer[from + key.len() + 4..];
    let ends: &[char] = if rest.starts_with('[') {
        &[']']
    } else {
        &[',', '}']
    };
    rest.split(ends).next().expect("a value")
}

#[test]
fn an_interpreter_comes_back_and_works() {
    let place = Place::new();
    let (program, file, report) = (
        place.path("server.py"),
        place.path("s.snap"),
        place.path("report"),
    );
    fs::write(&program, SERVER).expect("written");
    let port = free_port();
    let command = format!(
        "cd /usr; exec env COLOUR=green /usr/bin/python3 {} {port}",
        program.display()
    );
    let family = Family::start(&command);
    let taken = capture(&family, &file).expect("captured");
    assert!(taken.bytes > 1 << 20);
    let first = ask(port, "/");
    assert_eq!(
        fact(&first, "colour"),
        "'green'",
        "the captured one goes on"
    );
    family.end();

    let mut seen = vec![(
        fact(&first, "random").to_owned(),
        fact(&first, "tls").to_owned(),
    )];
    for _ in 0..2 {
        let back = restore(&file, &report, "python3");
        let answer = ask(port, "/");
        assert_eq!(fs::read_to_string(&report).expect("report"), "");
        assert_eq!(fact(&answer, "pid"), back.pid.to_string());
        for key in [
            "colour", "at", "next", "pi", "late", "cwd", "argv", "heap", "name", "born",
        ] {
            assert_eq!(fact(&answer, key), fact(&first, key), "{key}");
        }
        assert_eq!(fact(&ask(port, "/signal"), "hits"), "2");
        assert_eq!(fact(&ask(port, "/thread"), "thread"), "499500");
        assert_eq!(fact(&ask(port, "/fork"), "child"), "7");
        seen.push((
            fact(&answer, "random").to_owned(),
            fact(&answer, "tls").to_owned(),
        ));
        let said = back.end();
        assert_eq!(
            said.matches("asked").count(),
            4,
            "it writes to its own output"
        );
    }
    seen.sort();
    seen.dedup_by(|one, other| one.0 == other.0 || one.1 == other.1);
    assert_eq!(seen.len(), 3, "random numbers differ");
}
