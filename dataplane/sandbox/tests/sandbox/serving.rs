//! `jsandbox serve`: keepers that are forked, namespaces that are used again.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use jd_sandbox::state::State;
use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};

use crate::common::{eventually, Host, CGROUP_PARENT, PATIENCE};

/// A launcher process and the daemon's end of its connection.
struct Launcher {
    process: Child,
    connection: UnixStream,
}

impl Launcher {
    fn start() -> Self {
        let (connection, theirs) = UnixStream::pair().expect("pair");
        connection
            .set_read_timeout(Some(PATIENCE))
            .expect("timeout");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jsandbox"));
        command.args(["serve", "--run-dir", "/", "--cgroup-parent", CGROUP_PARENT]);
        let process = command.stdin(OwnedFd::from(theirs)).stderr(Stdio::null());
        Self {
            process: process.spawn().expect("jsandbox starts"),
            connection,
        }
    }

    fn ask(&mut self, request: &Value) {
        let text = request.to_string();
        let length = u32::try_from(text.len()).expect("short").to_le_bytes();
        self.connection.write_all(&length).expect("sent");
        self.connection.write_all(text.as_bytes()).expect("sent");
    }

    fn launch(&mut self, host: &mut Host, words: &[&str]) {
        let spec = host.specification(words);
        self.ask(&json!({"op": "launch", "spec": spec}));
    }

