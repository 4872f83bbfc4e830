//! A tiny host for the tests: a root file system with the test guest, an attach socket, specifications.

pub mod sys;

use std::fs;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use jd_sandbox::state::{State, Status};
use rustix::net::{
    accept_with, bind, listen, recvmsg, send, socket_with, AddressFamily, RecvAncillaryBuffer,
    RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde_json::{json, Value};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const UID_BASE: u32 = 1_500_000;
/// Group of all test sandboxes.
pub const CGROUP_PARENT: &str = "jd-sandbox-test";

/// The test guest, compiled once.
pub fn guest() -> &'static Path {
    static GUEST: OnceLock<PathBuf> = OnceLock::new();
    GUEST.get_or_init(|| {
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guest-{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sandbox/guest.c");
        let mut compiler = Command::new("cc");
        let done = compiler
            .args(["-static", "-O1", "-w", "-o"])
            .arg(&program)
            .arg(source)
            .status();
        assert!(
            done.expect("cc is installed (Debian: gcc, libc6-dev)")
                .success(),
            "the test guest compiles"
        );
        program
    })
}

/// What a keeper offered.
pub struct Offer {
    pub hello: Value,
    pub descriptors: Vec<OwnedFd>,
    pub connection: OwnedFd,
}

/// A folder that plays the host.
pub struct Host {
    pub folder: tempfile::TempDir,
    pub id: String,
    pub group: String,
    spec: Value,
}

impl Host {
    /// A host with one sandbox to be, not attached to anything.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests build real sandboxes: run them as root"
        );
        let id = format!(
            "t{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("mode");
        for name in ["layer/bin", "layer/etc", "layer/data", "run"] {
            fs::create_dir_all(path(name)).expect("layer");
        }
        fs::copy(guest(), path("layer/bin/guest")).expect("guest");
        fs::write(
            path("layer/etc/passwd"),
            "root:x:0:0::/root:/bin/sh\napp:x:100:101::/home/app:/bin/sh\n",
        )
        .expect("passwd");
        fs::write(
            path("layer/etc/group"),
            "root:x:0:\nstaff:x:50:app\napp:x:101:\n",
        )
        .expect("group");
        fs::write(path("layer/data/mine"), "of the image\n").expect("file");
        std::os::unix::fs::chown(path("layer/data/mine"), Some(100), Some(101)).expect("owner");
        fs::write(path("secret"), "s3cret").expect("secret");
        let spec = json!({
            "protocol": 1, "id": id, "run_dir": path("run").join(&id), "attach_socket": path("attach.sock"),
            "rootfs": {"layers": [path("layer")], "read_only": false, "writable_mib": 8, "tmp_mib": 4},
            "process": {"argv": [], "env": ["PATH=/usr/bin:/bin", "A=b"], "cwd": "/", "user": ""},
            "binds": [], "hostname": "aes",
            "network": {"address": "10.62.0.5", "gateway": "10.62.0.1", "nameserver": "10.62.0.1", "hosts": [["10.62.0.1", "gateway"]]},
            "secrets": [], "uid_base": UID_BASE,
            "limits": {"memory_bytes": null, "cpu_millicores": null, "pids_max": 256, "nofile_max": 4096}, "cores": [],
            "grace_ms": 5000, "log": {"path": path("out.log"), "bytes_max": 16 << 20}, "cgroup_parent": CGROUP_PARENT
        });
        Self {
            folder,
            id,
            group: CGROUP_PARENT.to_owned(),
            spec,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn run_dir(&self) -> PathBuf {
        self.path("run").join(&self.id)
    }

    /// Changes the specification at a JSON pointer.
    pub fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *self.spec.pointer_mut(pointer).expect("key") = value.into();
        self
    }

    /// Puts the sandbox below another group.
    pub fn in_group(mut self, group: &str) -> Self {
        self.group = group.to_owned();
        self.with("/cgroup_parent", group)
    }

    /// The specification; `words` go to the guest.
    pub fn specification(&mut self, words: &[&str]) -> Value {
        if self.spec["process"]["argv"] == json!([]) {
            self.spec["process"]["argv"] = json!([&["guest"], words].concat());
        }
        self.spec.clone()
    }

    /// Starts the keeper; `words` go to the guest.
    pub fn start(&mut self, words: &[&str]) -> Keeper {
        let file = self.path("spec.json");
        fs::write(&file, self.specification(words).to_string()).expect("specification");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jsandbox"));
        let child = command
            .args(["run", "--spec"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn();
        Keeper {
            child: child.expect("jsandbox starts"),
            run_dir: self.run_dir(),
        }
    }

    /// Runs to the end.
    pub fn run(&mut self, words: &[&str]) -> State {
        self.start(words).end()
    }

    /// Listens as jnetd would; every offer is accepted and sent to the channel.
    pub fn listen(&self) -> Receiver<Offer> {
        let flags = SocketFlags::CLOEXEC;
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("socket");
        let _ = fs::remove_file(self.path("attach.sock"));
        bind(
            &listener,
            &SocketAddrUnix::new(self.path("attach.sock")).expect("name"),
        )
        .expect("bound");
        listen(&listener, 8).expect("listening");
        let (sender, receiver) = channel();
        thread::spawn(move || serve(&listener, &sender));
        receiver
    }

    /// A supervisor that lets every call go on natively.
    pub fn supervise(&self) {
        let offers = self.listen();
        thread::spawn(move || {
            for offer in offers {
                thread::spawn(move || {
                    sys::let_everything_go_on(&offer.descriptors[0]);
                    drop(offer);
                });
            }
        });
    }

    /// Lines of the log with their stream; continued records are joined.
    pub fn log(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.path("out.log")).unwrap_or_default();
        let (mut lines, mut line) = (Vec::new(), String::new());
        for record in text
            .lines()
            .map(|record| serde_json::from_str::<Value>(record).expect("JSON"))
        {
            line.push_str(record["m"].as_str().expect("text"));
            if record["p"] != json!(true) {
                lines.push((
                    record["s"].as_str().expect("stream").to_owned(),
                    std::mem::take(&mut line),
                ));
            }
        }
        lines
    }

    /// Lines of standard output.
    pub fn output(&self) -> Vec<String> {
        self.log()
            .into_iter()
            .filter(|(stream, _)| stream == "out")
            .map(|(_, line)| line)
            .collect()
    }

    /// Waits for a line of output.
    pub fn wait_for(&self, line: &str) {
        eventually(line, || self.output().iter().any(|found| found == line));
    }

    /// Control groups of this sandbox that exist.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let all = jd_sandbox::cgroup::hierarchies().expect("mounts");
        let folders = all
            .iter()
            .map(|hierarchy| hierarchy.mount.join(&self.group).join(&self.id));
        folders.filter(|folder| folder.exists()).collect()
    }
}

fn serve(listener: &OwnedFd, offers: &Sender<Offer>) {
    while let Ok(connection) = accept_with(listener, SocketFlags::CLOEXEC) {
        let mut packet = [0_u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut packet)];
        let Ok(received) = recvmsg(
            &connection,
            &mut parts,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) else {
            continue;
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(all) = message {
                descriptors.extend(all);
            }
        }
        let Ok(hello) = serde_json::from_slice(&packet[..received.bytes]) else {
            continue;
        };
        let _ = send(&connection, br#"{"ok":true}"#, SendFlags::NOSIGNAL);
        if offers
            .send(Offer {
                hello,
                descriptors,
                connection,
            })
            .is_err()
        {
            return;
        }
    }
}

/// A running keeper.
pub struct Keeper {
    child: Child,
    run_dir: PathBuf,
}

impl Keeper {
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("signalled");
    }

    pub fn state(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(self.run_dir.join("state.json")).ok()?).ok()
    }

    /// Waits until the program was executed.
    pub fn running(&self) -> State {
        eventually("running", || {
            self.state()
                .is_some_and(|state| state.status == Status::Running)
        });
        self.state().expect("state")
    }

    /// Waits for the end and returns the final state.
    pub fn end(self) -> State {
        self.end_and_said().0
    }

    /// As [`Self::end`], with what the keeper said on standard error.
    pub fn end_and_said(mut self) -> (State, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("waited").is_none() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("the keeper did not end: {:?}", self.state());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.wait().expect("waited");
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        let state = self
            .state()
            .unwrap_or_else(|| panic!("no state file; stderr: {said}"));
        assert_eq!(
            status.code(),
            Some(i32::from(state.status != Status::Exited)),
            "{state:?} {said}"
        );
        (state, said)
    }

    /// Waits for the end of a killed keeper.
    pub fn reap(mut self) {
        let _ = self.child.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that is bound to happen.
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}