    fn event(&mut self) -> Value {
        let mut length = [0; 4];
        self.connection.read_exact(&mut length).expect("an event");
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.connection.read_exact(&mut text).expect("an event");
        serde_json::from_slice(&text).expect("JSON")
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn stored(host: &Host) -> Option<State> {
    let text = fs::read(host.run_dir().join("state.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

fn running(host: &Host) -> State {
    host.wait_for("ready");
    eventually("running", || {
        stored(host).is_some_and(|state| state.started_at_ns.is_some())
    });
    stored(host).expect("a state file")
}

fn lives(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|line| !line.contains(") Z "))
}

#[test]
fn an_end_in_order_is_told_and_leaves_nothing() {
    let mut launcher = Launcher::start();
    let mut host = Host::new();
    launcher.launch(&mut host, &["exit", "3"]);
    let event = launcher.event();
    assert_eq!(event["event"], "ended");
    assert_eq!(event["sandbox"], host.id.as_str());
    assert_eq!(event["clean"], true);
    assert_eq!(event["state"]["exit_code"], 3);
    assert!(!host.run_dir().exists());
    assert!(host.cgroups().is_empty());
}

#[test]
fn a_sandbox_sees_nothing_of_the_one_that_had_its_namespaces_before() {
    let mut launcher = Launcher::start();
    // More than are kept ready, so that some are used again.
    for number in 2..40 {
        let address = format!("10.62.7.{number}");
        let mut host = Host::new().with("/network/address", address.clone());
        host.supervise();
        launcher.launch(&mut host, &["interfaces"]);
        assert_eq!(launcher.event()["state"]["exit_code"], 0);
        let mut output = host.output();
        output.sort();
        output.retain(|line| line != "lo ::1 up");
        let own = format!("lo {address} up");
        assert_eq!(output, [own.as_str(), "lo 127.0.0.1 up", "lo link up"]);
    }
}

/// Launches sandboxes one after the other under a supervisor that lets go of them, or does not; whether a network
/// namespace came twice.
fn comes_twice(lets_go: bool) -> bool {
    let mut launcher = Launcher::start();
    let (mut seen, mut held) = (HashSet::new(), Vec::new());
    // As many as are kept ready and more; the second time after all keepers of the first are gone.
    for _ in 0..2 {
        let mut keepers = Vec::new();
        for _ in 0..10 {
            let mut host = Host::new();
            let offers = host.listen();
            launcher.launch(&mut host, &["on-term"]);
            let offer = offers.recv_timeout(PATIENCE).expect("an offer");
            host.wait_for("ready");
            launcher.ask(&json!({"op": "stop", "sandbox": host.id}));
            let event = launcher.event();
            keepers.push(event["state"]["keeper_pid"].as_u64().expect("a keeper"));
            let namespace = fs::File::from(offer.descriptors[1].try_clone().expect("a copy"));
            if !seen.insert(namespace.metadata().expect("facts").ino()) {
                return true;
            }
            // Its number is not given to another namespace as long as this is held.
            held.push((namespace, (!lets_go).then_some(offer)));
        }
        eventually("keepers end", || {
            let lives = |&pid: &u64| lives(u32::try_from(pid).expect("a pid"));
            !keepers.iter().any(lives)
        });
    }
    false
}

#[test]
fn namespaces_are_used_again_only_when_the_supervisor_has_let_go() {
    assert!(comes_twice(true));
    assert!(!comes_twice(false));
}

#[test]
fn stopping_and_killing_go_through_the_launcher() {
    let mut launcher = Launcher::start();
    let mut stopped = Host::new();
    launcher.launch(&mut stopped, &["sleep"]);
    running(&stopped);
    launcher.ask(&json!({"op": "stop", "sandbox": stopped.id}));
    assert_eq!(launcher.event()["state"]["signal"], libc::SIGTERM);
    let mut killed = Host::new();
    launcher.launch(&mut killed, &["sleep"]);
    let init = running(&killed).init_pid.expect("init");
    launcher.ask(&json!({"op": "kill", "sandbox": killed.id}));
    let event = launcher.event();
    assert_eq!(event["clean"], false, "a killed keeper cleans nothing up");
    assert_eq!(event["state"]["status"], "running");
    eventually("the sandbox dies with its keeper", || !lives(init));
}

#[test]
fn a_specification_that_cannot_be_used_is_told() {
    let mut launcher = Launcher::start();
    let mut host = Host::new().with("/limits/pids_max", 0);
    launcher.launch(&mut host, &["exit", "0"]);
    let event = launcher.event();
    assert_eq!(event["sandbox"], host.id.as_str());
    assert_eq!(event["state"]["status"], "failed");
    let error = event["state"]["error"].as_str().expect("an error");
    assert!(error.contains("pids_max"), "{error}");
}

#[test]
fn sandboxes_outlive_their_launcher_and_can_be_found() {
    let mut launcher = Launcher::start();
    let mut host = Host::new();
    launcher.launch(&mut host, &["sleep"]);
    let state = running(&host);
    drop(launcher); // SIGKILL
    std::thread::sleep(std::time::Duration::from_millis(50));
    let words =
        fs::read_to_string(format!("/proc/{}/cmdline", state.keeper_pid)).expect("it lives");
    let title = format!("jsandbox keep {}", host.run_dir().display());
    assert_eq!(words.trim_end_matches('\0'), title);
    let line = fs::read_to_string(format!("/proc/{}/stat", state.keeper_pid)).expect("it lives");
    let fields: Vec<&str> = line
        .rsplit_once(')')
        .expect("a name")
        .1
        .split_whitespace()
        .collect();
    assert_eq!(
        fields[19].parse().ok(),
        state.keeper_start_ticks,
        "a reused process id can be told apart"
    );
    let keeper = Pid::from_raw(i32::try_from(state.keeper_pid).expect("pid")).expect("pid");
    kill_process(keeper, Signal::TERM).expect("stopped");
    eventually("the final state", || {
        stored(&host).is_some_and(|state| state.signal == Some(libc::SIGTERM))
    });
    eventually("the keeper ends", || !lives(state.keeper_pid));
    assert!(host.cgroups().is_empty());
}

#[test]
fn an_idle_launcher_ends_with_its_daemon() {
    let mut launcher = Launcher::start();
    let (other, _) = UnixStream::pair().expect("pair");
    drop(std::mem::replace(&mut launcher.connection, other));
    eventually("the launcher ends", || {
        launcher.process.try_wait().expect("waited").is_some()
    });
}
